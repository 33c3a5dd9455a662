// Adam and the two halves of the LTGNN step on CUDA, under emulation: near the CPU kernels; faults.
#include "check.h"
#include "emu.h"
#include "machine.h"
#include "step_case.h"

namespace ltgnn::test {
namespace {

template <class T, class Made>
void test_against_cpu(const StepCase<T>& start, int64_t (*cpu)(const Made&, const Parallel&),
                      void (*launcher)(const Made&, const cuda::Launch&), Made (StepCase<T>::*params)()) {
  StepCase<T> expected = start, first = start;
  CHECK(cpu((expected.*params)(), {}) == -1);
  bool is_first = true;
  for_each_schedule([&] {
    StepCase<T> got = start;
    EmuLaunch launch;
    launcher((got.*params)(), launch.at());
    if (is_first) first = got;
    is_first = false;
    for (size_t i = 0; i < got.tables().size(); ++i) {
      CHECK(all_near(*got.tables()[i], *expected.tables()[i]));
      CHECK(same_bits(*got.tables()[i], *first.tables()[i]));
    }
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
  });
}

template <class T>
void test_step(int64_t dim, int64_t targets, int fanout, Random& random) {
  const CpuKernels& cpu = cpu_kernels();
  const StepCase<T> start(dim, targets, fanout, random);
  test_against_cpu(start, cpu.ltgnn_forward, cuda::ltgnn_forward, &StepCase<T>::forward);
  test_against_cpu(start, cpu.ltgnn_update, cuda::ltgnn_update, &StepCase<T>::update);
  test_against_cpu(start, cpu.adam, cuda::adam, &StepCase<T>::adam);
}

// One bad row number: it is reported with its position, its result is NaN, and only the other rows are
// written.
template <class T>
void test_bad_row(int64_t nonsense, Random& random) {
  constexpr int64_t kDim = 9, kTargets = 20, kBad = 13;
  StepCase<T> start(kDim, kTargets, 4, random);
  start.options = ~uint64_t{0};
  start.rows[kBad] = nonsense;
  const auto touched = [&](const std::vector<T>& before, const std::vector<T>& after) {
    int64_t count = 0;
    for (int64_t row = 0; row < kNodes; ++row)
      count += !std::equal(before.begin() + row * kDim, before.begin() + (row + 1) * kDim,
                           after.begin() + row * kDim);
    return count;
  };
  const auto check_fault = [&] {
    const FaultRecord fault = EmuLaunch::take_fault();
    CHECK(fault.state == FaultRecord::kComplete && fault.kind == FaultKind::kId);
    CHECK(fault.name == IdName::kRows && fault.position == kBad && fault.value == nonsense);
    CHECK(fault.bound == kNodes);
  };
  for_each_schedule([&] {
    EmuLaunch launch;
    StepCase<T> got = start;
    cuda::ltgnn_forward(got.forward(), launch.at());
    check_fault();
    for (int64_t i = 0; i < kTargets * kDim; ++i) {
      CHECK(std::isnan(got.out[static_cast<size_t>(i)]) == (i / kDim == kBad));
      CHECK(std::isnan(got.h[static_cast<size_t>(i)]) == (i / kDim == kBad));
    }
    CHECK(touched(start.z, got.z) == kTargets - 1 && touched(start.delta, got.delta) == kTargets - 1);
    got = start;
    cuda::ltgnn_update(got.update(), launch.at());
    check_fault();
    CHECK(touched(start.e0, got.e0) == kTargets - 1 && touched(start.g, got.g) == kTargets - 1);
    got = start;
    cuda::adam(got.adam(), launch.at());
    check_fault();
    CHECK(touched(start.e0, got.e0) == kTargets - 1 && touched(start.v, got.v) == kTargets - 1);
  });
}

// A bad index: the target that needs it gets NaN, and so does its row of z.
template <class T>
void test_bad_index(Random& random) {
  constexpr int64_t kDim = 8, kTargets = 30;
  StepCase<T> start(kDim, kTargets, 60, random);  // every row whole: no bad index is missed
  start.options = ~(uint64_t{1} << 11);
  const auto hub = std::find(start.rows.begin(), start.rows.end(), 0);
  if (hub != start.rows.end()) *hub = start.rows[7];  // rows stay distinct
  start.rows[7] = 0;
  start.graph.set_index(3, -5);
  for_each_schedule([&] {
    EmuLaunch launch;
    StepCase<T> got = start;
    cuda::ltgnn_forward(got.forward(), launch.at());
    const FaultRecord fault = EmuLaunch::take_fault();
    CHECK(fault.kind == FaultKind::kIndex && fault.position == 3 && fault.value == -5 && fault.other == 0);
    for (int64_t i = 0; i < kTargets * kDim; ++i)
      CHECK(std::isnan(got.out[static_cast<size_t>(i)]) == (i / kDim == 7));
    for (int64_t i = 0; i < kNodes * kDim; ++i)
      CHECK(std::isnan(got.z[static_cast<size_t>(i)]) == (i < kDim));
  });
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(12);
  for (const int64_t dim : {1, 4, 7, 33, 64, 132}) {
    for (const int64_t targets : {1, 17, 50}) {
      for (const int fanout : {3, 17}) {
        test_step<float>(dim, targets, fanout, random);
        test_step<double>(dim, targets, fanout, random);
      }
    }
  }
  test_step<float>(0, 10, 3, random);
  test_step<double>(5, 0, 3, random);
  for (const int64_t nonsense : {int64_t{-1}, int64_t{50}, INT64_MIN}) {
    test_bad_row<float>(nonsense, random);
    test_bad_row<double>(nonsense, random);
  }
  test_bad_index<float>(random);
  test_bad_index<double>(random);
  return finish();
}
