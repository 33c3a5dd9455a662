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

// A kernel draws as sample_row does and gives -1 past it, whatever the row's length, the fanout and its
// neighbours in a task: rows that are taken whole, that mark what they have in a word or in a table, or that
// compare.
void test_neighbors_of_any_degree(const CpuKernels& kernels, Random& random) {
  constexpr int64_t kLongest = 1500, kCount = 333;
  for (const int longest : {12, 64, 66, static_cast<int>(kLongest)}) {
    std::vector<int64_t> indptr{0}, rows;
    std::vector<int32_t> indices;
    std::vector<int16_t> row_fanout;
    for (int64_t row = 0; row < kCount; ++row) {
      const int64_t degree = below(random, 2) ? longest : below(random, longest + 1);
      const int64_t shift = below(random, kLongest);
      for (int64_t e = 0; e < degree; ++e) indices.push_back(static_cast<int32_t>((shift + e) % kLongest));
      indptr.push_back(static_cast<int64_t>(indices.size()));
      rows.push_back(below(random, kCount));
    }
    const CsrView csr{indptr.data(), indices.data(), DType::kInt32, kCount, kLongest, indptr.back()};
    for (const int fanout : {0, 1, 4, 5, 8, 15, 16, 33, kMaxFanout}) {
      row_fanout.clear();
      for (int64_t row = 0; row < kCount; ++row)
        row_fanout.push_back(static_cast<int16_t>(below(random, fanout + 1)));
      for (const bool alike : {true, false}) {
        const int16_t* own = alike ? nullptr : row_fanout.data();
        std::vector<int64_t> out(static_cast<size_t>(kCount * fanout), -2);
        const SampleNeighborsParams p{csr, rows.data(), kCount, fanout, ~uint64_t{5}, out.data(), own};
        CHECK(kernels.sample_neighbors(p, parallel(2)) == -1);
        uint32_t picks[kMaxFanout];
        for (int64_t t = 0; t < kCount; ++t) {
          const int64_t row = rows[static_cast<size_t>(t)], begin = indptr[static_cast<size_t>(row)];
          const int count = sample_row(indptr[static_cast<size_t>(row) + 1] - begin, own ? own[row] : fanout,
                                       p.seed, row, picks);
          for (int k = 0; k < fanout; ++k) {
            const int64_t expected = k < count ? indices[static_cast<size_t>(begin + picks[k])] : -1;
            CHECK(out[static_cast<size_t>(t * fanout + k)] == expected);
          }
        }
      }
    }
  }
}

// Every edge is drawn as often as its part of the interval says, whatever the parts.
void test_weighted_pick() {
  const std::vector<int32_t> starts{-7,      1 << 20,  1 << 29, (1 << 29) + 1,
                                    1 << 30, INT32_MAX};  // the first counts as 0
  const auto degree = static_cast<int64_t>(starts.size());
  std::vector<double> share(starts.size()), drawn(starts.size(), 0.0);
  for (size_t e = 0; e < starts.size(); ++e) {
    const int64_t begin = e ? starts[e] : 0, end = e + 1 < starts.size() ? starts[e + 1] : int64_t{1} << 31;
    for (const int64_t place : {begin, end - 1}) {
      const WeightedPick pick = weighted_pick(starts.data(), degree, static_cast<uint32_t>(place));
      CHECK(pick.position == e && pick.span == end - begin);
    }
    share[e] = static_cast<double>(end - begin) / 2147483648.0;
  }
  constexpr int kRepeats = 20000, kFanout = 3;
  for (int64_t row = 0; row < kRepeats; ++row) {
    PhiloxStream random(3, static_cast<uint64_t>(row));
    for (int k = 0; k < kFanout; ++k) {
      const uint32_t draw = stratified_draw(random.next(), k, kFanout);
      CHECK(draw / static_cast<double>(1u << 31) * kFanout >= k - 1e-6);
      CHECK(draw / static_cast<double>(1u << 31) * kFanout < k + 1);
      drawn[weighted_pick(starts.data(), degree, draw).position] += 1.0;
    }
  }
  for (size_t e = 0; e < starts.size(); ++e) {
    const double mean = kRepeats * kFanout * share[e];
    CHECK(std::abs(drawn[e] - mean) <= 5 * std::sqrt(mean) + 1e-3);
  }
  // Any content leaves the pick in the row and its span above 0.
  const std::vector<int32_t> disorder{5, -1, 7, INT32_MIN, 3, 3, 0, INT32_MAX};
  for (uint32_t draw = 0; draw < 1u << 31; draw += 12345677) {
    const WeightedPick pick = weighted_pick(disorder.data(), 8, draw);
    CHECK(pick.position < 8 && pick.span > 0);
  }
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
  NegativeSampleParams wide = negative;
  wide.csr = graph.view(DType::kInt64);
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
    CHECK(item == pick_negative<int64_t>(wide, rows[t], negative_word(78, static_cast<int64_t>(t))));
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
  test_weighted_pick();
  test_nth_missing(random);
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    test_neighbors_of_any_degree(*kernels, random);
    for (const ltgnn::DType index : {ltgnn::DType::kInt32, ltgnn::DType::kInt64}) {
      test_neighbors_and_negatives(*kernels, index, random);
      test_aggregate<float>(*kernels, index, random);
      test_aggregate<double>(*kernels, index, random);
    }
  }
  return finish();
}
