// Adam and the two halves of the LTGNN step on CUDA, under emulation: near the CPU kernels; faults.
#include <numeric>

#include "check.h"
#include "emu.h"
#include "graphs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

constexpr int64_t kNodes = 50;

std::vector<int64_t> distinct_rows(int64_t count, Random& random) {
  std::vector<int64_t> rows(kNodes);
  std::iota(rows.begin(), rows.end(), 0);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(static_cast<size_t>(count));
  rows.shrink_to_fit();
  return rows;
}

template <class T>
std::vector<T> magnitudes(std::vector<T> values) {
  for (T& value : values) value = std::abs(value);
  return values;
}

template <class T>
bool all_near(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!near(static_cast<double>(a[i]), static_cast<double>(b[i]), 8 * kTolerance<T>)) return false;
  return true;
}

// All tables of a model and a batch, with everything optional drawn at random. Copies have memory of their
// own.
template <class T>
struct StepCase {
  Graph graph = {};
  int64_t dim, targets;
  DType index;
  uint64_t options, seed;
  int fanout;
  std::vector<int64_t> rows;
  std::vector<T> scale, e0, z, delta, history_sum, g, m, v, l2, grad, h, z_new, out;

  StepCase(int64_t dim_, int64_t targets_, int fanout_, Random& random)
      : graph(random_graph(kNodes, kNodes, 2 * fanout_, random)),
        dim(dim_),
        targets(targets_),
        index(random() & 1 ? DType::kInt32 : DType::kInt64),
        options(random()),
        seed(random()),
        fanout(fanout_),
        rows(distinct_rows(targets_, random)) {
    const auto table = [&](int64_t count) { return random_values<T>(count * dim, random); };
    scale = random_values<T>(kNodes, random);
    l2 = random_values<T>(targets, random);
    for (auto* nodes : {&e0, &z, &delta, &history_sum, &g, &m}) *nodes = table(kNodes);
    v = magnitudes(table(kNodes));
    for (auto* batch : {&grad, &h, &z_new, &out}) *batch = table(targets);
  }

  bool has(int bit) const { return options >> bit & 1; }

  LtgnnForwardParams forward() {
    LtgnnForwardParams p;
    p.sample.csr = graph.view(index);
    p.sample.row_scale = p.sample.col_scale = has(0) ? scale.data() : nullptr;
    p.sample.rows = rows.data();
    p.sample.num_targets = targets;
    p.sample.x = delta.data();
    p.sample.history_sum = history_sum.data();
    p.sample.second = has(1) ? g.data() : nullptr;
    p.sample.out_second = has(1) ? h.data() : nullptr;
    p.sample.dim = dim;
    p.sample.fanout = fanout;
    p.sample.seed = seed;
    p.sample.self_loops = has(2);
    p.sample.type = kTypeOf<T>;
    p.e0 = e0.data();
    p.z = has(3) ? z.data() : nullptr;
    p.delta = delta.data();
    p.z_new = has(3) ? z_new.data() : nullptr;
    p.out = out.data();
    p.alpha = 0.4;
    p.c0 = has(4) ? 0.25 : 0.0;
    return p;
  }

  AdamParams adam() {
    AdamParams p;
    p.rows = has(5) ? rows.data() : nullptr;
    p.num_rows = p.rows ? targets : std::min(targets, kNodes);
    p.table_rows = kNodes;
    p.dim = dim;
    p.grad = grad.data();
    p.l2 = has(6) ? l2.data() : nullptr;
    p.param = e0.data();
    p.m = m.data();
    p.v = v.data();
    p.delta = has(7) ? delta.data() : nullptr;
    p.constants = adam_constants(0.05, 0.9, 0.99, 1e-8, 3);
    p.type = kTypeOf<T>;
    return p;
  }

  LtgnnUpdateParams update() {
    LtgnnUpdateParams p;
    p.adam = adam();
    p.adam.rows = rows.data();
    p.adam.num_rows = targets;
    p.h = has(8) ? h.data() : nullptr;
    p.g_table = has(9) ? g.data() : nullptr;
    p.alpha = 0.4;
    p.c0 = 0.25;
    p.faithful = has(10);
    return p;
  }

  std::vector<const std::vector<T>*> tables() const {
    return {&e0, &z, &delta, &history_sum, &g, &m, &v, &grad, &h, &z_new, &out};
  }
};

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
  start.options = ~uint64_t{0};
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
