// Registers of a table whose elements are stored as S: loaded, given random bits, stored. `tag` says
// whether a register or one element is meant; both round alike (core/rounding.h).
#pragma once

#include "core/lanes.h"
#include "core/rounding.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Calls body(column, tag) for registers, then single elements, that cover [0, dim).
template <class Acc, class Body>
LTGNN_HD void for_each_register(int64_t dim, const Body& body) {
  using Lanes = typename LanesOf<Acc>::type;
  constexpr int64_t kLanes = sizeof(Lanes) / sizeof(Acc);
  int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) body(i, Lanes{});
  for (; i < dim; ++i) body(i, Acc{});
}

template <class S, class V>
LTGNN_HD V load_as(const S* p, V) {
  if constexpr (std::is_arithmetic_v<V>)
    return load_scalar(p);
  else
    return load_lanes(p);
}
template <class S, class V>
LTGNN_HD void store_as(S* p, V x) {
  if constexpr (std::is_arithmetic_v<V>)
    store_scalar(p, x);
  else
    store_lanes(p, x);
}

// 32 random bits for each element from `column` on; none where S is stored as it is.
template <class S, class V>
LTGNN_HD auto bits_as(const RoundingKey& key, int64_t column, V) {
  if constexpr (sizeof(S) != 2) {
    return uint32_t{0};
  } else if constexpr (std::is_arithmetic_v<V>) {
    return key.bits(static_cast<uint32_t>(column));
  } else {
    UintLanes columns;
    for (unsigned i = 0; i < sizeof(UintLanes) / 4; ++i) columns[i] = static_cast<uint32_t>(column) + i;
    return key.bits(columns);
  }
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
