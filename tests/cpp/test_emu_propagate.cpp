// propagate on CUDA, under emulation: against the same sum in double; hubs over several chunks; faults.
#include "check.h"
#include "cuda/hubs.h"
#include "cuda/kernels.h"
#include "emu.h"
#include "faults.h"
#include "propagate_case.h"

namespace ltgnn::test {
namespace {

constexpr int64_t kHub = cuda::kSmallestHub;

template <class T>
int count_wrong(const PropagateCase<T>& test) {
  int wrong = 0;
  for (int64_t row = 0; row < test.graph.num_rows(); ++row)
    for (int64_t i = 0; i < test.params.dim; ++i)
      wrong += !near(test.result(row, i), test.expected(row, i), 4 * kTolerance<T>);
  return wrong;
}

template <class T>
void run(PropagateCase<T>& test) {
  std::vector<T> first;
  for_each_schedule([&] {
    test.out.assign(test.out.size(), from_double<T>(-7.0));
    EmuLaunch launch;
    cuda::propagate(test.params, launch.at());
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
    CHECK(count_wrong(test) == 0);
    if (first.empty()) first = test.out;
    CHECK(same_bits(first, test.out));
  });
}

// Rows that begin and end at, before and after the borders of chunks; two hubs in one chunk; rows that just
// are hubs and just are none.
std::vector<int64_t> hub_degrees() {
  return {kHub, 700, 3, kHub + 1, kHub, 0, 900, 2, 4 * kHub - 2, kHub + 5};
}

template <class T>
void test_type(Random& random) {
  constexpr int kWide = 16 / static_cast<int>(sizeof(T));
  int64_t trial = 0;
  for (const int64_t dim : {1, 3, 31, 33, 64, 129, 200}) {
    const DType index = trial++ % 2 ? DType::kInt32 : DType::kInt64;
    PropagateCase<T> narrow(random_graph(40, 40, 9, random), dim, dim % 3, index, random);
    run(narrow);
    PropagateCase<T> hubs(graph_of_degrees(hub_degrees(), 30, random), dim % 50, 0, index, random);
    run(hubs);
  }
  for (const int64_t packs : {1, 2, 5, 16, 33}) {
    PropagateCase<T> wide(graph_of_degrees(hub_degrees(), 10, random), packs * kWide, kWide, DType::kInt32,
                          random);
    run(wide);
  }
}

// A row of many chunks, more than a block has groups; nothing else, or a few edges before it.
void test_one_hub(Random& random) {
  for (const int64_t before : {int64_t{0}, int64_t{1}, kHub - 1, kHub, kHub + 1}) {
    PropagateCase<float> test(graph_of_degrees({before, 41 * kHub + 7, 1}, 9, random), 33, 0, DType::kInt32,
                              random);
    run(test);
  }
}

void test_empty(Random& random) {
  for (const std::vector<int64_t>& degrees :
       {std::vector<int64_t>{}, std::vector<int64_t>{0}, std::vector<int64_t>(300, 0)}) {
    PropagateCase<float> test(graph_of_degrees(degrees, 4, random), 5, 0, DType::kInt64, random);
    run(test);
    test.params.dim = 0;
    run(test);
  }
}

// Damaged rows come out as NaN, others right; where pointers are wrong a hub may not be found, and is NaN
// then.
template <class T>
void test_faults(Damage damage, Random& random) {
  std::vector<int64_t> degrees = below(random, 2) ? hub_degrees() : std::vector<int64_t>(12, 5);
  PropagateCase<T> test(graph_of_degrees(degrees, 20, random), 1 + below(random, 40), 0, DType::kInt32,
                        random);
  damage_one(test.graph, damage, random);
  test.params.csr = test.graph.view(DType::kInt32);
  for_each_schedule([&] {
    test.out.assign(test.out.size(), from_double<T>(-7.0));
    EmuLaunch launch;
    cuda::propagate(test.params, launch.at());
    CHECK(right_report(test.graph, EmuLaunch::take_fault()));
    int wrong = 0;
    for (int64_t row = 0; row < test.graph.num_rows(); ++row) {
      const bool bad = is_damaged(test.graph, row);
      const bool hub = !bad && cuda::is_hub(test.params.csr, row, kHub);
      for (int64_t i = 0; i < test.params.dim; ++i) {
        const double got = test.result(row, i);
        const bool lost = std::isnan(got) && hub && damage != Damage::kIndex;
        wrong += bad ? !std::isnan(got) : !lost && !near(got, test.expected(row, i), 4 * kTolerance<T>);
      }
    }
    CHECK(wrong == 0);
  });
}

// A number in `rows` that is none is reported, of a hub too, and nothing is written for it.
void test_bad_target(Random& random) {
  const std::vector<int64_t> degrees = hub_degrees();
  const auto num_rows = static_cast<int64_t>(degrees.size());
  for (int64_t row = 0; row < num_rows; ++row) {
    for (const int64_t bad : {int64_t{-1}, num_rows, INT64_MAX, INT64_MIN}) {
      PropagateCase<float> test(graph_of_degrees(degrees, 20, random), 33, 0, DType::kInt32, random);
      test.params.rows = test.rows.data();
      const int64_t lost = test.rows[static_cast<size_t>(row)];
      test.rows[static_cast<size_t>(row)] = bad;
      EmuLaunch launch;
      cuda::propagate(test.params, launch.at());
      const FaultRecord fault = EmuLaunch::take_fault();
      CHECK(fault.kind == FaultKind::kId && fault.name == IdName::kRows && fault.position == row &&
            fault.value == bad && fault.bound == num_rows);
      test.rows[static_cast<size_t>(row)] = lost;
      for (int64_t other = 0; other < num_rows; ++other)
        CHECK(other == row ? test.result(row, 0) == -7.0
                           : near(test.result(other, 0), test.expected(other, 0), 4 * kTolerance<float>));
    }
  }
}

// The ends are looked at even where there is no row, or no column.
void test_ends(Random& random) {
  for (const int64_t dim : {0, 3}) {
    PropagateCase<float> test(graph_of_degrees({2, 3}, 4, random), 3, 0, DType::kInt32, random);
    test.params.dim = dim;
    test.graph.indptr = {0};
    test.params.csr = test.graph.view(DType::kInt32);
    EmuLaunch launch;
    cuda::propagate(test.params, launch.at());
    CHECK(EmuLaunch::take_fault().kind == FaultKind::kLastPointer);
  }
}

void test_chunks() {
  for (const int64_t edges :
       {int64_t{0}, kHub, kHub + 1, int64_t{1} << 24, (int64_t{1} << 24) + 1, int64_t{1} << 40}) {
    const int64_t degree = cuda::hub_degree(edges), chunks = cuda::num_chunks(edges);
    CHECK(degree >= kHub && (degree & (degree - 1)) == 0);
    CHECK(chunks <= cuda::kMaxChunks);
    CHECK(chunks == 0 ? edges <= degree : chunks * degree >= edges && (chunks - 1) * degree < edges);
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(5);
  test_type<float>(random);
  test_type<double>(random);
  test_type<ltgnn::BFloat16>(random);
  test_type<ltgnn::Float16>(random);
  test_one_hub(random);
  test_empty(random);
  for (const Damage damage : {Damage::kNothing, Damage::kFirst, Damage::kLast, Damage::kPointer,
                              Damage::kOverlap, Damage::kIndex}) {
    for (int trial = 0; trial < 6; ++trial) {
      test_faults<float>(damage, random);
      test_faults<ltgnn::Float16>(damage, random);
    }
  }
  test_bad_target(random);
  test_ends(random);
  test_chunks();
  return finish();
}
