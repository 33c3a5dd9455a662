// How kernels are started, and the schedule of a kernel over rows: a group of 1 to 32 lanes walks one row
// after another, grid-stride, so that any number of rows fits any grid. All counts are 64-bit.
//
// Kernels are plain CUDA C++ without <<<>>> and without static __shared__ arrays: csrc/emu then runs the very
// same text on the CPU.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace ltgnn::cuda {

// Few threads a block: a block is done when its longest row is, and its place is then free for the next.
constexpr int kThreadsPerBlock = 128;
// At most 48 registers a thread: 40 of 64 warps resident, each with several gathers in flight. Left to itself
// ptxas squeezes some kernels into 32 and spills.
constexpr int kBlocksPerProcessor = 10;

// The smallest group that covers a row in one pass of `width` columns a lane, up to a whole warp.
inline int lanes_for(int64_t dim, int width) {
  int lanes = 1;
  while (lanes < 32 && int64_t{lanes} * width < dim) lanes *= 2;
  return lanes;
}

inline unsigned blocks_for(int64_t num_rows, int lanes) {
  constexpr int64_t kMaxBlocks = int64_t{1} << 30;
  const int64_t rows_per_block = kThreadsPerBlock / lanes;
  const int64_t blocks = (num_rows + rows_per_block - 1) / rows_per_block;
  return static_cast<unsigned>(blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

inline void check(const char* what, cudaError_t status) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": CUDA reported " + cudaGetErrorString(status));
}

// Queues kernel(args...) with `shared` bytes of shared memory a block.
template <class... Expected, class... Args>
void launch(const char* what, void (*kernel)(Expected...), unsigned blocks, unsigned threads, size_t shared,
            void* stream, Args&&... args) {
  if (blocks == 0) return;
  constexpr size_t kSharedWithoutAsking = 48 * 1024;
  if (shared > kSharedWithoutAsking)
    check(what, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     static_cast<int>(shared)));
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared;
  config.stream = static_cast<cudaStream_t>(stream);
  check(what, cudaLaunchKernelEx(&config, kernel, std::forward<Args>(args)...));
}

// The block's shared memory, as much as the launch asked for.
template <class T>
__device__ __forceinline__ T* shared_memory() {
  extern __shared__ __align__(16) unsigned char ltgnn_shared[];
  return reinterpret_cast<T*>(ltgnn_shared);
}

// Calls body(row, lane) for every row of this thread's group, where `num_blocks` blocks from block
// `first_block` on share the rows. All lanes of a group make the same calls.
template <class Body>
__device__ __forceinline__ void for_each_row_of_blocks(int64_t num_rows, int lanes, unsigned first_block,
                                                       unsigned num_blocks, const Body& body) {
  const int64_t thread = int64_t{blockIdx.x - first_block} * kThreadsPerBlock + threadIdx.x;
  const int shift = 31 - __clz(lanes);  // a power of two: no 64-bit division
  const int64_t step = int64_t{num_blocks} * kThreadsPerBlock >> shift;
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  for (int64_t row = thread >> shift; row < num_rows; row += step) body(row, lane);
}

// The same for all blocks of the grid.
template <class Body>
__device__ __forceinline__ void for_each_row(int64_t num_rows, int lanes, const Body& body) {
  for_each_row_of_blocks(num_rows, lanes, 0, gridDim.x, body);
}

}  // namespace ltgnn::cuda
