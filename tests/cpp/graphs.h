// Random data for the C++ tests. Arrays are exactly as long as they must be, so that AddressSanitizer sees an
// access one past the end.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "core/csr.h"
#include "core/scalar.h"

namespace ltgnn::test {

using Random = std::mt19937_64;

inline int64_t below(Random& random, int64_t bound) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(bound));
}

struct Graph {
  std::vector<int64_t> indptr{0};
  std::vector<int32_t> narrow;  // indices as int32
  std::vector<int64_t> wide;    // the same as int64
  int64_t num_cols = 0;

  int64_t num_rows() const { return static_cast<int64_t>(indptr.size()) - 1; }
  int64_t num_edges() const { return static_cast<int64_t>(wide.size()); }
  CsrView view(DType type) const {
    CsrView csr;
    csr.indptr = indptr.data();
    csr.index_type = type;
    if (type == DType::kInt32)
      csr.indices = narrow.data();
    else
      csr.indices = wide.data();
    csr.num_rows = num_rows();
    csr.num_cols = num_cols;
    csr.num_edges = num_edges();
    return csr;
  }
  void set_index(int64_t edge, int64_t column) {
    narrow[static_cast<size_t>(edge)] = static_cast<int32_t>(column);
    wide[static_cast<size_t>(edge)] = column;
  }
};

// Sorted, distinct indices in each row; about a quarter of the rows is empty and row 0 has every column.
inline Graph random_graph(int64_t num_rows, int64_t num_cols, int64_t max_degree, Random& random) {
  Graph graph;
  graph.num_cols = num_cols;
  std::vector<int64_t> row;
  for (int64_t r = 0; r < num_rows; ++r) {
    row.clear();
    const bool hub = r == 0;
    const int64_t degree = hub ? num_cols : below(random, 4) == 0 ? 0 : below(random, max_degree + 1);
    for (int64_t k = 0; k < degree; ++k) row.push_back(hub ? k : below(random, num_cols));
    std::sort(row.begin(), row.end());
    row.erase(std::unique(row.begin(), row.end()), row.end());
    graph.wide.insert(graph.wide.end(), row.begin(), row.end());
    graph.indptr.push_back(static_cast<int64_t>(graph.wide.size()));
  }
  graph.narrow.assign(graph.wide.begin(), graph.wide.end());
  graph.indptr.shrink_to_fit();
  graph.narrow.shrink_to_fit();
  graph.wide.shrink_to_fit();
  return graph;
}

// Rows of these lengths, of random columns: repetitions, and no order.
inline Graph graph_of_degrees(const std::vector<int64_t>& degrees, int64_t num_cols, Random& random) {
  Graph graph;
  graph.num_cols = num_cols;
  for (const int64_t degree : degrees) {
    for (int64_t k = 0; k < degree; ++k) graph.wide.push_back(below(random, num_cols));
    graph.indptr.push_back(static_cast<int64_t>(graph.wide.size()));
  }
  graph.narrow.assign(graph.wide.begin(), graph.wide.end());
  graph.indptr.shrink_to_fit();
  graph.narrow.shrink_to_fit();
  graph.wide.shrink_to_fit();
  return graph;
}

// Each row's own fanout, in [0, most].
inline std::vector<int16_t> random_fanouts(const Graph& graph, int most, Random& random) {
  std::vector<int16_t> fanouts(static_cast<size_t>(graph.num_rows()));
  for (int16_t& fanout : fanouts) fanout = static_cast<int16_t>(below(random, most + 1));
  return fanouts;
}

// Random parts of [0, 2^31) for the edges of each row, some of them tiny.
inline std::vector<int32_t> random_starts(const Graph& graph, Random& random) {
  std::vector<int32_t> starts(graph.wide.size());
  for (size_t row = 0; row + 1 < graph.indptr.size(); ++row) {
    if (!valid_row(graph.view(DType::kInt64), static_cast<int64_t>(row))) continue;  // damaged on purpose
    const auto begin = starts.begin() + graph.indptr[row], end = starts.begin() + graph.indptr[row + 1];
    for (auto start = begin; start != end; ++start)
      *start = static_cast<int32_t>(random() >> (random() & 1 ? 33 : 50));
    std::sort(begin, end);
    if (begin != end) *begin = 0;
  }
  return starts;
}

template <class T>
T from_double(double x) {
  if constexpr (std::is_same_v<T, BFloat16>)
    return to_bfloat16(static_cast<float>(x));
  else if constexpr (std::is_same_v<T, Float16>)
    return to_float16(static_cast<float>(x));
  else
    return static_cast<T>(x);
}

template <class T>
double to_double(T x) {
  return static_cast<double>(load_scalar(&x));
}

// Uniform in [-1, 1).
template <class T>
std::vector<T> random_values(int64_t count, Random& random) {
  std::vector<T> values(static_cast<size_t>(count));
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  for (T& value : values) value = from_double<T>(uniform(random));
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
constexpr DType kTypeOf = std::is_same_v<T, float>     ? DType::kFloat32
                          : std::is_same_v<T, double>  ? DType::kFloat64
                          : std::is_same_v<T, Float16> ? DType::kFloat16
                                                       : DType::kBFloat16;

// How far a result may be from the same sum in double: a few roundings of the stored type.
template <class T>
constexpr double kTolerance = std::is_same_v<T, float>     ? 2e-5
                              : std::is_same_v<T, double>  ? 1e-12
                              : std::is_same_v<T, Float16> ? 1.0 / 1024
                                                           : 1.0 / 128;

}  // namespace ltgnn::test
