// Sampling kernels: what they draw, against the properties that define it; what they add up, against plain
// loops.
#include <numeric>

#include "check.h"
#include "graphs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

constexpr int64_t kRows = 150, kTargets = 400, kDim = 37;

void test_sample_row() {
  uint32_t picks[kMaxFanout];
  for (const int64_t degree : {0, 1, 5, 30, 1000}) {
    for (const int fanout : {1, 5, 20, kMaxFanout}) {
      for (int64_t row = 0; row < 20; ++row) {
        const int count = sample_row(degree, fanout, 9, row, picks);
        CHECK(count == std::min<int64_t>(degree, fanout));
        std::vector<uint32_t> sorted(picks, picks + count);
        std::sort(sorted.begin(), sorted.end());
        CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
        CHECK(count == 0 || sorted.back() < degree);
      }
    }
  }
  // Every position of a row is drawn equally often.
  std::vector<int> counts(10, 0);
  for (int64_t row = 0; row < 20000; ++row) {
    sample_row(10, 3, 10, row, picks);
    for (int k = 0; k < 3; ++k) ++counts[picks[k]];
  }
  for (const int count : counts) CHECK(std::abs(count - 6000) < 330);  // five standard deviations
}

void test_nth_missing(Random& random) {
  for (int trial = 0; trial < 200; ++trial) {
    const Graph graph = random_graph(2, 30, 25, random);
    const int64_t begin = graph.indptr[1], degree = graph.num_edges() - begin;
    std::vector<int64_t> missing(30);
    std::iota(missing.begin(), missing.end(), 0);
    for (int64_t e = begin; e < graph.num_edges(); ++e)
      std::erase(missing, graph.wide[static_cast<size_t>(e)]);
    for (size_t k = 0; k < missing.size(); ++k)
      CHECK(nth_missing(graph.wide.data() + begin, degree, static_cast<int64_t>(k)) == missing[k]);
  }
}

std::vector<int64_t> random_rows(Random& random) {
  std::vector<int64_t> rows(kTargets);
  for (int64_t& row : rows) row = below(random, kRows);
  return rows;
}

void test_neighbors_and_negatives(const CpuKernels& kernels, DType index, Random& random) {
  const Graph graph = random_graph(kRows, 60, 20, random);
  const auto rows = random_rows(random);
  constexpr int kFanout = 7;
  std::vector<int64_t> out(kTargets * kFanout), first_out, negatives(kTargets), first_negatives;
  SampleNeighborsParams sample{graph.view(index), rows.data(), kTargets, kFanout, 77, out.data()};
  NegativeSampleParams negative{graph.view(index), rows.data(), kTargets, 78, negatives.data()};
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    CHECK(kernels.sample_neighbors(sample, parallel(threads)) == -1);
    CHECK(kernels.negative_sample(negative, parallel(threads)) == -1);
    if (threads == 1) {
      first_out = out;
      first_negatives = negatives;
    }
    CHECK(same_bits(out, first_out) && same_bits(negatives, first_negatives));
  }
  uint32_t picks[kMaxFanout];
  for (size_t t = 0; t < rows.size(); ++t) {
    const auto row = static_cast<size_t>(rows[t]);
    const int64_t begin = graph.indptr[row], degree = graph.indptr[row + 1] - begin;
    const int count = sample_row(degree, kFanout, 77, rows[t], picks);
    for (int k = 0; k < kFanout; ++k) {
      const int64_t expected = k < count ? graph.wide[static_cast<size_t>(begin + picks[k])] : -1;
      CHECK(out[t * kFanout + static_cast<size_t>(k)] == expected);
    }
    const auto* items = graph.wide.data() + begin;
    const int64_t item = negatives[t];
    CHECK(degree == 60 ? item == -1
                       : item >= 0 && item < 60 && !std::binary_search(items, items + degree, item));
  }
}

template <class T>
void test_aggregate(const CpuKernels& kernels, DType index, Random& random) {
  const Graph graph = random_graph(kRows, kRows, 20, random);
  const auto rows = random_rows(random);
  const auto x = random_values<T>(kRows * kDim, random), history = random_values<T>(kRows * kDim, random);
  const auto sum = random_values<T>(kRows * kDim, random), second = random_values<T>(kRows * kDim, random);
  const auto row_scale = random_values<T>(kRows, random), col_scale = random_values<T>(kRows, random);
  std::vector<T> out(kTargets * kDim), out_second(kTargets * kDim), first_out, first_second;
  SampleAggregateParams p;
  p.csr = graph.view(index);
  p.row_scale = row_scale.data();
  p.col_scale = col_scale.data();
  p.rows = rows.data();
  p.num_targets = kTargets;
  p.x = x.data();
  p.history = history.data();
  p.history_sum = sum.data();
  p.second = second.data();
  p.out = out.data();
  p.out_second = out_second.data();
  p.dim = kDim;
  p.fanout = 6;
  p.seed = 5;
  p.self_loops = true;
  p.type = kTypeOf<T>;
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    CHECK(kernels.sample_aggregate(p, parallel(threads)) == -1);
    if (threads == 1) {
      first_out = out;
      first_second = out_second;
    }
    CHECK(same_bits(out, first_out) && same_bits(out_second, first_second));
  }
  int wrong = 0;
  uint32_t picks[kMaxFanout];
  for (size_t t = 0; t < rows.size(); ++t) {
    const auto row = static_cast<size_t>(rows[t]);
    const int64_t begin = graph.indptr[row], degree = graph.indptr[row + 1] - begin;
    const int count = sample_row(degree, p.fanout, p.seed, rows[t], picks);
    for (size_t i = 0; i < kDim; ++i) {
      double main = 0.0, other = 0.0;
      const auto add = [&](double factor, size_t c) {
        factor *= static_cast<double>(row_scale[row]) * static_cast<double>(col_scale[c]);
        main += factor * (static_cast<double>(x[c * kDim + i]) - static_cast<double>(history[c * kDim + i]));
        other += factor * static_cast<double>(second[c * kDim + i]);
      };
      for (int k = 0; k < count; ++k)
        add(static_cast<double>(degree) / count,
            static_cast<size_t>(graph.wide[static_cast<size_t>(begin + picks[k])]));
      add(1.0, row);
      main += static_cast<double>(sum[row * kDim + i]);
      wrong += !near(static_cast<double>(out[t * kDim + i]), main, 4 * kTolerance<T>);
      wrong += !near(static_cast<double>(out_second[t * kDim + i]), other, 4 * kTolerance<T>);
    }
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(6);
  test_sample_row();
  test_nth_missing(random);
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    for (const ltgnn::DType index : {ltgnn::DType::kInt32, ltgnn::DType::kInt64}) {
      test_neighbors_and_negatives(*kernels, index, random);
      test_aggregate<float>(*kernels, index, random);
      test_aggregate<double>(*kernels, index, random);
    }
  }
  return finish();
}
