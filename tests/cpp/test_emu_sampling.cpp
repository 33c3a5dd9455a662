// The sampling kernels on CUDA, under emulation: the neighbours of the CPU, one for one; sums near its sums;
// faults.
#include "check.h"
#include "emu.h"
#include "graphs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

// Rows around the fanout: full of duplicates where the degree is hardly larger, and of replaced replacements.
Graph graph_around(int fanout, int64_t num_cols, Random& random) {
  Graph graph;
  graph.num_cols = num_cols;
  const int64_t degrees[] = {0,          1,          fanout - 1,     fanout,  fanout + 1,
                             fanout + 2, fanout + 7, 2 * fanout + 3, num_cols};
  for (int repeat = 0; repeat < 4; ++repeat) {
    for (const int64_t wanted : degrees) {
      const int64_t degree = std::clamp<int64_t>(wanted, 0, num_cols);
      for (int64_t k = 0; k < degree; ++k) graph.wide.push_back(below(random, num_cols));
      graph.indptr.push_back(static_cast<int64_t>(graph.wide.size()));
    }
  }
  graph.narrow.assign(graph.wide.begin(), graph.wide.end());
  return graph;
}

std::vector<int64_t> random_targets(int64_t count, int64_t num_rows, Random& random) {
  std::vector<int64_t> rows(static_cast<size_t>(count));
  for (int64_t& row : rows) row = below(random, num_rows);
  return rows;
}

void test_neighbors(int fanout, DType index, bool own_fanouts, bool weighted, Random& random) {
  const Graph graph = graph_around(fanout, 400, random);
  const auto rows = random_targets(60, graph.num_rows(), random);
  std::vector<int64_t> expected(rows.size() * static_cast<size_t>(fanout)), out(expected.size());
  SampleNeighborsParams p{graph.view(index), rows.data(), 60, fanout, random(), expected.data()};
  const auto fanouts = random_fanouts(graph, fanout, random);
  const auto starts = random_starts(graph, random);
  p.row_fanout = own_fanouts ? fanouts.data() : nullptr;
  p.edge_starts = weighted ? starts.data() : nullptr;
  CHECK(cpu_kernels().sample_neighbors(p, {}) == -1);
  p.out = out.data();
  for_each_schedule([&] {
    EmuLaunch launch;
    std::fill(out.begin(), out.end(), -7);
    cuda::sample_neighbors(p, launch.at());
    CHECK(same_bits(out, expected));
  });
}

void test_negatives(DType index, Random& random) {
  const Graph graph = random_graph(50, 30, 25, random);
  const auto users = random_targets(300, 50, random);
  std::vector<int64_t> expected(users.size()), out(users.size());
  NegativeSampleParams p{graph.view(index), users.data(), 300, random(), expected.data()};
  CHECK(cpu_kernels().negative_sample(p, {}) == -1);
  p.out = out.data();
  for_each_schedule([&] {
    EmuLaunch launch;
    cuda::negative_sample(p, launch.at());
    CHECK(same_bits(out, expected));
  });
}

template <class T>
struct AggregateCase {
  Graph graph;
  std::vector<int64_t> rows;
  std::vector<T> x, history, history_sum, second, row_scale, col_scale, out, out_second;
  std::vector<int16_t> fanouts;
  std::vector<int32_t> starts;
  SampleAggregateParams params;

  AggregateCase(Graph made, int64_t targets, int64_t dim, int fanout, DType index, Random& random)
      : graph(std::move(made)), rows(random_targets(targets, graph.num_rows(), random)) {
    const int64_t num_rows = graph.num_rows(), num_cols = graph.num_cols;
    x = random_values<T>(num_cols * dim, random);
    history = random_values<T>(num_cols * dim, random);
    history_sum = random_values<T>(num_rows * dim, random);
    second = random_values<T>(num_cols * dim, random);
    row_scale = random_values<T>(num_rows, random);
    col_scale = random_values<T>(num_cols, random);
    fanouts = random_fanouts(graph, fanout, random);
    starts = random_starts(graph, random);
    out.resize(static_cast<size_t>(targets * dim));
    out_second.resize(out.size());
    const uint64_t options = random();
    params.csr = graph.view(index);
    params.row_scale = options & 1 ? row_scale.data() : nullptr;
    params.col_scale = options & 2 ? col_scale.data() : nullptr;
    params.rows = rows.data();
    params.num_targets = targets;
    params.x = x.data();
    params.history = options & 4 ? history.data() : nullptr;
    params.history_sum = options & 8 ? history_sum.data() : nullptr;
    params.second = options & 16 ? second.data() : nullptr;
    params.out = out.data();
    params.out_second = out_second.data();
    params.dim = dim;
    params.fanout = fanout;
    params.seed = random();
    params.self_loops = (options & 32) && num_rows == num_cols;
    params.type = kTypeOf<T>;
    params.row_fanout = options & 64 ? fanouts.data() : nullptr;
    params.edge_starts = options & 128 ? starts.data() : nullptr;
  }
};

