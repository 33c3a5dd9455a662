// push_residual and push on CUDA, under emulation: against plain loops in double and against the CPU's
// kernels; the scan they stand on; malformed graphs.
#include "check.h"
#include "cpu/kernels.h"
#include "cuda/kernels.h"
#include "cuda/scan.cuh"
#include "emu.h"
#include "push_case.h"

namespace ltgnn::test {
namespace {

template <class T>
constexpr double kClose = std::is_same_v<T, float> ? 2e-5 : 1e-12;

void test_scan(int64_t n, Random& random) {
  std::vector<uint32_t> in(static_cast<size_t>(n));
  for (uint32_t& value : in) value = static_cast<uint32_t>(random());
  std::vector<int64_t> want{0};
  for (const uint32_t value : in) want.push_back(want.back() + value);
  for_each_schedule([&] {
    EmuLaunch launch;
    std::vector<int64_t> out(want.size(), -7);
    cuda::exclusive_scan<uint32_t>("scan", in.data(), n, out.data(), launch.at());
    CHECK(out == want);
  });
}

template <class T>
void test_case(int64_t nodes, int64_t edges, int64_t dim, Random& random) {
  const DType index = random() % 2 ? DType::kInt32 : DType::kInt64;
  PushCase<T> test(nodes, edges, dim, index, random() % 2 == 0, random);
  test.params.max_rounds = random() % 3 == 0 ? 2 : 100000;
  test.params.max_pushes = random() % 4 == 0 ? nodes : 1000000;
  const std::vector<T> y = test.y, residual = test.residual;
  const auto want = test.push();
  CHECK(cpu_kernels().push(test.params, Parallel{}) == -1);
  const std::vector<T> cpu_y = test.y, cpu_residual = test.residual;
  CHECK(cpu_kernels().push_residual(test.exact, Parallel{}) == -1);
  const std::vector<T> cpu_exact = test.residual;
  std::vector<T> first_y, first_residual, first_exact;
  for_each_schedule([&] {
    EmuLaunch launch;
    test.y = y;
    test.residual = residual;
    test.out.rounds = 0;
    cuda::push(test.params, launch.at());
    CHECK(test.lists[PushOutput::kTouched] == want.touched);
    CHECK(test.lists[PushOutput::kPending] == want.pending);
    CHECK(test.out.rounds == want.rounds && test.out.pushes == want.pushes);
    CHECK(test.out.converged == want.pending.empty());
    CHECK(PushCase<T>::wrong(test.y, want.y, kClose<T>) == 0);
    CHECK(PushCase<T>::wrong(test.residual, want.residual, kClose<T>) == 0);
    CHECK(PushCase<T>::wrong(test.y, PushCase<T>::wide_copy(cpu_y), kClose<T>) == 0);
    CHECK(PushCase<T>::wrong(test.residual, PushCase<T>::wide_copy(cpu_residual), kClose<T>) == 0);
    if (first_y.empty()) {
      first_y = test.y;
      first_residual = test.residual;
    }
    CHECK(same_bits(test.y, first_y) && same_bits(test.residual, first_residual));
    test.residual.assign(test.residual.size(), T(-7));
    cuda::push_residual(test.exact, launch.at());
    if (first_exact.empty()) first_exact = test.residual;
    CHECK(same_bits(test.residual, first_exact));
    CHECK(PushCase<T>::wrong(test.residual, PushCase<T>::wide_copy(cpu_exact), 4 * kClose<T>) == 0);
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
  });
}

// What is malformed is reported and not followed. A row outside the pool is found before a round changes
// anything; after an index, what depends on it is NaN.
void test_malformed(DType index, Random& random) {
  using Case = PushCase<float>;
  const auto fault = [&](auto damage, int64_t row, FaultKind kind, bool residual_too) {
    EmuLaunch launch;
    Case test(50, 120, 8, index, false, random);
    test.rows = {3, row, 5};
    test.params.num_candidates = test.exact.num_targets = 3;
    test.params.rows = test.exact.rows = test.rows.data();
    damage(test, static_cast<size_t>(row));
    const auto y = test.y;
    cuda::push(test.params, launch.at());
    FaultRecord found = EmuLaunch::take_fault();
    CHECK(found.state == FaultRecord::kComplete && found.kind == kind);
    CHECK((kind == FaultKind::kRowRange ? found.position : found.other) == row);
    CHECK(!test.out.converged);
    if (kind == FaultKind::kRowRange)
      CHECK(same_bits(y, test.y));
    else
      CHECK(std::isnan(test.y[static_cast<size_t>(row) * 8]));
    cuda::push_residual(test.exact, launch.at());
    found = EmuLaunch::take_fault();
    CHECK((found.state == FaultRecord::kComplete && found.kind == kind) == residual_too);
    if (residual_too) CHECK(std::isnan(test.residual[static_cast<size_t>(row) * 8 + 7]));
  };
  for (const int64_t nonsense : {int64_t{-1}, INT64_MIN, INT64_MAX, int64_t{1} << 40}) {
    fault([&](Case& test, size_t row) { test.begin[row] = nonsense; }, 4, FaultKind::kRowRange, true);
    fault([&](Case& test, size_t row) { test.degree[row] = nonsense; }, 4, FaultKind::kRowRange, true);
  }
  for (const int64_t nonsense : {int64_t{-1}, int64_t{50}, int64_t{INT32_MAX}})
    fault([&](Case& test, size_t row) { test.set_index(test.begin[row] + 1, nonsense); }, 0,
          FaultKind::kIndex, true);
  fault([&](Case& test, size_t row) { test.set_index(test.begin[row] + 1, 0); }, 0, FaultKind::kOrder, false);
  for (const int64_t bad : {int64_t{-1}, int64_t{50}, INT64_MIN}) {
    EmuLaunch launch;
    Case test(50, 120, 7, index, false, random);
    test.rows = {3, 5, bad};
    test.params.num_candidates = test.exact.num_targets = 3;
    test.params.rows = test.exact.rows = test.rows.data();
    cuda::push(test.params, launch.at());
    FaultRecord found = EmuLaunch::take_fault();
    CHECK(found.kind == FaultKind::kId && found.position == 2 && found.value == bad && found.bound == 50);
    cuda::push_residual(test.exact, launch.at());
    found = EmuLaunch::take_fault();
    CHECK(found.kind == FaultKind::kId && found.position == 2 && found.value == bad && found.bound == 50);
  }
}

void test_not_finite(Random& random) {
  for (const float value : {NAN, INFINITY, -INFINITY}) {
    EmuLaunch launch;
    PushCase<float> test(30, 60, 3, DType::kInt32, false, random);
    test.rows = {2, 3};
    test.params.rows = test.rows.data();
    test.params.num_candidates = 2;
    test.residual[2 * 3 + 1] = value;
    test.params.max_rounds = 1;
    test.residual[3 * 3] = 1.0f;
    cuda::push(test.params, launch.at());
    CHECK(test.lists[PushOutput::kTouched] == std::vector<int64_t>{3});
    CHECK(!test.out.converged);
  }
}

void test_all() {
  Random random(13);
  for (const int64_t n : {0, 1, 31, 128, 1023, 1024, 1025, 5000}) test_scan(n, random);
  if (num_failures > 0) return;  // nothing stands on a wrong scan
  for (const int64_t dim : {1, 3, 31, 33, 64, 129}) {
    test_case<double>(30, 60, dim, random);
    test_case<float>(30, 60, dim, random);
  }
  for (int trial = 0; trial < 8; ++trial) test_case<double>(2 + below(random, 50), 60, 4, random);
  test_case<float>(300, 900, 8, random);
  test_case<double>(1, 0, 4, random);
  test_case<double>(7, 0, 4, random);
  for (const auto index : {DType::kInt32, DType::kInt64}) test_malformed(index, random);
  test_not_finite(random);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  try {
    ltgnn::test::test_all();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return ltgnn::test::finish();
}
