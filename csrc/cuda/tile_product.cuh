// Scores of a tile: inner products of kRows rows of one table with kCols rows of another, in the registers of
// a block of 128 threads. The core of topk and of the in-batch softmax.
//
// A thread makes 8 x 8 products in float, 4 x 8 in double, from slices of kDepth columns that lie transposed
// in shared memory: two reads of 16 bytes a row or column for each 16 or 8 multiply-adds. Every product is
// summed in ascending order of the columns in one accumulator, so that it has the same bits in any tile.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/lane.h"
#include "emu/bugs.h"

namespace ltgnn::cuda {

constexpr int kTileThreads = 128;
// At most 168 registers a thread: 12 of 64 warps resident, each with 64 sums that do not depend on each
// other.
constexpr int kTileBlocks = 3;
// Threads of a block as a grid: neighbours in a warp share a row's values, and read different columns'.
constexpr int kTileX = 16, kTileY = kTileThreads / kTileX;

template <class T>
struct TileShape {
  static constexpr int kWidth = kPackWidth<T>;
  static constexpr int kThreadRows = sizeof(T) == 4 ? 8 : 4, kThreadCols = 8;
  static constexpr int kRows = kTileY * kThreadRows, kCols = kTileX * kThreadCols;
  static constexpr int kDepth = 16;
  // One pack more than needed, against bank conflicts of the transposing writes.
  static constexpr int kRowPitch = kRows + kWidth, kColPitch = kCols + kWidth;
  static constexpr int kElements = kDepth * (kRowPitch + kColPitch);  // of shared memory

  // Which row and column of the tile this thread's product [i][j] is.
  static __device__ int row(int i) {
    return i / kWidth * (kTileY * kWidth) + static_cast<int>(threadIdx.x) / kTileX * kWidth + i % kWidth;
  }
  static __device__ int col(int j) {
    return j / kWidth * (kTileX * kWidth) + static_cast<int>(threadIdx.x) % kTileX * kWidth + j % kWidth;
  }
};

template <class T>
__device__ __forceinline__ void read_pack(const T* from, T* to) {
  const auto pack = *reinterpret_cast<const Pack<T, kPackWidth<T>>*>(from);
#pragma unroll
  for (int i = 0; i < kPackWidth<T>; ++i) to[i] = pack.v[i];
}

// acc[i][j] += sum over kDepth of a[k][row(i)] b[k][col(j)], for tables in shared memory.
template <class T, int kDepth, int kThreadRows, int kThreadCols>
__device__ __forceinline__ void multiply_slices(const T* a, int a_pitch, const T* b, int b_pitch,
                                                T (&acc)[kThreadRows][kThreadCols]) {
  constexpr int kWidth = kPackWidth<T>;
  const T* a_own = a + threadIdx.x / kTileX * kWidth;
  const T* b_own = b + threadIdx.x % kTileX * kWidth;
#pragma unroll 4
  for (int k = 0; k < kDepth; ++k) {
    T left[kThreadRows], right[kThreadCols];
#pragma unroll
    for (int i = 0; i < kThreadRows; i += kWidth) read_pack<T>(a_own + k * a_pitch + i * kTileY, left + i);
#pragma unroll
    for (int j = 0; j < kThreadCols; j += kWidth) read_pack<T>(b_own + k * b_pitch + j * kTileX, right + j);
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
#pragma unroll
      for (int j = 0; j < kThreadCols; ++j) acc[i][j] += left[i] * right[j];
    }
  }
}

// Copies columns [column, column + kDepth) of rows [first, first + kCount) of a table [count, dim] to shared
// memory, transposed: element (k, r) to to[k * pitch + r]. What is not in the table becomes 0. V: the pack
// width where rows can be read as packs, else 1.
template <class T, int V, int kDepth, int kCount>
__device__ __forceinline__ void load_transposed(const T* table, int64_t count, int64_t dim, int64_t first,
                                                int64_t column, T* to, int pitch) {
  constexpr int kWidth = kPackWidth<T>, kPacks = kDepth / kWidth;
  const int pack = static_cast<int>(threadIdx.x) % kPacks;
  const int64_t from = column + pack * kWidth;
#pragma unroll
  for (int r = static_cast<int>(threadIdx.x) / kPacks; r < kCount; r += kTileThreads / kPacks) {
    T values[kWidth] = {};
    const T* row = table + (first + r) * dim;
    if (first + r < count) {
      if constexpr (V == kWidth) {
        if (from < dim) read_pack<T>(row + from, values);
      } else {
#pragma unroll
        for (int i = 0; i < kWidth; ++i)
          if (from + i < dim) values[i] = row[from + i];
      }
    }
#pragma unroll
    for (int i = 0; i < kWidth; ++i) to[(pack * kWidth + i) * pitch + r] = values[i];
  }
}

// acc[i][j] = <rows[row_first + row(i)], cols[col_first + col(j)]>, 0 past the end of a table. All threads of
// the block; `shared` holds TileShape<T>::kElements, aligned to 16 bytes.
template <class T, int V>
__device__ __forceinline__ void score_tile(const T* rows, int64_t num_rows, int64_t row_first, const T* cols,
                                           int64_t num_cols, int64_t col_first, int64_t dim, T* shared,
                                           T (&acc)[TileShape<T>::kThreadRows][TileShape<T>::kThreadCols]) {
  using Shape = TileShape<T>;
  T* left = shared;
  T* right = shared + Shape::kDepth * Shape::kRowPitch;
#pragma unroll
  for (int i = 0; i < Shape::kThreadRows; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::kThreadCols; ++j) acc[i][j] = 0;
  }
  for (int64_t column = 0; column < dim; column += Shape::kDepth) {
    __syncthreads();  // what lies there has been read by all
    load_transposed<T, V, Shape::kDepth, Shape::kRows>(rows, num_rows, dim, row_first, column, left,
                                                       Shape::kRowPitch);
    load_transposed<T, V, Shape::kDepth, Shape::kCols>(cols, num_cols, dim, col_first, column, right,
                                                       Shape::kColPitch);
    if (!LTGNN_PLANTED(tile_barrier)) __syncthreads();
    multiply_slices<T, Shape::kDepth>(left, Shape::kRowPitch, right, Shape::kColPitch, acc);
  }
}

}  // namespace ltgnn::cuda
