// Queries and items for tests of topk, and what must come of them: all scores, sorted.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "graphs.h"
#include "kernels/topk.h"

namespace ltgnn::test {

template <class T>
struct TopkCase {
  int64_t num_queries, num_items, dim, k;
  std::vector<T> queries, items, scores;
  std::vector<int64_t> ids;
  Graph seen;
  TopkParams params;

  // Small integers: every score is exact, whatever the order of its sum, and ties are plentiful.
  TopkCase(int64_t q, int64_t n, int64_t d, int64_t results, Random& random, bool integers = true)
      : num_queries(q),
        num_items(n),
        dim(d),
        k(results),
        queries(random_values<T>(q * d, random)),
        items(random_values<T>(n * d, random)),
        scores(static_cast<size_t>(q * results), T(3)),
        ids(static_cast<size_t>(q * results), 12345) {
    if (integers) {
      for (T& x : queries) x = std::round(3 * x);
      for (T& x : items) x = std::round(3 * x);
    }
    params.queries = queries.data();
    params.items = items.data();
    params.num_queries = q;
    params.num_items = n;
    params.dim = d;
    params.k = results;
    params.scores = scores.data();
    params.ids = ids.data();
    params.type = kTypeOf<T>;
  }
  TopkCase(const TopkCase&) = delete;

  void mask(Graph graph, DType index) {
    seen = std::move(graph);
    params.seen = seen.view(index);
  }
  bool is_masked(int64_t q, int64_t item) const {
    if (params.seen.indptr == nullptr) return false;
    const auto row = seen.wide.begin();
    return std::binary_search(row + seen.indptr[static_cast<size_t>(q)],
                              row + seen.indptr[static_cast<size_t>(q) + 1], item);
  }
  double score(int64_t q, int64_t item) const {
    double sum = 0.0;
    for (int64_t i = 0; i < dim; ++i)
      sum += static_cast<double>(queries[static_cast<size_t>(q * dim + i)]) *
             static_cast<double>(items[static_cast<size_t>(item * dim + i)]);
    return sum;
  }
  T result(int64_t q, int64_t i) const { return scores[static_cast<size_t>(q * k + i)]; }
  int64_t id(int64_t q, int64_t i) const { return ids[static_cast<size_t>(q * k + i)]; }

  // The items left to query q, best first.
  std::vector<int64_t> ranking(int64_t q) const {
    std::vector<int64_t> order;
    std::vector<double> all;
    for (int64_t item = 0; item < num_items; ++item) {
      all.push_back(score(q, item));
      if (!is_masked(q, item)) order.push_back(item);
    }
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return all[static_cast<size_t>(a)] > all[static_cast<size_t>(b)];
    });
    return order;
  }

  // Places at which the results are not those of exact arithmetic; for integers.
  int num_wrong() const {
    int wrong = 0;
    for (int64_t q = 0; q < num_queries; ++q) {
      const std::vector<int64_t> order = ranking(q);
      for (int64_t i = 0; i < k; ++i) {
        const bool found = i < static_cast<int64_t>(order.size());
        const int64_t item = found ? order[static_cast<size_t>(i)] : -1;
        const double value = found ? score(q, item) : -std::numeric_limits<double>::infinity();
        wrong += id(q, i) != item || static_cast<double>(result(q, i)) != value;
      }
    }
    return wrong;
  }

  // The same for any values: a score may be off by a few roundings, and so may the order.
  int num_far_off() const {
    int wrong = 0;
    for (int64_t q = 0; q < num_queries; ++q) {
      const std::vector<int64_t> order = ranking(q);
      for (int64_t i = 0; i < k; ++i) {
        if (i >= static_cast<int64_t>(order.size())) {
          wrong += id(q, i) != -1;
          continue;
        }
        const int64_t item = id(q, i);
        if (item < 0 || item >= num_items || is_masked(q, item)) {
          ++wrong;
          continue;
        }
        const auto got = static_cast<double>(result(q, i));
        const double tolerance = kTolerance<T> * std::sqrt(static_cast<double>(dim));
        wrong += std::fabs(got - score(q, item)) > tolerance ||
                 std::fabs(got - score(q, order[static_cast<size_t>(i)])) > tolerance;
      }
    }
    return wrong;
  }
};

// About `degree` seen items for each query; query 0 has seen everything.
inline Graph random_seen(int64_t num_queries, int64_t num_items, int64_t degree, Random& random) {
  return random_graph(num_queries, num_items, degree < num_items ? degree : num_items, random);
}

}  // namespace ltgnn::test
