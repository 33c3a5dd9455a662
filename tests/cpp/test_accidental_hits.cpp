// accidental_hits: the bits of a plain search, the same for any number of threads, and faults.
#include "check.h"
#include "graphs.h"
#include "hits_case.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

void test_hits(const CpuKernels& kernels, DType index, Random& random) {
  for (const int64_t batch : {0, 1, 4, 31, 32, 33, 200, 3000}) {
    HitsCase c(batch, index, random);
    const auto expected = c.expected();
    for (const int threads : {1, kMaxThreads}) {
      std::fill(c.out.begin(), c.out.end(), 0xABABABABu);
      CHECK(kernels.accidental_hits(c.params, parallel(threads)) == -1);
      CHECK(same_bits(c.out, expected));
    }
  }
}

void test_faults(const CpuKernels& kernels, Random& random) {
  for (const int64_t bad : {int64_t{-1}, int64_t{2000}, INT64_MAX, INT64_MIN}) {
    HitsCase c(200, DType::kInt32, random);
    c.users[150] = bad;
    for (const int threads : {1, kMaxThreads})
      CHECK(kernels.accidental_hits(c.params, parallel(threads)) == 150);
    c.items[170] = bad;
    CHECK(kernels.accidental_hits(c.params, parallel(1)) == 170);  // items are looked at first
  }
  HitsCase c(200, DType::kInt32, random);
  c.graph.indptr[4] = INT64_MAX;
  std::fill(c.users.begin(), c.users.end(), 0);
  c.users[160] = 3;
  CHECK(kernels.accidental_hits(c.params, parallel(kMaxThreads)) == 160);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(21);
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    for (const auto index : {ltgnn::DType::kInt32, ltgnn::DType::kInt64}) test_hits(*kernels, index, random);
    test_faults(*kernels, random);
  }
  return finish();
}
