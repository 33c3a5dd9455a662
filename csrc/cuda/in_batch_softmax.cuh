// What the kernels of in_batch_softmax.cu share: the plan of a launch, and a row of scores as it grows.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "cuda/sort.cuh"
#include "cuda/tile_product.cuh"
#include "emu/bugs.h"
#include "kernels/accidental_hits.h"
#include "kernels/losses.h"

namespace ltgnn::cuda {

enum Side : int { kUserSide, kItemSide };

// Scratch memory and layout. An entry is one side of one pair: entry 2 b + side. Sorted by row, the entries
// of a row stand in the order of a loop over the pairs.
template <class T>
struct SoftmaxPlan {
  const T* x = nullptr;  // [num_rows, dim]
  const int64_t* ids[2] = {nullptr, nullptr};
  int64_t num_rows = 0, dim = 0, batch = 0;
  double tau = 1.0, exponent = 1.0;
  const uint32_t* skip = nullptr;       // [batch, words]: bits of pairs left out, or null
  T* unit[2] = {nullptr, nullptr};      // [batch, dim]: normalised rows
  T* inverse[2] = {nullptr, nullptr};   // [batch]: 1 / |row|, 0 for a row of zeros
  T* part_top = nullptr;                // [splits, batch]: largest cosine of a part of the row, then ...
  double* part_sum = nullptr;           // ... sum of exp((cosine - top) / tau)
  T* positive = nullptr;                // [batch]: c_bb
  T* top = nullptr;                     // [batch]: the row's shift
  T* factor = nullptr;                  // [batch]: dL/dc_bj = factor exp((c_bj - top) / tau)
  double* losses = nullptr;             // [batch]
  T* gradient[2] = {nullptr, nullptr};  // [splits, batch, dim]: dL/dunit, then in part 0 dL/dx of each entry
  uint32_t *keys_in = nullptr, *entries_in = nullptr, *keys = nullptr, *entries = nullptr;  // [2 batch]
  int64_t splits = 1;           // parts of the opposite side, a block each
  int64_t tiles_per_split = 0;  // of kCols
  int64_t groups = 0;           // of kRows

