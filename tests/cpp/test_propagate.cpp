// propagate and edge_dot against plain loops, on every instruction set, with one to four threads.
#include "check.h"
#include "machine.h"
#include "propagate_case.h"

namespace ltgnn::test {
namespace {

// Large enough for several tasks (cpu/rows.h), so that threads share the work.
constexpr int64_t kRows = 900, kCols = 900, kMaxDegree = 40;

template <class T>
void test_propagate(const CpuKernels& kernels, int64_t dim, DType index, Random& random) {
  PropagateCase<T> test(random_graph(kRows, kCols, kMaxDegree, random), dim, dim % 3, index, random);
  CHECK(kernels.propagate(test.params, parallel(1)) == -1);
  int wrong = 0;
  for (int64_t row = 0; row < kRows; ++row)
    for (int64_t column = 0; column < dim; ++column)
      wrong += !near(test.result(row, column), test.expected(row, column), 4 * kTolerance<T>);
  CHECK(wrong == 0);
  const std::vector<T> first = test.out;
  for (int threads = 2; threads <= kMaxThreads; ++threads) {
    test.out.assign(test.out.size(), from_double<T>(-7.0));
    CHECK(kernels.propagate(test.params, parallel(threads)) == -1);
    CHECK(same_bits(test.out, first));
  }
  // By windows, and without them as if x were far away: the same bits.
  for (const int64_t columns : {int64_t{0}, kCols / 3, kCols / 2, kCols, 2 * kCols}) {
    test.params.blocking = columns > 0 ? in_windows(test.params, columns, sizeof(T)) : PropagateBlocking{-1};
    for (int threads = 1; threads <= kMaxThreads; ++threads) {
      test.out.assign(test.out.size(), from_double<T>(-7.0));
      CHECK(kernels.propagate(test.params, parallel(threads)) == -1);
      CHECK(same_bits(test.out, first));
    }
  }
}

// Columns that do not ascend leave a window and come back.
void test_unsorted(const CpuKernels& kernels, Random& random) {
  Graph graph = random_graph(kRows, kCols, kMaxDegree, random);
  for (int64_t e = 0; e < graph.num_edges(); ++e) graph.set_index(e, below(random, kCols));
  PropagateCase<float> test(std::move(graph), 16, 0, DType::kInt32, random);
  CHECK(kernels.propagate(test.params, parallel(1)) == -1);
  const std::vector<float> first = test.out;
  test.params.blocking = in_windows(test.params, kCols / 3, sizeof(float));
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    test.out.assign(test.out.size(), -7.0f);
    CHECK(kernels.propagate(test.params, parallel(threads)) == -1);
    CHECK(same_bits(test.out, first));
  }
}

// Out may be x0, also where rows are taken by windows.
template <class T>
void test_in_place(const CpuKernels& kernels, int64_t dim, Random& random) {
  PropagateCase<T> test(random_graph(kRows, kCols, kMaxDegree, random), dim, 0, DType::kInt32, random);
  test.params.x0 = test.x0.data();
  test.params.alpha = 0.25;
  CHECK(kernels.propagate(test.params, parallel(1)) == -1);
  const std::vector<T> x0 = test.x0;
  test.params.out = test.x0.data();
  for (const int64_t columns : {int64_t{0}, kCols / 3}) {
    test.params.blocking = columns > 0 ? in_windows(test.params, columns, sizeof(T)) : PropagateBlocking{};
    std::copy(x0.begin(), x0.end(), test.x0.begin());
    CHECK(kernels.propagate(test.params, parallel(2)) == -1);
    CHECK(same_bits(test.x0, test.out));
  }
}

// A number in `rows` that is none is the fault of its row, and nothing is written for it.
void test_bad_target(const CpuKernels& kernels, Random& random) {
  for (const int64_t bad : {int64_t{-1}, kRows, INT64_MAX, INT64_MIN}) {
    PropagateCase<float> test(random_graph(kRows, kCols, kMaxDegree, random), 8, 0, DType::kInt32, random);
    test.params.rows = test.rows.data();
    const int64_t row = below(random, kRows), lost = test.rows[static_cast<size_t>(row)];
    test.rows[static_cast<size_t>(row)] = bad;
    CHECK(kernels.propagate(test.params, parallel(2)) == row);
    test.params.blocking = in_windows(test.params, kCols, sizeof(float));
    CHECK(kernels.propagate(test.params, parallel(2)) == row);
    test.rows[static_cast<size_t>(row)] = lost;
    for (int64_t other = 0; other < kRows; ++other)
      CHECK(other == row ? test.result(row, 0) == -7.0
                         : near(test.result(other, 0), test.expected(other, 0), 4 * kTolerance<float>));
  }
}

// Nothing is written for a row with an index out of range, in none of its tiles, and all else is.
void test_bad_index(const CpuKernels& kernels, Random& random) {
  for (const int place : {0, 1, 2}) {
    Graph graph = random_graph(kRows, kCols, kMaxDegree, random);
    const auto begin = [&](int64_t row) { return graph.indptr[static_cast<size_t>(row)]; };
    int64_t row = below(random, kRows);
    while (begin(row + 1) - begin(row) < 20) row = (row + 1) % kRows;  // enough for windows
    const int64_t first = begin(row), last = begin(row + 1) - 1;
    const int64_t edge = place == 0 ? first : place == 1 ? (first + last) / 2 : last;
    PropagateCase<float> test(std::move(graph), 33, 0, DType::kInt64, random);
    const int64_t lost = test.graph.wide[static_cast<size_t>(edge)];
    for (const int64_t columns : {int64_t{0}, kCols / 3}) {
      test.params.blocking =
          columns > 0 ? in_windows(test.params, columns, sizeof(float)) : PropagateBlocking{};
      test.out.assign(test.out.size(), -7.0f);
      test.graph.set_index(edge, kCols);
      CHECK(kernels.propagate(test.params, parallel(2)) == row);
      test.graph.set_index(edge, lost);
      int wrong = 0;
      for (int64_t other = 0; other < kRows; ++other)
        for (int64_t column = 0; column < 33; ++column)
          wrong += other == row ? test.result(row, column) != -7.0
                                : !near(test.result(other, column), test.expected(other, column),
                                        4 * kTolerance<float>);
      CHECK(wrong == 0);
    }
  }
}

template <class T>
void test_edge_dot(const CpuKernels& kernels, int64_t dim, DType index, Random& random) {
  using Acc = typename AccumulatorOf<T>::type;
  const Graph graph = random_graph(kRows, kCols, kMaxDegree, random);
  const auto g = random_values<T>(kRows * dim, random), x = random_values<T>(kCols * dim, random);
  const auto row_scale = random_values<Acc>(kRows, random), col_scale = random_values<Acc>(kCols, random);
  std::vector<Acc> out(static_cast<size_t>(graph.num_edges()));
  EdgeDotParams params;
  params.csr = graph.view(index);
  params.type = kTypeOf<T>;
  params.row_scale = row_scale.data();
  params.col_scale = col_scale.data();
  params.g = g.data();
  params.x = x.data();
  params.g_stride = params.x_stride = params.dim = dim;
  params.factor = 0.75;
  params.out = out.data();
  CHECK(kernels.edge_dot(params, parallel(1)) == -1);
  int wrong = 0;
  for (size_t row = 0; row < static_cast<size_t>(kRows); ++row) {
    for (int64_t e = graph.indptr[row]; e < graph.indptr[row + 1]; ++e) {
      const auto c = static_cast<size_t>(graph.wide[static_cast<size_t>(e)]);
      double sum = 0.0;
      for (size_t i = 0; i < static_cast<size_t>(dim); ++i)
        sum +=
            to_double(g[row * static_cast<size_t>(dim) + i]) * to_double(x[c * static_cast<size_t>(dim) + i]);
      sum *= 0.75 * static_cast<double>(row_scale[row]) * static_cast<double>(col_scale[c]);
      // Sums are held in float for the 16-bit types too, so their result is as good as float32's.
      const double tolerance = std::is_same_v<T, double> ? kTolerance<double> : kTolerance<float>;
      wrong += !near(static_cast<double>(out[static_cast<size_t>(e)]), sum, tolerance);
    }
  }
  CHECK(wrong == 0);
  const auto first = out;
  for (int threads = 2; threads <= kMaxThreads; ++threads) {
    CHECK(kernels.edge_dot(params, parallel(threads)) == -1);
    CHECK(same_bits(out, first));
  }
}

template <class T>
void test_type(const CpuKernels& kernels, Random& random) {
  for (const int64_t dim : {1, 7, 28, 33, 64, 129}) {
    for (const DType index : {DType::kInt32, DType::kInt64}) {
      test_propagate<T>(kernels, dim, index, random);
      test_edge_dot<T>(kernels, dim, index, random);
    }
    test_in_place<T>(kernels, dim, random);
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(1);
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    std::printf("%s\n", kernels->name);
    test_bad_target(*kernels, random);
    test_bad_index(*kernels, random);
    test_unsorted(*kernels, random);
    test_type<float>(*kernels, random);
    test_type<double>(*kernels, random);
    test_type<ltgnn::BFloat16>(*kernels, random);
    test_type<ltgnn::Float16>(*kernels, random);
  }
  return finish();
}
