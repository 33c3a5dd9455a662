// pair_scores on CUDA, under emulation, and on the CPU: floats score the same bits everywhere.
#include "check.h"
#include "emu.h"
#include "graphs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

template <class T>
void test_pairs(int64_t num_queries, int64_t num_listed, int64_t dim, Random& random) {
  constexpr int64_t kItems = 11;
  const std::vector<T> queries = random_values<T>(num_queries * dim, random);
  const std::vector<T> items = random_values<T>(kItems * dim, random);
  std::vector<int64_t> ids(static_cast<size_t>(num_queries * num_listed));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = below(random, kItems + 2) - 1;
  if (!ids.empty()) ids[0] = INT64_MIN;
  std::vector<T> scores(ids.size()), first;
  PairScoresParams p;
  p.queries = queries.data();
  p.items = items.data();
  p.ids = ids.data();
  p.num_queries = num_queries;
  p.num_items = kItems;
  p.num_listed = num_listed;
  p.dim = dim;
  p.scores = scores.data();
  p.type = kTypeOf<T>;
  const auto check = [&](bool same) {
    int wrong = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i] >= kItems) {
        wrong += scores[i] != -std::numeric_limits<T>::infinity();
        continue;
      }
      const auto query = static_cast<int64_t>(i) / num_listed * dim, item = ids[i] * dim;
      double sum = 0.0;
      for (int64_t c = 0; c < dim; ++c)
        sum += static_cast<double>(queries[static_cast<size_t>(query + c)]) *
               static_cast<double>(items[static_cast<size_t>(item + c)]);
      wrong += !near(static_cast<double>(scores[i]), sum, sizeof(T) == 4 ? 1e-7 : 1e-13);
    }
    CHECK(wrong == 0);
    if (first.empty()) first = scores;
    if (same) CHECK(same_bits(first, scores));
    std::fill(scores.begin(), scores.end(), T(3));
  };
  for_each_schedule([&] {
    EmuLaunch launch;
    cuda::pair_scores(p, launch.at());
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
    check(true);
  });
  for (const CpuKernels* kernels : kernel_tables()) {
    for (const int threads : {1, kMaxThreads}) {
      CHECK(kernels->pair_scores(p, parallel(threads)) == -1);
      check(sizeof(T) == 4);  // products of doubles may be fused or not
    }
  }
}

template <class T>
void test_type(Random& random) {
  for (const int64_t dim : {0, 1, 7, 8, 31, 33, 64, 129}) test_pairs<T>(5, 9, dim, random);
  test_pairs<T>(130, 3, 4, random);
  test_pairs<T>(0, 9, 8, random);
  test_pairs<T>(5, 0, 8, random);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(15);
  test_type<float>(random);
  test_type<double>(random);
  return finish();
}
