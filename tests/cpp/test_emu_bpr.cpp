// bpr_loss on CUDA, under emulation: against plain loops in double and against the CPU kernel.
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
  cuda::bpr_loss(b.params, launch.at());
  return {b.loss, EmuLaunch::take_fault()};
}

template <class T>
void compare(Batch<T>& b) {
  const Expected expected = expected_bpr(b);
  CHECK(cpu_kernels().bpr_loss(b.params, {}) == -1);
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
    different += !near(static_cast<double>(first[i]), static_cast<double>(on_cpu[i]), kTolerance<T>);
  }
  CHECK(wrong == 0);
  CHECK(different == 0);
}

template <class T>
void test_type(Random& random) {
  for (const int64_t size : {0, 1, 33, 300}) {
    Batch<T> b(size, 8, random);
    compare(b);
  }
  for (const int64_t dim : {1, 31, 33, 64, 129}) {
    Batch<T> b(33, dim, random);
    compare(b);
  }
  // One row in all triples, in every role; and one user with many items.
  Batch<T> same(33, 8, random);
  for (size_t b = 0; b < same.size(); ++b) same.users[b] = same.items[b] = same.negatives[b] = 7;
  compare(same);
  Batch<T> hub(300, 4, random);
  std::fill(hub.users.begin(), hub.users.end(), 5);
  compare(hub);
}

// Row numbers out of range: reported, the triples left out, the loss lost. A power of two of rows, so that
// the number of rows has a bit more than any row.
template <class T>
void test_bad_ids(Random& random) {
  struct {
    IdName name;
    std::vector<int64_t> Batch<T>::* ids;
  } const lists[] = {{IdName::kUsers, &Batch<T>::users},
                     {IdName::kItems, &Batch<T>::items},
                     {IdName::kNegatives, &Batch<T>::negatives}};
  for (const auto& list : lists) {
    for (const int64_t bad : {int64_t{-1}, int64_t{64}, INT64_MAX, INT64_MIN, int64_t{1} << 32}) {
      Batch<T> b(59, 8, random);
      CHECK(b.num_rows == 64);
      Batch<T> without = b;
      for (auto* ids : {&without.users, &without.items, &without.negatives}) ids->erase(ids->begin() + 20);
      const Expected expected = expected_bpr(without);
      (b.*list.ids)[20] = bad;
      for_each_schedule([&] {
        const Run result = run(b);
        CHECK(std::isnan(result.loss));
        CHECK(result.fault.state == FaultRecord::kComplete && result.fault.kind == FaultKind::kId);
        CHECK(result.fault.name == list.name && result.fault.position == 20);
        CHECK(result.fault.value == bad && result.fault.bound == 64);
        int wrong = 0;  // the mean is still over all triples
        for (size_t i = 0; i < b.grad.size(); ++i)
          wrong += !near(static_cast<double>(b.grad[i]) * 59 / 58, expected.grad[i], 4 * kTolerance<T>);
        CHECK(wrong == 0);
      });
    }
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
  Random random(21);
  test_type<float>(random);
  test_type<double>(random);
  test_bad_ids<float>(random);
  test_sizes_beyond_32_bits(random);
  return finish();
}
