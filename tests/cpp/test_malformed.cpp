// Graphs with damaged row pointers and indices: the first damaged row is reported, and nothing outside the
// arrays is read or written (AddressSanitizer watches: every array is exactly as long as it must be).
#include "check.h"
#include "machine.h"
#include "propagate_case.h"

namespace ltgnn::test {
namespace {

constexpr int64_t kDim = 19;

// Where row pointers cross, two tasks can visit one row and write the same (worthless) result twice: no
// matter, but a data race by the letter. So under ThreadSanitizer damaged graphs are run by one thread.
#if defined(__SANITIZE_THREAD__)
constexpr int kThreads = 1;
#else
constexpr int kThreads = kMaxThreads;
#endif

bool damaged(const Graph& graph, int64_t row) {
  if (!valid_row(graph.view(DType::kInt64), row)) return true;
  const auto r = static_cast<size_t>(row);
  for (int64_t e = graph.indptr[r]; e < graph.indptr[r + 1]; ++e) {
    const int64_t c = graph.wide[static_cast<size_t>(e)];
    if (c < 0 || c >= graph.num_cols) return true;
  }
  return false;
}

int64_t first_damaged(const Graph& graph) {
  for (int64_t row = 0; row < graph.num_rows(); ++row)
    if (damaged(graph, row)) return row;
  return -1;
}

// A few random pointers and indices, each to nonsense in both index types.
void damage(Graph& graph, Random& random) {
  const int64_t edges = graph.num_edges();
  for (int64_t k = below(random, 3); k > 0; --k) {
    const int64_t nonsense[] = {-1, edges + 1, 0, edges, INT64_MAX, INT64_MIN, below(random, edges + 1)};
    graph.indptr[static_cast<size_t>(below(random, graph.num_rows() + 1))] = nonsense[below(random, 7)];
  }
  for (int64_t k = below(random, 3); k > 0; --k) {
    const int64_t nonsense[] = {-1, graph.num_cols, INT32_MAX, INT32_MIN, INT64_MAX};  // the last: -1
    graph.set_index(below(random, edges), nonsense[below(random, 5)]);
  }
}

template <class T>
void test_rows(const CpuKernels& kernels, int64_t rows, DType index, Random& random) {
  using Acc = typename AccumulatorOf<T>::type;
  PropagateCase<T> test(random_graph(rows, 50, 30, random), kDim, 1, index, random);
  damage(test.graph, random);
  test.params.csr = test.graph.view(index);
  const int64_t expected = first_damaged(test.graph);
  std::vector<Acc> products(static_cast<size_t>(test.graph.num_edges()));
  EdgeDotParams dot;
  dot.csr = test.params.csr;
  dot.type = kTypeOf<T>;
  dot.g = test.x0.data();
  dot.x = test.x.data();
  dot.g_stride = dot.x_stride = test.params.x_stride;
  dot.dim = kDim;
  dot.out = products.data();
  for (const int threads : {1, kThreads}) {
    for (const int64_t columns : {0, 25, 50}) {
      test.params.blocking = columns > 0 ? in_windows(test.params, columns, sizeof(T)) : PropagateBlocking{};
      CHECK(kernels.propagate(test.params, parallel(threads)) == expected);
    }
    CHECK(kernels.edge_dot(dot, parallel(threads)) == expected);
  }
}

// Targets: the position of the first one whose row is damaged or out of range is reported.
template <class T>
void test_targets(const CpuKernels& kernels, DType index, Random& random) {
  constexpr int64_t kRows = 40, kTargets = 150;
  constexpr int kFanout = 4;
  Graph graph = random_graph(kRows, kRows, 12, random);
  damage(graph, random);
  std::vector<int64_t> rows(kTargets), out(kTargets * kFanout);
  for (int64_t& row : rows) row = below(random, kRows);
  if (below(random, 2)) rows[static_cast<size_t>(below(random, kTargets))] = below(random, 2) ? -1 : kRows;
  const auto x = random_values<T>(kRows * kDim, random);
  std::vector<T> sums(kTargets * kDim);

  SampleAggregateParams aggregate;
  aggregate.csr = graph.view(index);
  aggregate.rows = rows.data();
  aggregate.num_targets = kTargets;
  aggregate.x = aggregate.history = x.data();
  aggregate.out = sums.data();
  aggregate.dim = kDim;
  aggregate.fanout = kFanout;
  aggregate.type = kTypeOf<T>;
  // Nonsense in `starts` may give any neighbour of the row; a fanout of nonsense is a fault.
  SampleAggregateParams strange = aggregate;
  std::vector<int32_t> starts(graph.wide.size());
  for (int32_t& start : starts) start = static_cast<int32_t>(random());
  auto fanouts = random_fanouts(graph, kFanout, random);
  strange.edge_starts = starts.data();
  strange.row_fanout = fanouts.data();
  const SampleNeighborsParams neighbors{graph.view(index), rows.data(), kTargets, kFanout, 0, out.data()};
  const NegativeSampleParams negative{graph.view(index), rows.data(), kTargets, 1, out.data()};

  int64_t bad_range = -1, bad_index = -1;
  uint32_t picks[kMaxFanout];
  for (int64_t k = kTargets - 1; k >= 0; --k) {
    const int64_t row = rows[static_cast<size_t>(k)];
    if (row < 0 || row >= kRows || !valid_row(graph.view(index), row)) {
      bad_range = bad_index = k;
      continue;
    }
    const int64_t begin = graph.indptr[static_cast<size_t>(row)];
    const int64_t degree = graph.indptr[static_cast<size_t>(row) + 1] - begin;
    const int count = sample_row(degree, kFanout, 0, row, picks);
    for (int j = 0; j < count; ++j) {
      const int64_t c = graph.wide[static_cast<size_t>(begin + picks[j])];
      if (c < 0 || c >= kRows) bad_index = k;
    }
  }
  for (const int threads : {1, kMaxThreads}) {  // targets are never shared, so any number of threads will do
    CHECK(kernels.sample_aggregate(aggregate, parallel(threads)) == bad_index);
    CHECK(kernels.sample_neighbors(neighbors, parallel(threads)) == bad_index);
    CHECK(kernels.negative_sample(negative, parallel(threads)) == bad_range);
    const int64_t found = kernels.sample_aggregate(strange, parallel(threads));
    CHECK(found >= -1 && (bad_range < 0 || (found >= 0 && found <= bad_range)));
  }
}

// A fanout below 0 or above that of all: the first target with such a row is reported.
void test_row_fanout(const CpuKernels& kernels, Random& random) {
  const Graph graph = random_graph(40, 40, 12, random);
  const std::vector<int64_t> rows{3, 9, 20, 9};
  const auto x = random_values<float>(40 * kDim, random);
  std::vector<float> sums(4 * kDim);
  for (const int16_t bad : {int16_t{-1}, int16_t{5}, int16_t{INT16_MIN}, int16_t{INT16_MAX}}) {
    auto fanouts = random_fanouts(graph, 4, random);
    fanouts[9] = bad;
    SampleAggregateParams p;
    p.csr = graph.view(DType::kInt32);
    p.rows = rows.data();
    p.num_targets = 4;
    p.x = x.data();
    p.out = sums.data();
    p.dim = kDim;
    p.fanout = 4;
    p.row_fanout = fanouts.data();
    CHECK(kernels.sample_aggregate(p, parallel(1)) == 1);
  }
}

void test_adam_rows(const CpuKernels& kernels) {
  std::vector<float> table(10 * kDim, 1.0f), m(table), v(table), grad(3 * kDim, 1.0f);
  for (const int64_t bad : {int64_t{-1}, int64_t{10}, INT64_MIN}) {
    const std::vector<int64_t> rows{4, bad, 5};
    AdamParams p;
    p.rows = rows.data();
    p.num_rows = 3;
    p.table_rows = 10;
    p.dim = kDim;
    p.grad = grad.data();
    p.param = table.data();
    p.m = m.data();
    p.v = v.data();
    CHECK(kernels.adam(p, parallel(1)) == 1);
  }
}

template <class T>
void test_type(const CpuKernels& kernels, Random& random) {
  for (int trial = 0; trial < 150; ++trial) {
    const DType index = trial % 2 ? DType::kInt32 : DType::kInt64;
    test_rows<T>(kernels, 1 + below(random, 40), index, random);      // one task
    if (trial % 15 == 0) test_rows<T>(kernels, 1200, index, random);  // several
    if constexpr (sizeof(T) > 2) test_targets<T>(kernels, index, random);
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(9);
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    test_type<float>(*kernels, random);
    test_type<double>(*kernels, random);
    test_type<ltgnn::BFloat16>(*kernels, random);
    test_type<ltgnn::Float16>(*kernels, random);
    test_adam_rows(*kernels);
    test_row_fanout(*kernels, random);
  }
  return finish();
}