template <class T>
int far_apart(const std::vector<T>& a, const std::vector<T>& b) {
  int wrong = 0;
  for (size_t i = 0; i < a.size(); ++i)
    wrong += !near(static_cast<double>(a[i]), static_cast<double>(b[i]), 8 * kTolerance<T>);
  return wrong;
}

template <class T>
void test_aggregate(int64_t dim, int fanout, Random& random) {
  const DType index = random() & 1 ? DType::kInt32 : DType::kInt64;
  Graph graph = random() & 1 ? random_graph(60, 60, 3 * fanout, random) : graph_around(fanout, 70, random);
  AggregateCase<T> test(std::move(graph), 30, dim, fanout, index, random);
  CHECK(cpu_kernels().sample_aggregate(test.params, {}) == -1);
  const auto expected = test.out, expected_second = test.out_second;
  std::vector<T> first, first_second;
  for_each_schedule([&] {
    EmuLaunch launch;
    std::fill(test.out.begin(), test.out.end(), T(-7));
    cuda::sample_aggregate(test.params, launch.at());
    CHECK(far_apart(test.out, expected) == 0);
    if (test.params.second) CHECK(far_apart(test.out_second, expected_second) == 0);
    if (first.empty()) {
      first = test.out;
      first_second = test.out_second;
    }
    CHECK(same_bits(test.out, first) && same_bits(test.out_second, first_second));
  });
}

// ---- malformed input ----
FaultRecord fault_of(const auto& launcher, const auto& params) {
  EmuLaunch launch;
  launcher(params, launch.at());
  return EmuLaunch::take_fault();
}

// Everything that samples says the same of `graph` and `rows`, and goes on: other targets are not touched.
template <class T>
void test_fault(const Graph& graph, const std::vector<int64_t>& rows, FaultKind kind, int64_t position,
                int64_t value, int64_t bad_target, Random& random) {
  constexpr int64_t kDim = 5;
  constexpr int kFanout = 3;
  const auto targets = static_cast<int64_t>(rows.size());
  for (const DType index : {DType::kInt32, DType::kInt64}) {
    AggregateCase<T> test(graph, targets, kDim, kFanout, index, random);
    test.rows = rows;
    test.params.rows = test.rows.data();
    test.params.row_fanout = nullptr;  // every row draws
    std::vector<int64_t> neighbors(rows.size() * kFanout), negatives(rows.size());
    SampleNeighborsParams sample{graph.view(index), rows.data(), targets, kFanout, 1, neighbors.data()};
    NegativeSampleParams negative{graph.view(index), rows.data(), targets, 1, negatives.data()};
    for_each_schedule([&] {
      std::vector<FaultRecord> faults{fault_of(cuda::sample_aggregate, test.params),
                                      fault_of(cuda::sample_neighbors, sample)};
      if (kind != FaultKind::kIndex) faults.push_back(fault_of(cuda::negative_sample, negative));
      for (const FaultRecord& fault : faults) {
        CHECK(fault.state == FaultRecord::kComplete && fault.kind == kind);
        CHECK(fault.position == position && fault.value == value);
      }
      if (kind == FaultKind::kId) {
        CHECK(faults[0].name == IdName::kRows && faults[1].name == IdName::kRows);
        CHECK(faults[2].name == IdName::kUsers);
      }
      for (int64_t k = 0; k < targets && bad_target >= 0; ++k) {
        const bool bad = k == bad_target;
        for (int64_t i = 0; i < kDim; ++i)
          CHECK(std::isnan(test.out[static_cast<size_t>(k * kDim + i)]) == bad);
        const int64_t* own = neighbors.data() + k * kFanout;
        CHECK(std::all_of(own, own + kFanout, [](int64_t c) { return c == -1; }) == bad);
        if (kind != FaultKind::kIndex) CHECK((negatives[static_cast<size_t>(k)] == -1) == bad);
      }
    });
  }
}

