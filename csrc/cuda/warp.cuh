// Groups of neighbouring lanes of a warp: `lanes` is a power of two up to 32, the same for all of a launch.
#pragma once

#include <cuda_runtime.h>

#include "core/macros.h"

namespace ltgnn::cuda {

// The lanes of the warp that form this thread's group.
__device__ inline unsigned group_mask(int lanes) {
  const unsigned first = threadIdx.x % 32u & ~(static_cast<unsigned>(lanes) - 1u);
  return (0xFFFFFFFFu >> (32 - lanes)) << first;
}

// The sum of `value` over the group, in every lane of it, added in a fixed order. All lanes of the group must
// call it together; the other groups of the warp need not, so the mask names this group only. A template
// shared with the host may mention it, but only the device can run it.
template <class Acc>
LTGNN_HD Acc group_sum(Acc value, int lanes) {
#if defined(__CUDA_ARCH__) || defined(LTGNN_EMULATED)
  const unsigned lane_of_warp = threadIdx.x % 32u;
  const unsigned first = lane_of_warp & ~(static_cast<unsigned>(lanes) - 1u);
  const unsigned mask = (0xFFFFFFFFu >> (32 - lanes)) << first;
  for (int step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(mask, value, step);
#endif
  return value;
}

}  // namespace ltgnn::cuda
