// What each CUDA lane does (cuda/lane.h), run lane after lane on the CPU: the mathematics, the division of
// columns among lanes, and that nothing out of range is touched.
#include "check.h"
#include "cuda/lane.h"
#include "machine.h"
#include "propagate_case.h"

namespace ltgnn::test {
namespace {

template <class T, class Index, int V>
void run_lanes(const PropagateParams& params, int lanes) {
  for (int64_t row = 0; row < params.csr.num_rows; ++row)
    for (int lane = 0; lane < lanes; ++lane)
      cuda::propagate_lane<T, Index, V>(params, row, target_row(params, row), lane, lanes);
}

template <class T, int V>
void test_propagate(int64_t dim, Random& random) {
  for (int lanes = 1; lanes <= 32; lanes *= 2) {
    PropagateCase<T> test(random_graph(40, 40, 9, random), dim, V == 1 ? 3 : V, DType::kInt32, random);
    run_lanes<T, int32_t, V>(test.params, lanes);
    int wrong = 0;
    for (int64_t row = 0; row < 40; ++row)
      for (int64_t i = 0; i < dim; ++i)
        wrong += !near(test.result(row, i), test.expected(row, i), 4 * kTolerance<T>);
    CHECK(wrong == 0);
    const auto narrow = test.out;
    test.params.csr = test.graph.view(DType::kInt64);
    run_lanes<T, int64_t, V>(test.params, lanes);
    CHECK(same_bits(test.out, narrow));
  }
}

// A bad index or row pointer makes its row NaN and no other.
void test_faults(Random& random) {
  for (int64_t place = 0; place < 40; ++place) {
    PropagateCase<float> test(random_graph(10, 40, 9, random), 8, 0, DType::kInt32, random);
    test.graph.set_index(place, place % 2 ? -1 - place : 40 + place);  // row 0 has forty edges
    test.graph.indptr[9] = place % 3 ? -place : test.graph.num_edges() + 1;
    test.params.csr = test.graph.view(DType::kInt32);
    run_lanes<float, int32_t, 4>(test.params, 2);
    for (int64_t row = 0; row < 10; ++row) {
      const bool bad = row == 0 || row == 9 || !valid_row(test.params.csr, row);
      CHECK(bad == std::isnan(test.result(row, 5)));
    }
  }
}

template <class T, int V>
void test_dot(int64_t dim, Random& random) {
  const auto a = random_values<T>(dim, random), b = random_values<T>(dim, random);
  double expected = 0.0;
  for (size_t i = 0; i < a.size(); ++i) expected += to_double(a[i]) * to_double(b[i]);
  for (int lanes = 1; lanes <= 32; lanes *= 2) {
    double sum = 0.0;
    for (int lane = 0; lane < lanes; ++lane)
      sum += static_cast<double>(cuda::lane_dot<T, V>(a.data(), b.data(), dim, lane, lanes));
    CHECK(near(sum, expected, std::is_same_v<T, double> ? 1e-12 : 2e-5));
  }
}

template <class T>
void test_type(Random& random) {
  constexpr int kWide = cuda::kPackWidth<T>;
  for (const int64_t dim : {1, 2, 31, 64, 65}) {
    test_propagate<T, 1>(dim, random);
    test_propagate<T, kWide>((dim + kWide - 1) / kWide * kWide, random);
    test_dot<T, 1>(dim, random);
    test_dot<T, kWide>((dim + kWide - 1) / kWide * kWide, random);
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(2);
  test_type<float>(random);
  test_type<double>(random);
  test_type<ltgnn::BFloat16>(random);
  test_type<ltgnn::Float16>(random);
  test_faults(random);
  return finish();
}
