// accidental_hits on CUDA, under emulation: the bits of a plain search, faults.
#include "check.h"
#include "emu.h"
#include "hits_case.h"

namespace ltgnn::test {
namespace {

void test_hits(DType index, Random& random) {
  for (const int64_t batch : {0, 1, 4, 31, 33, 200}) {
    HitsCase c(batch, index, random);
    const auto expected = c.expected();
    for_each_schedule([&] {
      EmuLaunch launch;
      std::fill(c.out.begin(), c.out.end(), 0xABABABABu);
      cuda::accidental_hits(c.params, launch.at());
      CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
      CHECK(same_bits(c.out, expected));
    });
  }
}

FaultRecord fault_of(const HitsCase& c) {
  EmuLaunch launch;
  cuda::accidental_hits(c.params, launch.at());
  return EmuLaunch::take_fault();
}

void test_faults(Random& random) {
  for (const int64_t bad : {int64_t{-1}, int64_t{2000}, INT64_MAX, INT64_MIN}) {
    for (const bool user : {false, true}) {
      HitsCase c(200, DType::kInt32, random);
      (user ? c.users : c.items)[150] = bad;
      for_each_schedule([&] {
        const FaultRecord fault = fault_of(c);
        CHECK(fault.state == FaultRecord::kComplete && fault.kind == FaultKind::kId);
        CHECK(fault.name == (user ? IdName::kUsers : IdName::kItems));
        CHECK(fault.position == 150 && fault.value == bad);
        CHECK(fault.bound == (user ? c.graph.num_rows() : HitsCase::kItems + 0));
      });
    }
  }
  HitsCase c(40, DType::kInt64, random);
  c.graph.indptr[4] = INT64_MAX;
  std::fill(c.users.begin(), c.users.end(), 0);
  c.users[16] = 3;
  for_each_schedule([&] {
    const FaultRecord fault = fault_of(c);
    CHECK(fault.kind == FaultKind::kRowPointers && fault.position == 3);
  });
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(22);
  for (const auto index : {ltgnn::DType::kInt32, ltgnn::DType::kInt64}) test_hits(index, random);
  test_faults(random);
  return finish();
}
