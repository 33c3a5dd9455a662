// Checks shared by the operators of an LTGNN step.
#pragma once

#include "ops/checks.h"

namespace ltgnn {

inline void check_mix(const char* op, double alpha, double c0) {
  LTGNN_CHECK(op, alpha >= 0.0 && alpha <= 1.0, "alpha must be in [0, 1], got ", alpha);
  LTGNN_CHECK(op, c0 >= 0.0 && c0 < 1.0, "c0 must be in [0, 1), got ", c0);
}

}  // namespace ltgnn
