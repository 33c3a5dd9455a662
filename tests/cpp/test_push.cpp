// push_residual and push on the CPU: against plain loops, the bound, the same bits for any number of threads,
// malformed graphs.
#include "check.h"
#include "machine.h"
#include "push_case.h"

namespace ltgnn::test {
namespace {

template <class T>
constexpr double kClose = std::is_same_v<T, float> ? 2e-5 : 1e-12;

template <class T>
void test_case(const CpuKernels& kernels, int64_t nodes, int64_t edges, int64_t dim, Random& random) {
  const DType index = random() % 2 ? DType::kInt32 : DType::kInt64;
  PushCase<T> test(nodes, edges, dim, index, random() % 2 == 0, random);
  test.params.max_rounds = random() % 3 == 0 ? 2 : 100000;
  test.params.max_pushes = random() % 4 == 0 ? nodes : 1000000;
  const auto want = test.push();
  const std::vector<T> y = test.y, residual = test.residual;
  std::vector<T> first_y, first_residual;
  for (const int threads : {1, 2, kMaxThreads}) {
    test.y = y;
    test.residual = residual;
    CHECK(kernels.push(test.params, parallel(threads)) == -1);
    CHECK(test.lists[PushOutput::kTouched] == want.touched);
    CHECK(test.lists[PushOutput::kPending] == want.pending);
    CHECK(test.out.rounds == want.rounds && test.out.pushes == want.pushes);
    CHECK(test.out.converged == want.pending.empty());
    CHECK(PushCase<T>::wrong(test.y, want.y, kClose<T>) == 0);
    CHECK(PushCase<T>::wrong(test.residual, want.residual, kClose<T>) == 0);
    if (first_y.empty()) {
      first_y = test.y;
      first_residual = test.residual;
    }
    CHECK(same_bits(test.y, first_y) && same_bits(test.residual, first_residual));
  }
  std::vector<T> first_exact;
  const auto exact = test.residual_of(PushCase<T>::wide_copy(test.y));
  for (const int threads : {1, kMaxThreads}) {
    test.residual.assign(test.residual.size(), T(-7));
    CHECK(kernels.push_residual(test.exact, parallel(threads)) == -1);
    CHECK(PushCase<T>::wrong(test.residual, exact, 4 * kClose<T>) == 0);
    if (first_exact.empty()) first_exact = test.residual;
    CHECK(same_bits(test.residual, first_exact));
  }
  // Chosen rows only.
  test.residual.assign(test.residual.size(), T(-7));
  test.exact.rows = want.touched.data();
  test.exact.num_targets = static_cast<int64_t>(want.touched.size());
  CHECK(kernels.push_residual(test.exact, parallel(2)) == -1);
  for (int64_t row = 0; row < nodes; ++row) {
    const bool chosen = std::binary_search(want.touched.begin(), want.touched.end(), row);
    for (int64_t i = 0; i < dim; ++i) {
      const auto at = static_cast<size_t>(row * dim + i);
      CHECK(test.residual[at] == (chosen ? first_exact[at] : T(-7)));
    }
  }
}

// From the exact residual to tol: every entry within tol / alpha of the solution, which 200 sweeps give.
void test_bound(const CpuKernels& kernels, Random& random) {
  PushCase<double> test(60, 100, 5, DType::kInt32, false, random);
  for (int64_t row = 0; row < 60; ++row) test.rows.push_back(row);
  test.params.rows = test.rows.data();
  test.params.num_candidates = static_cast<int64_t>(test.rows.size());
  test.params.tol = 1e-3;
  CHECK(kernels.push_residual(test.exact, parallel(2)) == -1);
  CHECK(kernels.push(test.params, parallel(2)) == -1);
  CHECK(test.out.converged);
  auto solution = PushCase<double>::wide_copy(test.y);
  for (int sweep = 0; sweep < 200; ++sweep) {
    const auto step = test.residual_of(solution);
    for (size_t i = 0; i < solution.size(); ++i) solution[i] += step[i];
  }
  CHECK(PushCase<double>::wrong(test.y, solution, test.params.tol / test.params.alpha) == 0);
}

void test_malformed(const CpuKernels& kernels, DType index, Random& random) {
  using Case = PushCase<float>;
  const auto fault = [&](auto damage, int64_t row, bool residual_too) {
    for (const int threads : {1, kMaxThreads}) {
      Case test(50, 120, 7, index, false, random);
      test.rows = {3, row, 5};
      test.params.num_candidates = test.exact.num_targets = 3;
      test.params.rows = test.exact.rows = test.rows.data();
      damage(test, static_cast<size_t>(row));
      const auto y = test.y, residual = test.residual;
      CHECK(kernels.push(test.params, parallel(threads)) == 3 + row);
      CHECK(same_bits(y, test.y) && same_bits(residual, test.residual));  // found before anything is changed
      CHECK(kernels.push_residual(test.exact, parallel(threads)) == (residual_too ? 1 : -1));
    }
  };
  for (const int64_t nonsense : {int64_t{-1}, INT64_MIN, INT64_MAX, int64_t{1} << 40}) {
    fault([&](Case& test, size_t row) { test.begin[row] = nonsense; }, 4, true);
    fault([&](Case& test, size_t row) { test.degree[row] = nonsense; }, 4, true);
  }
  for (const int64_t nonsense : {int64_t{-1}, int64_t{50}, int64_t{INT32_MAX}})
    fault([&](Case& test, size_t row) { test.set_index(test.begin[row] + 1, nonsense); }, 0, true);
  fault([&](Case& test, size_t row) { test.set_index(test.begin[row] + 1, 0); }, 0, false);
  for (const int64_t bad : {int64_t{-1}, int64_t{50}, INT64_MIN}) {
    Case test(50, 120, 7, index, false, random);
    test.rows = {3, bad, bad};
    test.params.num_candidates = test.exact.num_targets = 3;
    test.params.rows = test.exact.rows = test.rows.data();
    CHECK(kernels.push(test.params, parallel(1)) == 1);
    CHECK(kernels.push_residual(test.exact, parallel(1)) == 1);
  }
}

// A row that is not finite is left alone, and said to be there.
void test_not_finite(const CpuKernels& kernels, Random& random) {
  for (const float value : {NAN, INFINITY, -INFINITY}) {
    PushCase<float> test(30, 60, 3, DType::kInt32, false, random);
    test.rows = {2, 3};
    test.params.rows = test.rows.data();
    test.params.num_candidates = 2;
    test.residual[2 * 3 + 1] = value;
    test.params.max_rounds = 1;
    test.residual[3 * 3] = 1.0f;
    CHECK(kernels.push(test.params, parallel(1)) == -1);
    CHECK(test.lists[PushOutput::kTouched] == std::vector<int64_t>{3});
    CHECK(!test.out.converged);
    int64_t lost = 0;
    for (const float v : test.y) lost += !std::isfinite(v);
    CHECK(lost == 0);
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(11);
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    for (const int64_t dim : {1, 3, 31, 33, 64, 129}) {
      test_case<double>(*kernels, 80, 200, dim, random);
      test_case<float>(*kernels, 80, 200, dim, random);
    }
    for (int trial = 0; trial < 20; ++trial)
      test_case<double>(*kernels, 2 + below(random, 60), 90, 5, random);
    test_case<double>(*kernels, 2500, 9000, 24, random);  // several tasks
    test_case<double>(*kernels, 1, 0, 4, random);
    test_case<double>(*kernels, 7, 0, 4, random);
    test_bound(*kernels, random);
    for (const auto index : {ltgnn::DType::kInt32, ltgnn::DType::kInt64})
      test_malformed(*kernels, index, random);
    test_not_finite(*kernels, random);
  }
  return finish();
}
