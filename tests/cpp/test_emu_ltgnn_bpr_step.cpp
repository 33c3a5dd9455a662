// The whole BPR step of LTGNN on CUDA, under emulation: near the CPU kernel, which is the composition of its
// three parts to the bit; faults.
#include "check.h"
#include "emu.h"
#include "machine.h"
#include "step_case.h"

namespace ltgnn::test {
namespace {

// A model and a batch of triples. Copies have memory of their own.
template <class T>
struct BprCase {
  StepCase<T> model;
  std::vector<int64_t> users, items, negatives;
  int64_t counter = 3;
  double loss = -1.0;

  BprCase(int64_t batch, int64_t dim, int fanout, Random& random) : model(dim, 1, fanout, random) {
    for (auto* ids : lists()) {
      ids->resize(static_cast<size_t>(batch));
      for (int64_t& id : *ids) id = below(random, kNodes);
    }
  }
  std::vector<std::vector<int64_t>*> lists() { return {&users, &items, &negatives}; }

  LtgnnBprStepParams params() {
    LtgnnBprStepParams p;
    p.forward = model.forward();
    p.update = model.update();
    p.forward.sample.rows = p.update.adam.rows = nullptr;
    p.forward.sample.num_targets = p.update.adam.num_rows = 0;
    p.forward.sample.out_second = p.forward.out = p.forward.z_new = nullptr;
    p.update.adam.grad = p.update.adam.l2 = p.update.h = nullptr;
    p.update.adam.delta = p.forward.z ? nullptr : model.delta.data();
    p.update.g_table = p.forward.sample.second ? model.g.data() : nullptr;
    p.update.c0 = p.forward.c0;
    p.users = users.data();
    p.items = items.data();
    p.negatives = negatives.data();
    p.batch = static_cast<int64_t>(users.size());
    p.counter = &counter;
    p.l2 = model.has(6) ? 0.3 : 0.0;
    p.lr = 0.05;
    p.beta2 = 0.99;
    p.seed = model.seed;
    p.loss = &loss;
    return p;
  }
};

// The CPU kernel: the forward, the loss and the update by themselves, on the sorted distinct nodes.
template <class T>
void test_composition(const BprCase<T>& start) {
  const CpuKernels& cpu = cpu_kernels();
  BprCase<T> fused = start, parts = start;
  CHECK(cpu.ltgnn_bpr_step(fused.params(), parallel(kMaxThreads)) == -1);
  CHECK(fused.counter == start.counter + 1);

  std::vector<int64_t> rows;
  for (auto* ids : parts.lists()) rows.insert(rows.end(), ids->begin(), ids->end());
  std::sort(rows.begin(), rows.end());
  std::vector<T> l2(rows.size(), T(0));
  const LtgnnBprStepParams p = parts.params();
  size_t count = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (count == 0 || rows[count - 1] != rows[i]) rows[count++] = rows[i];
    l2[count - 1] += T(1);
  }
  rows.resize(count);
  for (T& weight : l2) weight *= static_cast<T>(p.l2 / static_cast<double>(std::max<int64_t>(p.batch, 1)));
  for (auto* ids : parts.lists())
    for (int64_t& id : *ids) id = std::lower_bound(rows.begin(), rows.end(), id) - rows.begin();

  const size_t elements = count * static_cast<size_t>(start.model.dim);
  std::vector<T> out(elements), h(elements), z_new(elements), grad(elements);
  LtgnnForwardParams forward = p.forward;
  forward.sample.rows = rows.data();
  forward.sample.num_targets = static_cast<int64_t>(count);
  forward.sample.seed = step_seed(p.seed, start.counter);
  forward.sample.out_second = h.data();
  forward.z_new = z_new.data();
  forward.out = out.data();
  CHECK(cpu.ltgnn_forward(forward, {}) == -1);
  LossParams loss;
  loss.x = out.data();
  loss.num_rows = static_cast<int64_t>(count);
  loss.dim = start.model.dim;
  loss.users = parts.users.data();
  loss.items = parts.items.data();
  loss.negatives = parts.negatives.data();
  loss.batch = p.batch;
  loss.grad = grad.data();
  loss.loss = p.loss;
  loss.type = kTypeOf<T>;
  CHECK(cpu.bpr_loss(loss, {}) == -1);
  LtgnnUpdateParams update = p.update;
  update.adam.rows = rows.data();
  update.adam.num_rows = static_cast<int64_t>(count);
  update.adam.grad = grad.data();
  update.adam.l2 = l2.data();
  update.adam.constants = adam_constants(p.lr, p.beta1, p.beta2, p.eps, start.counter + 1);
  update.h = p.forward.sample.second ? h.data() : nullptr;
  CHECK(cpu.ltgnn_update(update, {}) == -1);

