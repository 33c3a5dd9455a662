// Element types by a plain code, so that a parameter struct can cross from the torch side to kernels
// that never see a torch header.
#pragma once

#include <cstdint>

namespace ltgnn {

enum class DType : int32_t { kFloat32, kFloat64, kBFloat16, kInt32, kInt64, kFloat16 };

// bfloat16 as stored: the upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

// IEEE 754 binary16 as stored: 1 bit of sign, 5 of exponent (bias 15), 10 of mantissa.
struct Float16 {
  uint16_t bits;
};

}  // namespace ltgnn
