// topk: for each query the k items with the largest inner product, among those it has not seen.
//
//   score(q, n) = sum_d queries[q, d] items[n, d], added in ascending d into one accumulator
//
// The order of that sum depends on nothing else, so a pair scores the same in every tile, block of queries
// and thread, and on both backends (to the last bit where both fuse multiply and add). Results are ordered by
// (-score, id). A pair whose score is NaN or -inf is never listed.
//
// A candidate of a list is one key: unsigned numbers that rank as (-score, id) does. The k largest keys are
// the answer whatever the order in which candidates were met, which is all that determinism needs.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/csr.h"
#include "core/dtype.h"

namespace ltgnn {

struct TopkParams {
  CsrView seen;                   // [num_queries x num_items], sorted rows; indptr null: nothing is masked
  const void* queries = nullptr;  // [num_queries, dim]
  const void* items = nullptr;    // [num_items, dim]
  int64_t num_queries = 0;
  int64_t num_items = 0;  // at most 2^31 - 1
  int64_t dim = 0;
  int64_t k = 0;
  void* scores = nullptr;  // [num_queries, k], type; -inf past the end
  int64_t* ids = nullptr;  // [num_queries, k]; -1 past the end
  DType type = DType::kFloat32;
};

// The bits of a float as an unsigned number that rises with it. Not for NaN; -0 becomes 0.
LTGNN_HD uint32_t ordered_bits(float x) {
  x += 0.0f;
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}
LTGNN_HD uint64_t ordered_bits(double x) {
  x += 0.0;
  uint64_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return (bits >> 63) != 0 ? ~bits : bits | 0x8000000000000000u;
}

// Keys: larger is better, all zero is worse than any candidate and stands for none.
template <class T>
struct RankKey;

template <>
struct RankKey<float> {
  uint64_t bits;  // score above, id below

  static LTGNN_HD RankKey of(float score, int64_t id) {
    return {uint64_t{ordered_bits(score)} << 32 | ~static_cast<uint32_t>(id)};
  }
  static LTGNN_HD RankKey none() { return {0}; }
  LTGNN_HD bool operator<(RankKey other) const { return bits < other.bits; }
  LTGNN_HD bool is_none() const { return bits == 0; }
  LTGNN_HD int64_t id() const { return ~static_cast<uint32_t>(bits); }
  LTGNN_HD float score() const {
    const auto ordered = static_cast<uint32_t>(bits >> 32);
    const uint32_t plain = (ordered >> 31) != 0 ? ordered & 0x7FFFFFFFu : ~ordered;
    float x;
    memcpy(&x, &plain, sizeof(x));
    return x;
  }
};

template <>
struct alignas(16) RankKey<double> {
  uint64_t high;  // score
  uint64_t low;   // id

  static LTGNN_HD RankKey of(double score, int64_t id) {
    return {ordered_bits(score), ~static_cast<uint64_t>(id)};
  }
  static LTGNN_HD RankKey none() { return {0, 0}; }
  LTGNN_HD bool operator<(RankKey other) const {
    return high < other.high || (high == other.high && low < other.low);
  }
  LTGNN_HD bool is_none() const { return (high | low) == 0; }
  LTGNN_HD int64_t id() const { return static_cast<int64_t>(~low); }
  LTGNN_HD double score() const {
    const uint64_t plain = (high >> 63) != 0 ? high & 0x7FFFFFFFFFFFFFFFu : ~high;
    double x;
    memcpy(&x, &plain, sizeof(x));
    return x;
  }
};

// Whether the query's row of `seen` holds the item. The row must be usable (valid_row).
LTGNN_HD bool is_seen(const CsrView& seen, int64_t query, int64_t item) {
  if (seen.indptr == nullptr) return false;
  const int64_t begin = seen.indptr[query], length = seen.indptr[query + 1] - begin;
  return seen.index_type == DType::kInt32
             ? row_holds(static_cast<const int32_t*>(seen.indices) + begin, length, item)
             : row_holds(static_cast<const int64_t*>(seen.indices) + begin, length, item);
}

}  // namespace ltgnn
