// Targets whose neighbours are drawn before they are needed. Rows of large tables come from far away, and the
// processor sees only a few hundred instructions ahead: not past a draw. So the targets of a task make their
// random words together; then, while target k is summed, k + 1 has its columns looked up and its rows asked
// for, and k + 2 draws its positions.
#pragma once

#include "cpu/prefetch.h"
#include "cpu/row_draws.h"
#include "cpu/targets.h"
#include "kernels/sample.h"

namespace ltgnn {
namespace LTGNN_ISA {

using TaskDraws = RowDraws<static_cast<int>(kTargetsPerTask)>;

// One target row of a task, before its columns are known.
struct Target {
  int64_t row = 0, degree = 0;
  int count = 0;
  int drawn = -1;  // its number in the task's draws, or -1: the row is taken whole
  bool good = false;

  // Not good where the row number, the row's edge range or its fanout is not usable.
  template <class Params>
  Target(const Params& p, int64_t target_row, TaskDraws& draws) : row(target_row) {
    const CsrView& csr = p.csr;
    good = row >= 0 && row < csr.num_rows && valid_row(csr, row);
    if (!good) return;
    const int fanout = fanout_of(p, row);
    good = fanout >= 0;
    if (!good) return;
    degree = csr.indptr[row + 1] - csr.indptr[row];
    count = degree < fanout ? static_cast<int>(degree) : fanout;
    if (degree > fanout && fanout > 0) drawn = draws.add(row, degree, fanout);
  }
  Target() = default;
};

// What one target row drew.
template <class Index>
struct DrawnTarget : Target {
  bool weighted = false;           // drawn by importance: pick k counts weights[k] times
  const Index* indices = nullptr;  // of the row
  float weights[kMaxFanout];
  Index columns[kMaxFanout];

  LTGNN_HD int64_t operator()(int k) const { return static_cast<int64_t>(columns[k]); }

  // Draws the places in the row, and asks for what they hold.
  template <class Params>
  void draw(const Params& p, const Target& target, TaskDraws& draws) {
    static_cast<Target&>(*this) = target;
    if (!good) return;
    indices = static_cast<const Index*>(p.csr.indices) + p.csr.indptr[row];
    weighted = p.edge_starts != nullptr && drawn >= 0;
    if (drawn < 0) {
      __builtin_prefetch(indices);
      return;
    }
    if (weighted)
      draw_weighted(p.edge_starts + p.csr.indptr[row], draws);
    else
      draws.pick(drawn);
    for (int k = 0; k < count; ++k) __builtin_prefetch(indices + draws(drawn, k));
  }

  void draw_weighted(const int32_t* starts, TaskDraws& draws) {
    for (int k = 0; k < count; ++k) {
      uint32_t& word = draws(drawn, k);
      const WeightedPick pick = weighted_pick(starts, degree, stratified_draw(word, k, count));
      word = pick.position;
      weights[k] = importance_weight(pick.span);
    }
  }

  // Looks up the columns. Not good where one is out of range.
  void look_up(int64_t num_cols, const TaskDraws& draws) {
    if (!good) return;
    bool bad = false;
    for (int k = 0; k < count; ++k) {
      const Index column = indices[drawn < 0 ? static_cast<uint32_t>(k) : draws(drawn, k)];
      bad |= static_cast<uint64_t>(static_cast<int64_t>(column)) >= static_cast<uint64_t>(num_cols);
      columns[k] = column;
    }
    good = !bad;
  }
};

// Calls prefetch(target) and, later, body(k, target) for each target that is well formed; returns the lowest
// k that is not, or -1. Params: csr, rows, num_targets, fanout, seed, row_fanout, edge_starts. `operations`:
// see for_each_target.
template <class Index, class Params, class Prefetch, class Body>
int64_t for_each_drawn_target(const Params& p, int64_t operations, const Parallel& parallel,
                              const Prefetch& prefetch, const Body& body) {
  FirstFault fault(p.num_targets);
  const int64_t num_tasks = (p.num_targets + kTargetsPerTask - 1) / kTargetsPerTask;
  for_each_task(worth_threads(parallel, p.num_targets * operations), num_tasks, [&](int64_t task, int) {
    const int64_t begin = task * kTargetsPerTask;
    const int64_t end = begin + kTargetsPerTask < p.num_targets ? begin + kTargetsPerTask : p.num_targets;
    TaskDraws draws;
    Target targets[kTargetsPerTask];
    for (int64_t k = begin; k < end; ++k) prefetch_row(p.csr.indptr, p.rows[k], sizeof(int64_t));
    for (int64_t k = begin; k < end; ++k) targets[k - begin] = Target(p, p.rows[k], draws);
    draws.draw(p.seed, p.edge_starts == nullptr);
    DrawnTarget<Index> ring[4];
    const auto draw = [&](int64_t k) {
      if (k < end) ring[k % 4].draw(p, targets[k - begin], draws);
    };
    const auto look_up = [&](int64_t k) {
      if (k >= end) return;
      DrawnTarget<Index>& target = ring[k % 4];
      target.look_up(p.csr.num_cols, draws);
      if (target.good) prefetch(target);
    };
    draw(begin);
    draw(begin + 1);
    look_up(begin);
    for (int64_t k = begin; k < end; ++k) {
      draw(k + 2);
      look_up(k + 1);
      const DrawnTarget<Index>& target = ring[k % 4];
      if (target.good)
        body(k, target);
      else
        fault.report(k);
    }
  });
  return fault.first();
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
