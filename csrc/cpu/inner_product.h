// <a, b> over `dim` elements, summed in a fixed order: four registers, their halves, then single elements.
#pragma once

#include "core/lanes.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class Acc, class T>
LTGNN_HD Acc inner_product(const T* a, const T* b, int64_t dim) {
  using Lanes = typename LanesOf<Acc>::type;
  constexpr int64_t kLanes = sizeof(Lanes) / sizeof(Acc);
  Lanes sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sum[k] += load_lanes(a + i + k * kLanes) * load_lanes(b + i + k * kLanes);
  }
  for (; i + kLanes <= dim; i += kLanes) sum[0] += load_lanes(a + i) * load_lanes(b + i);
  Acc result = sum_of_lanes<Acc>((sum[0] + sum[1]) + (sum[2] + sum[3]));
  for (; i < dim; ++i) result += load_scalar(a + i) * load_scalar(b + i);
  return result;
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
