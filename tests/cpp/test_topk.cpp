// topk on the CPU: every instruction set and number of threads, against a full ranking.
#include "check.h"
#include "machine.h"
#include "topk_case.h"

namespace ltgnn::test {
namespace {

template <class T>
void run(const CpuKernels& kernels, TopkCase<T>& c, bool integers = true) {
  std::vector<T> scores;
  std::vector<int64_t> ids;
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    std::fill(c.scores.begin(), c.scores.end(), T(3));
    std::fill(c.ids.begin(), c.ids.end(), 12345);
    CHECK(kernels.topk(c.params, parallel(threads)) == -1);
    if (threads == 1) {
      CHECK((integers ? c.num_wrong() : c.num_far_off()) == 0);
      scores = c.scores;
      ids = c.ids;
    }
    CHECK(same_bits(scores, c.scores) && same_bits(ids, c.ids));
  }
}

template <class T>
void test_sizes(const CpuKernels& kernels, Random& random) {
  for (const int64_t num_items : {1, 11, 130, 700}) {
    for (const int64_t k : {1, 20, 100, 1000}) {
      TopkCase<T> c(37, num_items, 3, k, random);
      run(kernels, c);
      c.mask(random_seen(37, num_items, num_items / 2, random), k == 20 ? DType::kInt64 : DType::kInt32);
      run(kernels, c);
    }
  }
  for (const int64_t dim : {0, 1, 31, 33, 64, 129}) {
    TopkCase<T> exact(70, 300, dim, 20, random), rounded(70, 300, dim, 20, random, false);
    run(kernels, exact);
    run(kernels, rounded, false);
  }
  TopkCase<T> many(700, 260, 2, 5, random), none(0, 10, 2, 5, random), no_items(5, 0, 2, 3, random);
  run(kernels, many);
  run(kernels, none);
  run(kernels, no_items);
}

// Ranked worst first, so that every item is a candidate; all equal; and scores of both signs of zero.
template <class T>
void test_orders(const CpuKernels& kernels, Random& random) {
  TopkCase<T> rising(3, 3000, 1, 50, random), equal(3, 3000, 1, 50, random), zeros(2, 200, 1, 90, random);
  for (T& x : rising.queries) x = 1;
  for (size_t i = 0; i < rising.items.size(); ++i) rising.items[i] = static_cast<T>(i / 2);
  for (T& x : equal.items) x = 2;
  for (size_t i = 0; i < zeros.items.size(); ++i) zeros.items[i] = i % 2 == 0 ? T(0) : -T(0);
  zeros.queries = {1, -1};
  zeros.params.queries = zeros.queries.data();
  run(kernels, rising);
  run(kernels, equal);
  run(kernels, zeros);
}

template <class T>
void test_malformed(const CpuKernels& kernels, Random& random) {
  TopkCase<T> c(300, 50, 4, 5, random);
  c.mask(random_seen(300, 50, 10, random), DType::kInt32);
  for (const int64_t bad : {int64_t{-1}, INT64_MAX, INT64_MIN, c.seen.num_edges() + 1}) {
    const int64_t good = c.seen.indptr[200];
    c.seen.indptr[200] = bad;
    for (const int threads : {1, kMaxThreads}) CHECK(kernels.topk(c.params, parallel(threads)) == 199);
    c.seen.indptr[200] = good;
  }
  // Item numbers out of range mask nothing; scores that are no numbers, or -inf, are never listed.
  c.seen.set_index(c.seen.num_edges() - 1, INT32_MAX);
  CHECK(kernels.topk(c.params, parallel(1)) == -1);
  constexpr T kInfinity = std::numeric_limits<T>::infinity(), kNan = std::numeric_limits<T>::quiet_NaN();
  TopkCase<T> odd(4, 40, 1, 40, random);
  odd.queries = {1, kNan, -1, kInfinity};
  odd.params.queries = odd.queries.data();
  for (size_t i = 0; i < 40; ++i) odd.items[i] = i == 7 ? kNan : i == 9 ? kInfinity : T(i) + 1;
  CHECK(kernels.topk(odd.params, parallel(1)) == -1);
  CHECK(odd.id(0, 0) == 9 && odd.id(0, 1) == 39 && odd.id(0, 38) == 0 && odd.id(0, 39) == -1);
  CHECK(odd.id(1, 0) == -1);
  CHECK(odd.id(2, 0) == 0 && odd.id(2, 37) == 39 && odd.id(2, 38) == -1);
  CHECK(odd.id(3, 0) == 0 && odd.result(3, 0) == kInfinity && odd.id(3, 38) == 39);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(12);
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    test_sizes<float>(*kernels, random);
    test_sizes<double>(*kernels, random);
    test_orders<float>(*kernels, random);
    test_orders<double>(*kernels, random);
    test_malformed<float>(*kernels, random);
    test_malformed<double>(*kernels, random);
  }
  return finish();
}
