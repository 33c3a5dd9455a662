// weighted_softplus_: the elementwise half of a loss that compares every row with every column.
//
//   w_ij = of_row_i * of_column_j + of_all_j
//   loss_i = sum_j w_ij softplus(s_ij)          in double
//   s_ij <- w_ij sigmoid(s_ij)                  the slope, in place: a product away from the gradients
//
// One exponential serves both: with e = exp(-|s|), softplus(s) = max(s, 0) + log1p(e) and sigmoid(s) is
// 1 / (1 + e) or e / (1 + e), without overflow on either side. Bytes per score: 2 sizeof(T), read and
// written; the vectors stay in the cache.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/dtype.h"
#include "core/macros.h"

namespace ltgnn {

struct WeightedSoftplusParams {
  void* scores = nullptr;           // [num_rows, num_columns], type; written
  const void* of_row = nullptr;     // [num_rows], type
  const void* of_column = nullptr;  // [num_columns], type
  const void* of_all = nullptr;     // [num_columns], type
  int64_t num_rows = 0;
  int64_t num_columns = 0;
  double* loss = nullptr;  // [num_rows]
  DType type = DType::kFloat32;
};

// Turns a score into its weighted slope; returns its weighted cost.
template <class T>
LTGNN_HD T weighted_softplus_term(T* score, T weight) {
  const T s = *score, small = std::exp(-std::fabs(s));
  *score = weight * ((s < 0 ? small : T(1)) / (T(1) + small));
  return weight * ((s > 0 ? s : T(0)) + std::log1p(small));
}

}  // namespace ltgnn
