// pair_scores: inner products of listed pairs, in double whatever the type of the embeddings, rounded once.
//
// The order of the sum is fixed: eight sums, one for each remainder of the column by 8, then
// ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)). A product of two floats is exact in double, so that float
// embeddings score the same bits on every instruction set and device; double ones up to the fusing of
// multiply and add. Bytes per pair: dim * sizeof(T) gathered.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/dtype.h"
#include "core/macros.h"

namespace ltgnn {

constexpr int kScoreSums = 8;

struct PairScoresParams {
  const void* queries = nullptr;  // [num_queries, dim]
  const void* items = nullptr;    // [num_items, dim]
  const int64_t* ids = nullptr;   // [num_queries, num_listed]; what is no item scores -inf
  int64_t num_queries = 0;
  int64_t num_items = 0;
  int64_t num_listed = 0;
  int64_t dim = 0;
  void* scores = nullptr;  // [num_queries, num_listed], type
  DType type = DType::kFloat32;
};

template <class T>
LTGNN_HD double pair_score(const T* a, const T* b, int64_t dim) {
  double sum[kScoreSums] = {};
  int64_t i = 0;
  for (; i + kScoreSums <= dim; i += kScoreSums)
    for (int k = 0; k < kScoreSums; ++k)
      sum[k] += static_cast<double>(a[i + k]) * static_cast<double>(b[i + k]);
  for (int k = 0; i + k < dim; ++k) sum[k] += static_cast<double>(a[i + k]) * static_cast<double>(b[i + k]);
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

}  // namespace ltgnn
