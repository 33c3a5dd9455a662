// in_batch_softmax_loss on CUDA, under emulation: against plain loops in double that keep the whole
// batch-by-batch matrix, and against the CPU kernel.
#include "check.h"
#include "emu.h"
#include "loss_case.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

struct Run {
  double loss;
  FaultRecord fault;
};

// The launcher, once; the gradient is left in the batch.
template <class T>
Run run(Batch<T>& b) {
  EmuLaunch launch;
  std::fill(b.grad.begin(), b.grad.end(), T(3));
  b.loss = -1.0;
  cuda::in_batch_softmax_loss(b.params, launch.at());
  return {b.loss, EmuLaunch::take_fault()};
}

template <class T>
void compare(Batch<T>& b, const Expected& expected) {
  CHECK(cpu_kernels().in_batch_softmax_loss(b.params, {}) == -1);
  const std::vector<T> on_cpu = b.grad;
  const double cpu_loss = b.loss;
  std::vector<T> first;
  double first_loss = 0.0;
  for_each_schedule([&] {
    const Run result = run(b);
    CHECK(result.fault.state == FaultRecord::kFree);
    if (first.empty()) {
      first = b.grad;
      first_loss = result.loss;
    }
    CHECK(same_bits(first, b.grad) && first_loss == result.loss);
  });
  CHECK(near(first_loss, expected.loss, kTolerance<T>));
  CHECK(near(first_loss, cpu_loss, kTolerance<T>));
  int wrong = 0, different = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    wrong += !near(static_cast<double>(first[i]), expected.grad[i], 4 * kTolerance<T>);
    different += !near(static_cast<double>(first[i]), static_cast<double>(on_cpu[i]), 2 * kTolerance<T>);
  }
  CHECK(wrong == 0);
  CHECK(different == 0);
}

template <class T>
void compare(Batch<T>& b) {
  compare(b, expected_softmax(b));
}

template <class T>
void test_type(Random& random) {
  // One block and part, several of either; a pair alone.
  for (const int64_t size : {0, 1, 2, 33, 200}) {
    Batch<T> b(size, 5, random);
    compare(b);
    b.skip_some(random);
    compare(b);
  }
  for (const int64_t dim : {1, 33, 64, 129}) {
    Batch<T> b(20, dim, random);
    compare(b);
  }
  // One row in every pair, on both sides; one user with many items.
  Batch<T> same(33, 8, random), hub(70, 4, random);
  for (size_t b = 0; b < same.size(); ++b) same.users[b] = same.items[b] = 7;
  compare(same);
  std::fill(hub.users.begin(), hub.users.end(), 5);
  compare(hub);
  // A temperature at which only the largest cosine counts, and none but the shift keeps in range.
  Batch<T> cold(40, 8, random);
  cold.params.tau = 1e-4;
  for (size_t i = 0; i < cold.x.size(); ++i) cold.x[i] = std::round(4 * cold.x[i]) + T(i % 8 == 0);
  const Run result = run(cold);
  CHECK(std::isfinite(result.loss));
  const double loss = result.loss;
  CHECK(cpu_kernels().in_batch_softmax_loss(cold.params, {}) == -1);
  CHECK(near(loss, cold.loss, 1e4 * kTolerance<T>));
}

// Rows of zeros: cosine 0, no gradient.
template <class T>
void test_zero_rows(Random& random) {
  Batch<T> b(33, 8, random);
  for (int64_t i = 0; i < 8; ++i) b.x[static_cast<size_t>(b.users[3] * 8 + i)] = 0;
  CHECK(cpu_kernels().in_batch_softmax_loss(b.params, {}) == -1);
  const std::vector<T> on_cpu = b.grad;
  const double cpu_loss = b.loss;
  CHECK(near(run(b).loss, cpu_loss, kTolerance<T>));
  for (size_t i = 0; i < on_cpu.size(); ++i)
    CHECK(near(static_cast<double>(b.grad[i]), static_cast<double>(on_cpu[i]), 2 * kTolerance<T>));
  for (int64_t i = 0; i < 8; ++i) CHECK(b.grad[static_cast<size_t>(b.users[3] * 8 + i)] == T(0));
}

template <class T>
void test_bad_ids(Random& random) {
  bool user = false;
  for (const int64_t bad : {int64_t{-1}, int64_t{64}, INT64_MAX, INT64_MIN, int64_t{1} << 32}) {
    user = !user;
    Batch<T> b(59, 8, random);
    CHECK(b.num_rows == 64);
    (user ? b.users : b.items)[20] = bad;
    for_each_schedule([&] {
      const Run result = run(b);
      CHECK(std::isnan(result.loss));
      CHECK(result.fault.state == FaultRecord::kComplete && result.fault.kind == FaultKind::kId);
      CHECK(result.fault.name == (user ? IdName::kUsers : IdName::kItems));
      CHECK(result.fault.position == 20 && result.fault.value == bad && result.fault.bound == 64);
    });
  }
}

void test_sizes_beyond_32_bits(Random& random) {
  Batch<float> b(3, 4, random);
  b.params.num_rows = int64_t{1} << 32;
  bool refused = false;
  try {
    run(b);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  CHECK(refused);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(14);
  test_type<float>(random);
  test_type<double>(random);
  test_zero_rows<float>(random);
  test_zero_rows<double>(random);
  test_bad_ids<float>(random);
  test_bad_ids<double>(random);
  test_sizes_beyond_32_bits(random);
  return finish();
}
