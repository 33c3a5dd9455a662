// One input of push_residual and push: a symmetric graph whose rows lie anywhere in the pool, with nonsense
// between them, and the same mathematics by plain loops in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "graphs.h"
#include "kernels/push.h"

namespace ltgnn::test {

template <class T>
struct PushCase {
  std::vector<std::vector<int64_t>> neighbors;
  std::vector<int64_t> begin, degree, wide, rows;
  std::vector<int32_t> narrow;
  std::vector<T> e0, y, residual;
  std::vector<int64_t> lists[2];
  PushOutput out;
  PushParams params;
  PushResidualParams exact;

  // `edges` random ones among `nodes`; node 0 is a hub where there are any, and the last node has none.
  PushCase(int64_t nodes, int64_t edges, int64_t dim, DType index, bool self_loops, Random& random)
      : neighbors(static_cast<size_t>(nodes)) {
    std::set<std::pair<int64_t, int64_t>> pairs;
    for (int64_t k = 0; k < edges; ++k) pairs.insert({below(random, nodes - 1), below(random, nodes - 1)});
    for (int64_t i = 1; edges > 0 && i + 1 < nodes; i += 2) pairs.insert({0, i});
    for (const auto& [a, b] : pairs)
      if (a != b && !pairs.count({b, a})) {
        neighbors[static_cast<size_t>(a)].push_back(b);
        neighbors[static_cast<size_t>(b)].push_back(a);
      }
    lay_out(random);
    const int64_t size = nodes * dim;
    e0 = random_values<T>(size, random);
    y = random_values<T>(size, random);
    residual = random_values<T>(size, random);
    rows.resize(static_cast<size_t>(nodes / 2));
    for (int64_t& row : rows) row = below(random, nodes);
    params.graph.begin = begin.data();
    params.graph.degree = degree.data();
    params.graph.indices = index == DType::kInt32 ? static_cast<const void*>(narrow.data()) : wide.data();
    params.graph.index_type = index;
    params.graph.num_rows = nodes;
    params.graph.capacity = static_cast<int64_t>(wide.size());
    params.rows = rows.data();
    params.num_candidates = static_cast<int64_t>(rows.size());
    params.y = y.data();
    params.residual = residual.data();
    params.dim = dim;
    params.alpha = 0.4;
    params.tol = 0.05;
    params.max_rounds = params.max_pushes = 100000;
    params.self_loops = self_loops;
    params.type = kTypeOf<T>;
    out.allocate = [](void* self, PushOutput::List list, int64_t count) {
      auto& memory = static_cast<PushCase*>(self)->lists[list];
      memory.assign(static_cast<size_t>(count), -7);
      return memory.data();
    };
    exact.graph = params.graph;
    exact.num_targets = nodes;
    exact.e0 = e0.data();
    exact.y = y.data();
    exact.dim = dim;
    exact.alpha = params.alpha;
    exact.self_loops = self_loops;
    exact.type = params.type;
    connect();
  }
  PushCase(const PushCase&) = delete;
  PushCase& operator=(const PushCase&) = delete;

  int64_t nodes() const { return params.graph.num_rows; }

