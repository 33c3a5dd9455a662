// Element types by a plain code, so that a parameter struct can cross from the torch side to kernels
// that never see a torch header.
#pragma once

#include <cstdint>

namespace ltgnn {

enum class DType : int32_t { kFloat32, kFloat64, kBFloat16, kInt32, kInt64 };

// bfloat16 as stored: the upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

}  // namespace ltgnn