  __host__ __device__ int64_t num_entries() const { return 2 * batch; }
};

template <class T>
SoftmaxPlan<T> make_plan(const LossParams& p, const Launch& at) {
  using Shape = TileShape<T>;
  constexpr int64_t kBlocks = 396;  // wanted: three for each processor of an H100
  constexpr int64_t kMax = int64_t{1} << 32;
  if (p.num_rows >= kMax || 2 * p.batch >= kMax)
    throw std::invalid_argument(std::string(at.faults.op) +
                                ": on CUDA the number of rows and twice the batch must be below 2^32");
  SoftmaxPlan<T> plan;
  plan.x = static_cast<const T*>(p.x);
  plan.ids[kUserSide] = p.users;
  plan.ids[kItemSide] = p.items;
  plan.num_rows = p.num_rows;
  plan.dim = p.dim;
  plan.batch = p.batch;
  plan.tau = p.tau;
  plan.exponent = p.exponent;
  plan.skip = p.skip;
  plan.groups = (p.batch + Shape::kRows - 1) / Shape::kRows;
  const int64_t tiles = (p.batch + Shape::kCols - 1) / Shape::kCols;
  const int64_t wanted = plan.groups > 0 ? kBlocks / plan.groups : 1;
  plan.splits = wanted < tiles ? wanted : tiles;
  if (plan.splits < 1) plan.splits = 1;
  plan.tiles_per_split = (tiles + plan.splits - 1) / plan.splits;
  const auto memory = [&](auto*& pointer, int64_t count) {
    pointer = static_cast<std::remove_reference_t<decltype(pointer)>>(
        at.scratch(static_cast<size_t>(count) * sizeof(*pointer)));
  };
  for (int side = 0; side < 2; ++side) {
    memory(plan.unit[side], p.batch * p.dim);
    memory(plan.inverse[side], p.batch);
    memory(plan.gradient[side], plan.splits * p.batch * p.dim);
  }
  memory(plan.part_top, plan.splits * p.batch);
  memory(plan.part_sum, plan.splits * p.batch);
  for (T** vector : {&plan.positive, &plan.top, &plan.factor}) memory(*vector, p.batch);
  memory(plan.losses, p.batch);
  for (uint32_t** vector : {&plan.keys_in, &plan.entries_in, &plan.keys, &plan.entries})
    memory(*vector, 2 * p.batch);
  return plan;
}

// The part of the opposite side that a block walks: [begin, end).
template <class T>
struct Part {
  int64_t first, split, begin, end;
  __device__ explicit Part(const SoftmaxPlan<T>& plan) {
    using Shape = TileShape<T>;
    first = int64_t{blockIdx.x} / plan.splits * Shape::kRows;
    split = int64_t{blockIdx.x} % plan.splits;
    begin = split * plan.tiles_per_split * Shape::kCols;
    end = begin + plan.tiles_per_split * Shape::kCols;
    if (end > plan.batch) end = plan.batch;
  }
};

// Which of a thread's pairs in a tile, of `side`'s rows from `first_row` on and the other side's from
// `first_col` on, the caller wants left out: bit i * kThreadCols + j, no positive among them. Made before the
// tile is, while there are registers to spare.
template <class T>
__device__ __forceinline__ uint64_t left_out_bits(const SoftmaxPlan<T>& plan, int side, int64_t first_row,
                                                  int64_t first_col) {
  using Shape = TileShape<T>;
  uint64_t left_out = 0;
  if (plan.skip == nullptr) return left_out;
  const bool by_row = (side == kUserSide) != LTGNN_PLANTED(softmax_skip_turned);
  const int users = by_row ? Shape::kThreadRows : Shape::kThreadCols;
  const int items = by_row ? Shape::kThreadCols : Shape::kThreadRows;
#pragma unroll 1
  for (int u = 0; u < users; ++u) {
    const int64_t user = by_row ? first_row + Shape::row(u) : first_col + Shape::col(u);
    if (user >= plan.batch) break;
#pragma unroll 1
    for (int v = 0; v < items; v += Shape::kWidth) {  // neighbours, all of one word
      const int64_t item = by_row ? first_col + Shape::col(v) : first_row + Shape::row(v);
      if (item >= plan.batch) break;
      const uint32_t word = plan.skip[user * hit_words(plan.batch) + item / 32] >> (item & 31);
#pragma unroll
      for (int k = 0; k < Shape::kWidth; ++k) {
        const int place = by_row ? u * Shape::kThreadCols + v + k : (v + k) * Shape::kThreadCols + u;
        if ((word >> k & 1) != 0 && item + k != user) left_out |= uint64_t{1} << place;
      }
    }
  }
  return left_out;
}

// sum of exp((c - top) / tau) over the c met so far, top the largest of them: rescaled when top rises. Starts
// below any cosine, with a sum of 0.
template <class T>
struct OnlineSum {
  T top = T(-2);
  double sum = 0.0;

  __device__ void raise(T next, T slope) {
    if (!(next > top)) return;
    sum *= static_cast<double>(std::exp((top - next) * slope));
    top = next;
  }
  // Adds up two sums of disjoint parts; the same bits whichever is the other.
  __device__ void merge(T other_top, double other_sum, T slope) {
    const T high = other_top > top ? other_top : top;
    sum = sum * static_cast<double>(std::exp((top - high) * slope)) +
          other_sum * static_cast<double>(std::exp((other_top - high) * slope));
    top = high;
  }
};

// Columns of the gradient made at once.
constexpr int kGradientThreadCols = 4, kGradientCols = kTileX * kGradientThreadCols;

template <class T>
struct GradientShared {
  using Shape = TileShape<T>;
  static constexpr int kPitch = kGradientCols + Shape::kWidth;
  static_assert(Shape::kDepth * kPitch <= Shape::kElements);
  static constexpr size_t kBytes = sizeof(T) * (Shape::kElements + Shape::kCols * Shape::kRowPitch);
};

// Copies columns [column, column + kGradientCols) of rows [first, first + kDepth) of a table [count, dim] to
// shared memory; 0 past its ends.
template <class T>
__device__ __forceinline__ void load_slice(const T* table, int64_t count, int64_t dim, int64_t first,
                                           int64_t column, T* to) {
  for (int i = static_cast<int>(threadIdx.x); i < TileShape<T>::kDepth * kGradientCols; i += kTileThreads) {
    const int k = i / kGradientCols, c = i % kGradientCols;
    const bool inside = first + k < count && column + c < dim;
    to[k * GradientShared<T>::kPitch + c] = inside ? table[(first + k) * dim + column + c] : T(0);
  }
}

}  // namespace ltgnn::cuda
