// topk on CUDA, under emulation: against a full ranking and against the CPU kernel.
#include "check.h"
#include "emu.h"
#include "machine.h"
#include "topk_case.h"

namespace ltgnn::test {
namespace {

template <class T>
void run(TopkCase<T>& c, bool integers = true) {
  CHECK(cpu_kernels_baseline().topk(c.params, {}) == -1);
  const std::vector<T> cpu_scores = c.scores;
  const std::vector<int64_t> cpu_ids = c.ids;
  bool first = true;
  for_each_schedule([&] {
    std::fill(c.scores.begin(), c.scores.end(), T(3));
    std::fill(c.ids.begin(), c.ids.end(), 12345);
    EmuLaunch launch;
    cuda::topk(c.params, launch.at());
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
    // Both add up in the same order and neither fuses here: the same bits, on every schedule.
    CHECK(same_bits(cpu_scores, c.scores) && same_bits(cpu_ids, c.ids));
    if (first) CHECK((integers ? c.num_wrong() : c.num_far_off()) == 0);
    first = false;
  });
}

template <class T>
void test_sizes(Random& random) {
  for (const int64_t num_items : {1, 500}) {
    for (const int64_t k : {1, 20, 100}) {
      TopkCase<T> c(5, num_items, 3, k, random);
      c.mask(random_seen(5, num_items, num_items / 2, random), k == 20 ? DType::kInt64 : DType::kInt32);
      run(c);
    }
  }
  for (const int64_t dim : {0, 1, 31, 33, 64, 129}) {
    const bool integers = dim % 2 == 0;
    TopkCase<T> c(3, 140, dim, 20, random, integers);
    run(c, integers);
  }
  TopkCase<T> many(70, 130, 2, 5, random), none(0, 10, 2, 5, random), no_items(5, 0, 2, 3, random);
  run(many);
  run(none);
  run(no_items);
}

// Lists too long for shared memory; more results than items.
template <class T>
void test_long_lists(Random& random) {
  TopkCase<T> deep(1, 1500, 1, 1000, random), beyond(2, 300, 1, 1000, random);
  deep.mask(random_seen(1, 1500, 100, random), DType::kInt32);
  deep.seen.indptr = {0, 60};  // of a row that holds everything
  deep.seen.narrow.resize(60);
  deep.seen.wide.resize(60);
  deep.params.seen = deep.seen.view(DType::kInt32);
  run(deep);
  run(beyond);
}

// Items enough for several blocks a query: the best in the last place of the first part; the best in both
// parts in turn; ranked worst first, so that every item is a candidate.
template <class T>
void test_splits(Random& random) {
  constexpr int64_t kItems = 4300, kPart = 17 * 128;
  TopkCase<T> c(3, kItems, 1, 20, random), rising(2, kItems, 1, 1, random);
  TopkCase<T> last(1, kItems, 1, 2, random), mixed(2, kItems, 1, 20, random);
  last.queries[0] = 1;
  last.items[kPart - 1] = 100;
  run(last);
  mixed.queries[0] = 1;
  for (int64_t i = 0; i < kItems; ++i) mixed.items[static_cast<size_t>(i)] = T(i * 2741 % kItems);
  run(mixed);
  c.mask(random_seen(3, 4300, 2000, random), DType::kInt32);
  run(c);
  for (T& x : rising.queries) x = 1;
  for (size_t i = 0; i < rising.items.size(); ++i) rising.items[i] = static_cast<T>(i / 2);
  run(rising);
}

template <class T>
void test_malformed(Random& random) {
  TopkCase<T> c(4, 50, 4, 5, random);
  c.mask(random_seen(4, 50, 10, random), DType::kInt32);
  const std::vector<int64_t> good = c.seen.indptr;
  for (const int64_t bad : {int64_t{-1}, INT64_MAX, INT64_MIN, c.seen.num_edges() + 1}) {
    c.seen.indptr[2] = bad;
    for_each_schedule([&] {
      EmuLaunch launch;
      cuda::topk(c.params, launch.at());
      const FaultRecord fault = EmuLaunch::take_fault();
      CHECK(fault.state == FaultRecord::kComplete && fault.kind == FaultKind::kRowPointers);
      CHECK(fault.position == 1 || fault.position == 2);
      for (int64_t i = 0; i < 5; ++i) CHECK(std::isnan(c.result(1, i)) && c.id(1, i) == -1);
      CHECK(c.id(3, 0) >= 0);
    });
    c.seen.indptr[2] = good[2];
  }
  constexpr T kInfinity = std::numeric_limits<T>::infinity(), kNan = std::numeric_limits<T>::quiet_NaN();
  TopkCase<T> odd(4, 40, 1, 40, random);
  odd.queries = {1, kNan, -1, kInfinity};
  odd.params.queries = odd.queries.data();
  for (size_t i = 0; i < 40; ++i) odd.items[i] = i == 7 ? kNan : i == 9 ? kInfinity : T(i) + 1;
  CHECK(cpu_kernels().topk(odd.params, {}) == -1);
  const std::vector<int64_t> cpu_ids = odd.ids;
  for_each_schedule([&] {
    EmuLaunch launch;
    cuda::topk(odd.params, launch.at());
    CHECK(same_bits(cpu_ids, odd.ids));
  });
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(13);
  test_sizes<float>(random);
  test_sizes<double>(random);
  test_long_lists<float>(random);
  test_splits<float>(random);
  test_splits<double>(random);
  test_malformed<float>(random);
  test_malformed<double>(random);
  return finish();
}
