// out[i] = in[0] + ... + in[i - 1] for i in [0, n]: the exclusive prefix sum, and at its end the total.
//
// Each block scans kScanItems neighbouring items by shuffles and leaves its sum; the sums are scanned in the
// same way, level by level, and added. Integers only, so the order is of no matter to the bits.
// Bytes per item: sizeof(In) read, 8 written, and 16 more where there are several blocks.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "emu/bugs.h"

namespace ltgnn::cuda {

constexpr int kScanItemsPerThread = 8;
constexpr int64_t kScanItems = int64_t{kThreadsPerBlock} * kScanItemsPerThread;

// sums [blocks] or null: the block's own total.
template <class In>
__global__ void __launch_bounds__(kThreadsPerBlock)
    scan_blocks_kernel(const In* in, int64_t n, int64_t* out, int64_t* sums) {
  constexpr unsigned kWarps = kThreadsPerBlock / 32, kAll = 0xFFFFFFFFu;
  auto* warp_sums = shared_memory<int64_t>();  // [kWarps]
  const int64_t first = (int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x) * kScanItemsPerThread;
  int64_t before[kScanItemsPerThread];  // within this thread
  int64_t sum = 0;
  for (int i = 0; i < kScanItemsPerThread; ++i) {
    before[i] = sum;
    if (first + i < n) sum += static_cast<int64_t>(in[first + i]);
  }
  const unsigned lane = threadIdx.x % 32u, warp = threadIdx.x / 32u;
  int64_t through = sum;  // up to and with this lane
  for (unsigned step = 1; step < 32; step *= 2) {
    const int64_t left = __shfl_up_sync(kAll, through, step);
    if (lane >= step) through += left;
  }
  if (lane == 31) warp_sums[warp] = through;
  if (!LTGNN_PLANTED(push_scan_unwaited)) __syncthreads();
  int64_t offset = through - sum;
  for (unsigned w = 0; w < warp; ++w) offset += warp_sums[w];
  for (int i = 0; i < kScanItemsPerThread; ++i)
    if (first + i <= n) out[first + i] = offset + before[i];
  if (sums != nullptr && warp == kWarps - 1 && lane == 31) sums[blockIdx.x] = offset + sum;
}

// Makes the blocks' scans one: block_offsets [blocks].
static __global__ void __launch_bounds__(kThreadsPerBlock)
    scan_add_kernel(int64_t* out, int64_t n, const int64_t* block_offsets) {
  const int64_t offset = block_offsets[blockIdx.x];
  const int64_t first = int64_t{blockIdx.x} * kScanItems;
  for (int64_t i = first + threadIdx.x; i < first + kScanItems && i <= n; i += kThreadsPerBlock)
    out[i] += offset;
}

// in [n], out [n + 1].
template <class In>
void exclusive_scan(const char* what, const In* in, int64_t n, int64_t* out, const Launch& at) {
  constexpr size_t kShared = kThreadsPerBlock / 32 * sizeof(int64_t);
  const int64_t blocks = n / kScanItems + 1;  // of n + 1 results
  int64_t* sums = nullptr;
  if (blocks > 1)
    sums = static_cast<int64_t*>(at.scratch(static_cast<size_t>(2 * blocks + 1) * sizeof(int64_t)));
  launch(what, scan_blocks_kernel<In>, static_cast<unsigned>(blocks), kThreadsPerBlock, kShared, at.stream,
         in, n, out, sums);
  if (blocks == 1) return;
  int64_t* offsets = sums + blocks;
  exclusive_scan<int64_t>(what, sums, blocks, offsets, at);
  launch(what, scan_add_kernel, static_cast<unsigned>(blocks), kThreadsPerBlock, 0, at.stream, out, n,
         static_cast<const int64_t*>(offsets));
}

}  // namespace ltgnn::cuda
