// epoch_pairs on CUDA, under emulation: the pairs of the CPU, one for one; faults.
#include "check.h"
#include "emu.h"
#include "graphs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

EpochPairsParams params_of(const Graph& graph, DType index, const std::vector<int64_t>* list, int64_t begin) {
  EpochPairsParams p;
  p.csr = graph.view(index);
  p.seed = 17;
  p.order = entry_order(graph.num_edges(), p.seed);
  p.begin = begin;
  p.count = graph.num_edges() - begin;
  p.rows = list ? list->data() : nullptr;
  p.num_rows = list ? static_cast<int64_t>(list->size()) : 0;
  return p;
}

void test_pairs(DType index, bool listed, Random& random) {
  const Graph graph = random_graph(1 + below(random, 200), 40, 12, random);
  std::vector<int64_t> list(7);
  for (int64_t& row : list) row = below(random, graph.num_rows());
  EpochPairsParams p = params_of(graph, index, listed ? &list : nullptr, below(random, graph.num_edges()));
  std::vector<int64_t> rows(static_cast<size_t>(p.count)), columns(rows), out_rows(rows), out_columns(rows);
  p.out_rows = rows.data();
  p.out_columns = columns.data();
  CHECK(cpu_kernels().epoch_pairs(p, {}) == -1);
  p.out_rows = out_rows.data();
  p.out_columns = out_columns.data();
  for_each_schedule([&] {
    EmuLaunch launch;
    std::fill(out_rows.begin(), out_rows.end(), -7);
    std::fill(out_columns.begin(), out_columns.end(), -7);
    cuda::epoch_pairs(p, launch.at());
    CHECK(same_bits(out_rows, rows) && same_bits(out_columns, columns));
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
  });
}

void test_fault(const Graph& graph, const std::vector<int64_t>* list, FaultKind kind, int64_t position,
                int64_t value) {
  for (const DType index : {DType::kInt32, DType::kInt64}) {
    EpochPairsParams p = params_of(graph, index, list, 0);
    p.count =
        std::max<int64_t>(p.count, 40);  // past the end of an epoch too: positions are only numbers here
    if (!list) p.count = graph.num_edges();
    std::vector<int64_t> rows(static_cast<size_t>(p.count)), columns(rows);
    p.out_rows = rows.data();
    p.out_columns = columns.data();
    for_each_schedule([&] {
      EmuLaunch launch;
      cuda::epoch_pairs(p, launch.at());
      const FaultRecord fault = EmuLaunch::take_fault();
      CHECK(fault.state == FaultRecord::kComplete && fault.kind == kind);
      CHECK(fault.position == position && fault.value == value);
      CHECK(std::any_of(columns.begin(), columns.end(), [](int64_t c) { return c == -1; }) ||
            kind == FaultKind::kFirstPointer || kind == FaultKind::kLastPointer);
    });
  }
}

void test_faults() {
  Graph good;
  good.num_cols = 9;
  for (int64_t row = 0; row < 9; ++row) {
    for (int64_t k = 0; k <= row % 7; ++k) good.wide.push_back(k);
    good.indptr.push_back(static_cast<int64_t>(good.wide.size()));
  }
  good.narrow.assign(good.wide.begin(), good.wide.end());
  for (const int64_t nonsense : {int64_t{-1}, int64_t{9}, INT64_MAX, INT64_MIN}) {
    const std::vector<int64_t> list{5, 0, nonsense, 3, 3};
    test_fault(good, &list, FaultKind::kId, 2, nonsense);
  }
  const std::vector<int64_t> list{5, 8};
  Graph graph = good;
  graph.indptr[8] = 1 << 20;  // row 8 cannot be read
  test_fault(graph, &list, FaultKind::kRowPointers, 8, 1 << 20);
  graph = good;
  graph.indptr[0] = -3;
  test_fault(graph, nullptr, FaultKind::kFirstPointer, 0, -3);
  test_fault(graph, &list, FaultKind::kFirstPointer, 0, -3);
  graph = good;
  graph.indptr[9] += 2;
  test_fault(graph, nullptr, FaultKind::kLastPointer, 9, good.indptr[9] + 2);
  for (const int64_t nonsense : {int64_t{-1}, int64_t{9}, int64_t{INT32_MAX}, int64_t{INT32_MIN}}) {
    graph = good;
    graph.set_index(good.indptr[8] + 1, nonsense);  // row 8 has two entries
    test_fault(graph, &list, FaultKind::kIndex, good.indptr[8] + 1, nonsense);
    test_fault(graph, nullptr, FaultKind::kIndex, good.indptr[8] + 1, nonsense);
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(21);
  for (int trial = 0; trial < 10; ++trial) {
    for (const ltgnn::DType index : {ltgnn::DType::kInt32, ltgnn::DType::kInt64}) {
      for (const bool listed : {false, true}) test_pairs(index, listed, random);
    }
  }
  test_faults();
  return finish();
}
