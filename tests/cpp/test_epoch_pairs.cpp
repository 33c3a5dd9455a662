// epoch_pairs: a permutation of any size, the row of each entry, the same pairs for any number of threads,
// and faults for malformed matrices.
#include "check.h"
#include "graphs.h"
#include "kernels/epoch_pairs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

void test_permutation() {
  for (int64_t count = 1; count < 400; ++count) {
    const EntryOrder order = entry_order(count, static_cast<uint64_t>(count) * 7919);
    std::vector<int> seen(static_cast<size_t>(count));
    for (int64_t at = 0; at < count; ++at) {
      const int64_t entry = entry_at(order, at);
      CHECK(entry >= 0 && entry < count);
      if (entry >= 0 && entry < count) ++seen[static_cast<size_t>(entry)];
    }
    CHECK(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 1; }));
  }
}

// Sizes that no table could hold: digits near 2^32, values in range and distinct.
void test_large() {
  const int64_t sizes[] = {int64_t{1} << 31, (int64_t{1} << 31) + 1, int64_t{1} << 40,
                           (int64_t{1} << 62) + 12345, INT64_MAX};
  for (const int64_t count : sizes) {
    const EntryOrder order = entry_order(count, 5);
    CHECK(order.left_size <= uint64_t{1} << 32 && order.right_size <= uint64_t{1} << 32);
    CHECK((order.left_size - 1) * (order.left_size - 1) < order.count);
    std::vector<int64_t> entries;
    for (int64_t k = 0; k < 4000; ++k) {
      entries.push_back(entry_at(order, k));
      entries.push_back(entry_at(order, count - 1 - k));
    }
    std::sort(entries.begin(), entries.end());
    CHECK(entries.front() >= 0 && entries.back() < count);
    CHECK(std::adjacent_find(entries.begin(), entries.end()) == entries.end());
    CHECK(entries[4000] > count / 2 - count / 20 && entries[4000] < count / 2 + count / 20);
  }
}

void test_pairs(const CpuKernels& kernels, DType index, Random& random) {
  const Graph graph = random_graph(1 + below(random, 300), 50, 20, random);
  const int64_t edges = graph.num_edges();
  std::vector<int64_t> list(20);
  for (int64_t& row : list) row = below(random, graph.num_rows());
  for (const bool listed : {false, true}) {
    EpochPairsParams p;
    p.csr = graph.view(index);
    p.seed = random();
    p.order = entry_order(edges, p.seed);
    p.begin = below(random, edges);
    p.count = edges - p.begin;
    p.rows = listed ? list.data() : nullptr;
    p.num_rows = 20;
    std::vector<int64_t> rows(static_cast<size_t>(p.count)), columns(rows), first_rows, first_columns;
    p.out_rows = rows.data();
    p.out_columns = columns.data();
    for (int threads = 1; threads <= kMaxThreads; ++threads) {
      CHECK(kernels.epoch_pairs(p, parallel(threads)) == -1);
      if (threads == 1) {
        first_rows = rows;
        first_columns = columns;
      }
      CHECK(same_bits(rows, first_rows) && same_bits(columns, first_columns));
    }
    for (size_t k = 0; k < rows.size(); ++k) {
      const auto row = static_cast<size_t>(rows[k]);
      const int64_t *begin = graph.wide.data() + graph.indptr[row],
                    *end = graph.wide.data() + graph.indptr[row + 1];
      if (listed) {
        CHECK(std::find(list.begin(), list.end(), rows[k]) != list.end());
        CHECK(begin == end ? columns[k] == -1 : std::find(begin, end, columns[k]) != end);
      } else {
        const int64_t entry = entry_at(p.order, p.begin + static_cast<int64_t>(k));
        CHECK(graph.indptr[row] <= entry && entry < graph.indptr[row + 1]);
        CHECK(columns[k] == graph.wide[static_cast<size_t>(entry)]);
      }
    }
  }
}

// Whatever the row pointers say, nothing out of bounds is read (AddressSanitizer), and a fault is reported
// for every pair whose row is not what it must be.
void test_malformed(const CpuKernels& kernels, Random& random) {
  for (int trial = 0; trial < 300; ++trial) {
    Graph graph = random_graph(1 + below(random, 40), 9, 9, random);
    const int64_t nonsense[] = {-1, INT64_MIN, INT64_MAX, graph.num_edges(), graph.num_edges() + 1, 0};
    graph.indptr[static_cast<size_t>(below(random, graph.num_rows() + 1))] = nonsense[below(random, 6)];
    if (trial % 3 == 0) graph.set_index(below(random, graph.num_edges()), 9);
    EpochPairsParams p;
    p.csr = graph.view(trial % 2 ? DType::kInt32 : DType::kInt64);
    p.order = entry_order(graph.num_edges(), 3);
    p.count = graph.num_edges();
    std::vector<int64_t> list{0, graph.num_rows() - 1, trial % 5 ? 0 : graph.num_rows()};
    p.rows = trial % 4 ? nullptr : list.data();
    p.num_rows = 3;
    std::vector<int64_t> rows(static_cast<size_t>(p.count), -7), columns(rows);
    p.out_rows = rows.data();
    p.out_columns = columns.data();
    const int64_t fault = kernels.epoch_pairs(p, parallel(1));
    CHECK(kernels.epoch_pairs(p, parallel(kMaxThreads)) == fault);
    const int64_t good = fault < 0 ? p.count : fault;
    for (int64_t k = 0; k < good; ++k) {
      const int64_t row = rows[static_cast<size_t>(k)], column = columns[static_cast<size_t>(k)];
      CHECK(row >= 0 && row < graph.num_rows() && valid_row(p.csr, row) && column >= -1 && column < 9);
    }
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(12);
  test_permutation();
  test_large();
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    for (int trial = 0; trial < 20; ++trial) {
      test_pairs(*kernels, ltgnn::DType::kInt32, random);
      test_pairs(*kernels, ltgnn::DType::kInt64, random);
    }
    test_malformed(*kernels, random);
  }
  return finish();
}
