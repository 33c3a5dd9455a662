// A small LTGNN model and a batch of its rows, for tests of the step.
#pragma once

#include <numeric>

#include "check.h"
#include "graphs.h"
#include "kernels/ltgnn_step.h"

namespace ltgnn::test {

constexpr int64_t kNodes = 50;

inline std::vector<int64_t> distinct_rows(int64_t count, Random& random) {
  std::vector<int64_t> rows(kNodes);
  std::iota(rows.begin(), rows.end(), 0);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(static_cast<size_t>(count));
  rows.shrink_to_fit();
  return rows;
}

template <class T>
std::vector<T> magnitudes(std::vector<T> values) {
  for (T& value : values) value = std::abs(value);
  return values;
}

template <class T>
bool all_near(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!near(static_cast<double>(a[i]), static_cast<double>(b[i]), 8 * kTolerance<T>)) return false;
  return true;
}

// All tables of a model and a batch, with everything optional drawn at random. Copies have memory of their
// own.
template <class T>
struct StepCase {
  Graph graph = {};
  int64_t dim, targets;
  DType index;
  uint64_t options, seed;
  int fanout;
  std::vector<int64_t> rows;
  std::vector<int16_t> fanouts;
  std::vector<int32_t> starts;
  std::vector<T> scale, e0, z, delta, history_sum, g, m, v, l2, grad, h, z_new, out;

  StepCase(int64_t dim_, int64_t targets_, int fanout_, Random& random)
      : graph(random_graph(kNodes, kNodes, 2 * fanout_, random)),
        dim(dim_),
        targets(targets_),
        index(random() & 1 ? DType::kInt32 : DType::kInt64),
        options(random()),
        seed(random()),
        fanout(fanout_),
        rows(distinct_rows(targets_, random)) {
    const auto table = [&](int64_t count) { return random_values<T>(count * dim, random); };
    scale = random_values<T>(kNodes, random);
    l2 = random_values<T>(targets, random);
    for (auto* nodes : {&e0, &z, &delta, &history_sum, &g, &m}) *nodes = table(kNodes);
    v = magnitudes(table(kNodes));
    fanouts = random_fanouts(graph, fanout, random);
    starts = random_starts(graph, random);
    for (auto* batch : {&grad, &h, &z_new, &out}) *batch = table(targets);
  }

  bool has(int bit) const { return options >> bit & 1; }

  LtgnnForwardParams forward() {
    LtgnnForwardParams p;
    p.sample.csr = graph.view(index);
    p.sample.row_scale = p.sample.col_scale = has(0) ? scale.data() : nullptr;
    p.sample.rows = rows.data();
    p.sample.num_targets = targets;
    p.sample.x = delta.data();
    p.sample.history_sum = history_sum.data();
    p.sample.second = has(1) ? g.data() : nullptr;
    p.sample.out_second = has(1) ? h.data() : nullptr;
    p.sample.dim = dim;
    p.sample.fanout = fanout;
    p.sample.seed = seed;
    p.sample.self_loops = has(2);
    p.sample.type = kTypeOf<T>;
    p.sample.row_fanout = has(11) ? fanouts.data() : nullptr;
    p.sample.edge_starts = has(12) ? starts.data() : nullptr;
    p.e0 = e0.data();
    p.z = has(3) ? z.data() : nullptr;
    p.delta = delta.data();
    p.z_new = has(3) ? z_new.data() : nullptr;
    p.out = out.data();
    p.alpha = 0.4;
    p.c0 = has(4) ? 0.25 : 0.0;
    return p;
  }

  AdamParams adam() {
    AdamParams p;
    p.rows = has(5) ? rows.data() : nullptr;
    p.num_rows = p.rows ? targets : std::min(targets, kNodes);
    p.table_rows = kNodes;
    p.dim = dim;
    p.grad = grad.data();
    p.l2 = has(6) ? l2.data() : nullptr;
    p.param = e0.data();
    p.m = m.data();
    p.v = v.data();
    p.delta = has(7) ? delta.data() : nullptr;
    p.constants = adam_constants(0.05, 0.9, 0.99, 1e-8, 3);
    p.type = kTypeOf<T>;
    return p;
  }

  LtgnnUpdateParams update() {
    LtgnnUpdateParams p;
    p.adam = adam();
    p.adam.rows = rows.data();
    p.adam.num_rows = targets;
    p.h = has(8) ? h.data() : nullptr;
    p.g_table = has(9) ? g.data() : nullptr;
    p.alpha = 0.4;
    p.c0 = 0.25;
    p.faithful = has(10);
    return p;
  }

  std::vector<const std::vector<T>*> tables() const {
    return {&e0, &z, &delta, &history_sum, &g, &m, &v, &grad, &h, &z_new, &out};
  }
};

}  // namespace ltgnn::test
