// The device's half of cuda/hubs.h: a group finds the hubs of its chunk.
#pragma once

#include <cuda_runtime.h>

#include "cuda/hubs.h"
#include "cuda/warp.cuh"
#include "emu/bugs.h"

namespace ltgnn::cuda {

// At most 64 registers a thread: 32 of 64 warps resident. With four loads of 16 bytes for each of their lanes
// 64 KB are under way in a processor; 3 TB/s over 132 of them at 0.8 us is 18 KB.
constexpr int kHubKernelBlocks = 8;

// The last row in [low, num_rows) whose first edge is at or before `edge`, low itself if there is none: the
// row that has this edge. The group's lanes look at as many pointers at once, so that a million rows take a
// warp four rounds. All lanes of the group must call it. On pointers that decrease it ends at some row.
__device__ inline int64_t find_row(const CsrView& csr, int64_t edge, int64_t low, int lane, int lanes) {
  const unsigned mask = LTGNN_PLANTED(find_row_whole_warp) ? 0xFFFFFFFFu : group_mask(lanes);
  const int first_lane = static_cast<int>(threadIdx.x % 32u) - lane;
  const int parts = lanes > 1 ? 31 - __clz(lanes) : 1;  // as a power of two
  int64_t high = csr.num_rows;
  while (high - low > 1) {
    const int64_t step = (high - low + (int64_t{1} << parts) - 1) >> parts;
    const int64_t at = low + step * (lane + 1);
    const unsigned vote = __ballot_sync(mask, at < high && csr.indptr[at] <= edge) >> first_lane;
    const int passed = __ffs(static_cast<int>(~vote)) - 1;  // lanes in a row that said yes
    low += step * passed;
    high = low + step < high ? low + step : high;
  }
  return low;
}

// Calls body(slot, piece) for the two slots of chunk number `chunk`. All lanes of the group must call it.
template <class Body>
__device__ __forceinline__ void for_each_hub_piece(const CsrView& csr, int64_t chunk, int64_t degree,
                                                   int lane, int lanes, const Body& body) {
  const int64_t first = chunk * degree, rest = csr.num_edges - first;
  const int64_t end = first + (rest < degree ? rest : degree);
  int64_t row = 0;
#pragma unroll 1  // the body is long
  for (int slot = 0; slot < 2; ++slot) {
    const int64_t edge = slot == 0 ? first : end - 1, before = row;
    row = find_row(csr, edge, row, lane, lanes);
    const bool again = slot == 1 && row == before;
    body(slot, again ? HubPiece{-1, 0, 0} : hub_piece(csr, row, edge, first, end, degree));
  }
}

}  // namespace ltgnn::cuda
