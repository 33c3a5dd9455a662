// task_border: tasks cover every row exactly once; with a malformed indptr at least once, and never leave it.
#include "check.h"
#include "graphs.h"

namespace ltgnn::test {
namespace {

void test_cover(const CsrView& csr, int64_t num_tasks, bool well_formed) {
  std::vector<int> visits(static_cast<size_t>(csr.num_rows), 0);
  bool inside = true;
  int64_t most_work = 0;
  for (int64_t task = 0; task < num_tasks; ++task) {
    const int64_t begin = task_border(csr, task, num_tasks), end = task_border(csr, task + 1, num_tasks);
    inside = inside && 0 <= begin && begin <= csr.num_rows && 0 <= end && end <= csr.num_rows;
    if (!inside) break;
    for (int64_t row = begin; row < end; ++row) ++visits[static_cast<size_t>(row)];
    if (well_formed && end > begin) most_work = std::max(most_work, csr.indptr[end - 1] - csr.indptr[begin]);
  }
  CHECK(inside);
  int missed = 0, repeated = 0;
  for (const int count : visits) {
    missed += count == 0;
    repeated += count > 1;
  }
  CHECK(missed == 0);
  if (!well_formed) return;
  CHECK(repeated == 0);
  // Without its last row a task has no more than its share.
  CHECK(most_work <= (csr.num_edges + csr.num_rows) / num_tasks + 2);
}

void test_graphs(Random& random) {
  for (const int64_t rows : {0, 1, 2, 17, 300}) {
    Graph graph = random_graph(rows, 60, 12, random);
    for (const int64_t tasks : {1, 2, 3, 7, 64, 1000}) test_cover(graph.view(DType::kInt32), tasks, true);
    constexpr int64_t kNonsense[] = {-1, 0, 1, 1000000, INT64_MAX, INT64_MIN, INT64_MAX - 100};
    for (int trial = 0; trial < 200 && rows > 0; ++trial) {
      const auto place = static_cast<size_t>(below(random, rows + 1));
      graph.indptr[place] = kNonsense[below(random, 7)];  // damage piles up over the trials
      for (const int64_t tasks : {1, 2, 5, 64}) test_cover(graph.view(DType::kInt32), tasks, false);
    }
  }
}

void test_valid_row() {
  Graph graph;
  graph.wide.assign(10, 0);
  graph.indptr = {0, 4, 3, -1, 10, 11, INT64_MAX};
  const CsrView csr = graph.view(DType::kInt64);
  constexpr bool kExpected[] = {true, false, false, false, false, false};
  for (int64_t row = 0; row < 6; ++row) CHECK(valid_row(csr, row) == kExpected[row]);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  ltgnn::test::Random random(3);
  ltgnn::test::test_graphs(random);
  ltgnn::test::test_valid_row();
  return ltgnn::test::finish();
}