  // Rows in random order with gaps.
  void lay_out(Random& random) {
    std::vector<size_t> order(neighbors.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    begin.resize(order.size());
    degree.resize(order.size());
    const auto gap = [&](int64_t most) {
      for (int64_t k = below(random, most); k > 0; --k) wide.push_back(below(random, 2) ? -1 : INT32_MAX);
    };
    for (const size_t row : order) {
      gap(4);
      std::sort(neighbors[row].begin(), neighbors[row].end());
      begin[row] = static_cast<int64_t>(wide.size());
      degree[row] = static_cast<int64_t>(neighbors[row].size());
      wide.insert(wide.end(), neighbors[row].begin(), neighbors[row].end());
    }
    narrow.assign(wide.begin(), wide.end());
    wide.shrink_to_fit();
    narrow.shrink_to_fit();
  }

  void connect() {
    out.owner = this;
    params.out = &out;
    exact.residual = residual.data();
  }
  void set_index(int64_t at, int64_t value) {
    wide[static_cast<size_t>(at)] = value;
    narrow[static_cast<size_t>(at)] = static_cast<int32_t>(value);
  }

  // ---- plain loops ----
  using Table = std::vector<double>;
  static Table wide_copy(const std::vector<T>& table) { return Table(table.begin(), table.end()); }
  double scale(size_t row) const {
    return std::max(1.0, static_cast<double>(neighbors[row].size()) + (params.self_loops ? 1.0 : 0.0));
  }
  std::vector<int64_t> row_of(size_t row) const {
    std::vector<int64_t> list = neighbors[row];
    if (params.self_loops) list.push_back(static_cast<int64_t>(row));
    return list;
  }
  Table residual_of(const Table& from) const {
    const auto dim = static_cast<size_t>(params.dim);
    Table result(from.size());
    for (size_t r = 0; r < neighbors.size(); ++r)
      for (size_t i = 0; i < dim; ++i) {
        double sum = 0.0;
        for (const int64_t c : row_of(r)) sum += from[static_cast<size_t>(c) * dim + i];
        result[r * dim + i] = params.alpha * static_cast<double>(e0[r * dim + i]) / std::sqrt(scale(r)) +
                              (1.0 - params.alpha) / scale(r) * sum - from[r * dim + i];
      }
    return result;
  }
  std::vector<int64_t> above(const Table& r, const std::set<int64_t>& among) const {
    std::vector<int64_t> found;
    for (const int64_t row : among)
      for (int64_t i = 0; i < params.dim; ++i)
        if (std::fabs(r[static_cast<size_t>(row * params.dim + i)]) > params.tol) {
          found.push_back(row);
          break;
        }
    return found;
  }
  struct Answer {
    Table y, residual;
    std::vector<int64_t> touched, pending;
    int64_t rounds = 0, pushes = 0;
  };
  Answer push() const {
    Answer a{wide_copy(y), wide_copy(residual), {}, {}};
    const auto dim = static_cast<size_t>(params.dim);
    std::set<int64_t> touched;
    std::vector<int64_t> frontier = above(a.residual, {rows.begin(), rows.end()});
    while (!frontier.empty() && a.rounds < params.max_rounds &&
           a.pushes + static_cast<int64_t>(frontier.size()) <= params.max_pushes) {
      const Table old = a.residual;
      std::set<int64_t> met;
      for (const int64_t j : frontier)
        for (size_t i = 0; i < dim; ++i) {
          a.y[static_cast<size_t>(j) * dim + i] += old[static_cast<size_t>(j) * dim + i];
          a.residual[static_cast<size_t>(j) * dim + i] = 0.0;
        }
      for (const int64_t j : frontier)
        for (const int64_t target : row_of(static_cast<size_t>(j))) {
          met.insert(target);
          for (size_t i = 0; i < dim; ++i)
            a.residual[static_cast<size_t>(target) * dim + i] += (1.0 - params.alpha) /
                                                                 scale(static_cast<size_t>(target)) *
                                                                 old[static_cast<size_t>(j) * dim + i];
        }
      touched.insert(frontier.begin(), frontier.end());
      a.pushes += static_cast<int64_t>(frontier.size());
      ++a.rounds;
      frontier = above(a.residual, met);
    }
    a.touched.assign(touched.begin(), touched.end());
    a.pending = frontier;
    return a;
  }
  // Entries of a table that are farther than `tolerance` from what they should be.
  static int64_t wrong(const std::vector<T>& got, const Table& want, double tolerance) {
    int64_t count = 0;
    for (size_t i = 0; i < got.size(); ++i)
      count += !(std::fabs(static_cast<double>(got[i]) - want[i]) <= tolerance);
    return count;
  }
};

}  // namespace ltgnn::test