// A fanout that is none: reported with the row, and the other targets are not touched.
template <class T>
void test_bad_fanout(int16_t nonsense, Random& random) {
  AggregateCase<T> test(random_graph(40, 40, 9, random), 20, 6, 4, DType::kInt32, random);
  test.params.row_fanout = test.fanouts.data();
  const int64_t row = test.rows[3];
  test.fanouts[static_cast<size_t>(row)] = nonsense;
  for_each_schedule([&] {
    const FaultRecord fault = fault_of(cuda::sample_aggregate, test.params);
    CHECK(fault.state == FaultRecord::kComplete && fault.kind == FaultKind::kFanout);
    CHECK(fault.position == row && fault.value == nonsense && fault.bound == 4);
    for (size_t k = 0; k < test.rows.size(); ++k) CHECK(std::isnan(test.out[k * 6]) == (test.rows[k] == row));
  });
}

template <class T>
void test_faults(Random& random) {
  Graph good;
  good.num_cols = 9;
  for (int64_t row = 0; row < 9; ++row) {
    for (int64_t k = 0; k <= row % 7; ++k) good.wide.push_back(k);
    good.indptr.push_back(static_cast<int64_t>(good.wide.size()));
  }
  good.narrow.assign(good.wide.begin(), good.wide.end());
  const std::vector<int64_t> rows{5, 0, 8, 3, 3};
  for (const int64_t nonsense : {int64_t{-1}, int64_t{9}, INT64_MAX, INT64_MIN}) {
    auto bad = rows;
    bad[2] = nonsense;
    test_fault<T>(good, bad, FaultKind::kId, 2, nonsense, 2, random);
  }
  Graph graph = good;  // row 8 cannot be read; nobody asks for row 7
  graph.indptr[8] = 1 << 20;
  test_fault<T>(graph, rows, FaultKind::kRowPointers, 8, 1 << 20, 2, random);
  graph = good;
  graph.indptr[0] = -3;
  test_fault<T>(graph, rows, FaultKind::kFirstPointer, 0, -3, 1, random);
  graph = good;
  graph.indptr[9] += 2;
  test_fault<T>(graph, rows, FaultKind::kLastPointer, 9, good.indptr[9] + 2, 2, random);
  for (const int64_t nonsense : {int64_t{-1}, int64_t{9}, int64_t{INT32_MAX}, int64_t{INT32_MIN}}) {
    graph = good;
    graph.set_index(good.indptr[8] + 1, nonsense);  // row 8 has two edges: both are taken
    test_fault<T>(graph, rows, FaultKind::kIndex, good.indptr[8] + 1, nonsense, 2, random);
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  using ltgnn::DType;
  Random random(11);
  for (const int fanout : {0, 1, 3, 4, 9, 31, 33, 70, 256}) {
    for (const int options : {0, 1, 2, 3}) {
      test_neighbors(fanout, DType::kInt32, options & 1, options & 2, random);
      test_neighbors(fanout, DType::kInt64, options & 1, options & 2, random);
    }
  }
  test_negatives(DType::kInt32, random);
  test_negatives(DType::kInt64, random);
  for (const int64_t dim : {1, 3, 8, 33, 64, 130}) {
    for (const int fanout : {1, 6, 40}) {
      test_aggregate<float>(dim, fanout, random);
      test_aggregate<double>(dim, fanout, random);
    }
  }
  test_aggregate<float>(4, 0, random);
  test_aggregate<float>(4, 256, random);
  test_faults<float>(random);
  test_faults<double>(random);
  for (const int16_t nonsense : {int16_t{-1}, int16_t{5}, int16_t{INT16_MAX}, int16_t{INT16_MIN}})
    test_bad_fanout<float>(nonsense, random);
  return finish();
}
