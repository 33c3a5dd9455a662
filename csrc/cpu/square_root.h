// Element-wise square root of a register or a number. A loop over the lanes: compilers turn it into the
// vector instruction (square roots are exact, so nothing differs).
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/lanes.h"

namespace ltgnn {
namespace LTGNN_ISA {

struct SquareRoot {
  LTGNN_HD float operator()(float x) const { return __builtin_sqrtf(x); }
  LTGNN_HD double operator()(double x) const { return __builtin_sqrt(x); }
  template <class Lanes>
  LTGNN_HD Lanes operator()(Lanes x) const {
    using Element = std::remove_cvref_t<decltype(x[0])>;
    constexpr int kCount = sizeof(Lanes) / sizeof(Element);
    Element elements[kCount];  // through memory: compilers vectorise the loop over an array
    std::memcpy(elements, &x, sizeof(x));
    for (int i = 0; i < kCount; ++i) elements[i] = (*this)(elements[i]);
    std::memcpy(&x, elements, sizeof(x));
    return x;
  }
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