  CHECK(fused.loss == parts.loss);
  for (size_t i = 0; i < fused.model.tables().size(); ++i)
    CHECK(same_bits(*fused.model.tables()[i], *parts.model.tables()[i]));
}

// Two steps in turn, so that the second meets what the first wrote, and another seed.
template <class T>
void test_near_cpu(const BprCase<T>& start) {
  BprCase<T> expected = start, first = start;
  for (int step = 0; step < 2; ++step) CHECK(cpu_kernels().ltgnn_bpr_step(expected.params(), {}) == -1);
  bool is_first = true;
  for_each_schedule([&] {
    BprCase<T> got = start;
    for (int step = 0; step < 2; ++step) {
      EmuLaunch launch;
      cuda::ltgnn_bpr_step(got.params(), launch.at());
    }
    if (is_first) first = got;
    is_first = false;
    CHECK(got.counter == start.counter + 2);
    CHECK(near(got.loss, expected.loss, 8 * kTolerance<T>) && got.loss == first.loss);
    for (size_t i = 0; i < got.model.tables().size(); ++i) {
      CHECK(all_near(*got.model.tables()[i], *expected.model.tables()[i]));
      CHECK(same_bits(*got.model.tables()[i], *first.model.tables()[i]));
    }
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
  });
}

template <class T>
void test_case(const BprCase<T>& start) {
  test_composition(start);
  test_near_cpu(start);
}

template <class T>
void test_type(Random& random) {
  for (const int64_t batch : {0, 1, 33, 300}) {
    for (const int fanout : {3, 17}) test_case(BprCase<T>(batch, 8, fanout, random));
  }
  for (const int64_t dim : {0, 1, 7, 33, 64, 132}) test_case(BprCase<T>(33, dim, 5, random));
  BprCase<T> same(33, 8, 5, random);
  for (auto* ids : same.lists()) std::fill(ids->begin(), ids->end(), 7);
  test_case(same);
  BprCase<T> hub(300, 4, 5, random);
  std::fill(hub.items.begin(), hub.items.end(), 0);
  test_case(hub);
}

template <class T>
int64_t num_nan(const std::vector<T>& values) {
  return std::count_if(values.begin(), values.end(), [](T x) { return std::isnan(x); });
}

// Nodes out of range: reported; the loss is lost, the triple is left out, and nothing else comes to harm.
template <class T>
void test_bad_ids(Random& random) {
  constexpr IdName kNames[] = {IdName::kUsers, IdName::kItems, IdName::kNegatives};
  for (size_t list = 0; list < 3; ++list) {
    for (const int64_t bad : {int64_t{-1}, kNodes, INT64_MAX, int64_t{1} << 32}) {
      BprCase<T> start(20, 8, 4, random);
      start.model.options = ~uint64_t{0};
      for (auto* ids : start.lists())
        for (int64_t& id : *ids) id = id % (kNodes - 3);
      for (size_t other = 0; other < 3; ++other)  // nodes that occur nowhere else
        (*start.lists()[other])[11] = kNodes - 3 + static_cast<int64_t>(other);
      (*start.lists()[list])[11] = bad;
      BprCase<T> on_cpu = start;
      CHECK(cpu_kernels().ltgnn_bpr_step(on_cpu.params(), {}) == 11);
      CHECK(on_cpu.counter == start.counter && same_bits(on_cpu.model.e0, start.model.e0));
      for_each_schedule([&] {
        EmuLaunch launch;
        BprCase<T> got = start;
        cuda::ltgnn_bpr_step(got.params(), launch.at());
        const FaultRecord fault = EmuLaunch::take_fault();
        CHECK(fault.state == FaultRecord::kComplete && fault.kind == FaultKind::kId);
        CHECK(fault.name == kNames[list] && fault.position == 11 && fault.value == bad);
        CHECK(fault.bound == kNodes);
        CHECK(std::isnan(got.loss));
        for (const auto* table : got.model.tables()) CHECK(num_nan(*table) == 0);
        CHECK(std::equal(got.model.e0.end() - 3 * 8, got.model.e0.end(), start.model.e0.end() - 3 * 8));
        CHECK(!same_bits(got.model.e0, start.model.e0) && !same_bits(got.model.z, start.model.z));
      });
    }
  }
}

// A bad index: the row that needs it is lost, and who is in a triple with it.
template <class T>
void test_bad_index(Random& random) {
  BprCase<T> start(9, 8, 60, random);  // every row whole: no bad index is missed
  start.model.options = ~uint64_t{0};
  for (auto* ids : start.lists())
    for (int64_t& id : *ids) id = 3 + id % 20;
  start.users[4] = 0;
  start.items[4] = 30;
  start.negatives[4] = 31;
  start.model.graph.set_index(3, -5);
  BprCase<T> on_cpu = start;
  CHECK(cpu_kernels().ltgnn_bpr_step(on_cpu.params(), {}) == 9);  // the batch, and row 0
  for_each_schedule([&] {
    EmuLaunch launch;
    BprCase<T> got = start;
    cuda::ltgnn_bpr_step(got.params(), launch.at());
    const FaultRecord fault = EmuLaunch::take_fault();
    CHECK(fault.kind == FaultKind::kIndex && fault.position == 3 && fault.value == -5 && fault.other == 0);
    CHECK(num_nan(got.model.z) == 8);
    CHECK(num_nan(got.model.e0) == 3 * 8);
  });
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(31);
  test_type<float>(random);
  test_type<double>(random);
  test_bad_ids<float>(random);
  test_bad_index<double>(random);
  return finish();
}
