// Losses over rows of one table x, with their gradients.
//
// BPR (Rendle et al., UAI 2009), for triples (u, p, n) of row numbers of x:
//   L = 1/B sum_b softplus(<x_u, x_n> - <x_u, x_p>)
//
// In-batch softmax on cosines (as in SSM, Wu et al., TOIS 2024; with exponent t the bilateral softmax loss
// BSL, Wu et al., ICDE 2024), for pairs (u_b, i_b):
//   L = 1/B sum_b ( -c_bb / tau + t log sum_{j != b} exp(c_bj / tau) ),   c_bj = cos(x_{u_b}, x_{i_j})
// The positive is not in the denominator, nor is an item whose bit is set in the user's row of `skip`. B^2
// dim * 6 floating-point operations; the B x B matrix never exists: a block of rows is made, used and dropped
// while it is in cache.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/dtype.h"
#include "core/macros.h"

namespace ltgnn {

struct LossParams {
  const void* x = nullptr;  // [num_rows, dim]
  int64_t num_rows = 0;
  int64_t dim = 0;
  const int64_t* users = nullptr;      // [batch], each in [0, num_rows)
  const int64_t* items = nullptr;      // [batch]: the positives
  const int64_t* negatives = nullptr;  // [batch]; BPR only
  int64_t batch = 0;
  const uint32_t* skip = nullptr;  // [batch, ceil(batch / 32)] bits, in-batch softmax only; may be null
  double tau = 0.1;                // in-batch softmax only
  double exponent = 1.0;           // t; in-batch softmax only
  bool allow_bf16 =
      false;  // in-batch softmax only: see csrc/cpu/softmax_products_bf16.h; other kernels do without
  void* grad = nullptr;    // [num_rows, dim], dL/dx, all written
  double* loss = nullptr;  // [1]
  DType type = DType::kFloat32;
};

// One triple of BPR, from its margin <x_u, x_p> - <x_u, x_n>: softplus(-margin), and its slope downhill.
struct BprTerm {
  double loss, slope;

  // Without overflow on either side.
  explicit LTGNN_HD BprTerm(double margin) {
    const double small = std::exp(-std::fabs(margin));
    loss = (margin < 0 ? -margin : 0.0) + std::log1p(small);
    slope = margin < 0 ? 1.0 / (1.0 + small) : small / (1.0 + small);
  }
};

}  // namespace ltgnn
