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

  // Draws the places in the row, which `draws` then has, and asks for what they hold. weight(k, span): of
  // pick k, where rows draw by importance.
  template <class Index, class Params, class Weight>
  void draw(const Params& p, TaskDraws& draws, const Weight& weight) const {
    if (!good) return;
    const auto* indices = static_cast<const Index*>(p.csr.indices) + p.csr.indptr[row];
    if (drawn < 0) {
      prefetch_line(indices);
      return;
    }
    if (p.edge_starts != nullptr) {
      const int32_t* starts = p.edge_starts + p.csr.indptr[row];
      for (int k = 0; k < count; ++k) {
        uint32_t& word = draws(drawn, k);
        const WeightedPick pick = weighted_pick(starts, degree, stratified_draw(word, k, count));
        word = pick.position;
        weight(k, pick.span);
      }
    } else {
      draws.pick(drawn);
    }
    for (int k = 0; k < count; ++k) prefetch_line(indices + draws(drawn, k));
  }

  // Looks up the columns, column(k, number). False where one is out of range.
  template <class Index, class Column>
  bool look_up(const CsrView& csr, const TaskDraws& draws, const Column& column) const {
    const auto* indices = static_cast<const Index*>(csr.indices) + csr.indptr[row];
    bool bad = false;
    const auto take = [&](int k, Index found) {
      bad |= static_cast<uint64_t>(static_cast<int64_t>(found)) >= static_cast<uint64_t>(csr.num_cols);
      column(k, found);
    };
    if (drawn < 0)
      for (int k = 0; k < count; ++k) take(k, indices[k]);
    else
      for (int k = 0; k < count; ++k) take(k, indices[draws(drawn, k)]);
    return !bad;
  }
};

// The targets of one task, whose random words are made.
struct TaskTargets {
  int64_t begin, end;
  TaskDraws draws;
  Target targets[kTargetsPerTask];

  template <class Params>
  TaskTargets(const Params& p, int64_t task) : begin(task * kTargetsPerTask) {
    end = begin + kTargetsPerTask < p.num_targets ? begin + kTargetsPerTask : p.num_targets;
    for (int64_t k = begin; k < end; ++k) prefetch_row(p.csr.indptr, p.rows[k], sizeof(int64_t));
    for (int64_t k = begin; k < end; ++k) targets[k - begin] = Target(p, p.rows[k], draws);
    draws.draw(p.seed, p.edge_starts == nullptr);
  }

  const Target& operator[](int64_t k) const { return targets[k - begin]; }
};

// Calls body(task) for every task of targets; returns the lowest target that it reported to the fault, or -1.
// `operations`: see for_each_target.
template <class Params, class Body>
int64_t for_each_task_of_targets(const Params& p, int64_t operations, const Parallel& parallel,
                                 const Body& body) {
  FirstFault fault(p.num_targets);
  const int64_t num_tasks = (p.num_targets + kTargetsPerTask - 1) / kTargetsPerTask;
  for_each_task(worth_threads(parallel, p.num_targets * operations), num_tasks, [&](int64_t number, int) {
    TaskTargets task(p, number);
    body(task, fault);
  });
  return fault.first();
}

// What one target row drew.
template <class Index>
struct DrawnTarget : Target {
  bool weighted = false;  // drawn by importance: pick k counts weights[k] times
  float weights[kMaxFanout];
  Index columns[kMaxFanout];

  LTGNN_HD int64_t operator()(int k) const { return static_cast<int64_t>(columns[k]); }

  template <class Params>
  void draw(const Params& p, const Target& target, TaskDraws& draws) {
    static_cast<Target&>(*this) = target;
    weighted = p.edge_starts != nullptr && drawn >= 0;
    target.draw<Index>(p, draws, [&](int k, uint32_t span) { weights[k] = importance_weight(span); });
  }

  // Not good where a column is out of range.
  void look_up(const CsrView& csr, const TaskDraws& draws) {
    if (good) good = Target::look_up<Index>(csr, draws, [&](int k, Index column) { columns[k] = column; });
  }
};

// Calls prefetch(target) and, later, body(k, target) for each target that is well formed; returns the lowest
// k that is not, or -1. Params: csr, rows, num_targets, fanout, seed, row_fanout, edge_starts. `operations`:
// see for_each_target.
template <class Index, class Params, class Prefetch, class Body>
int64_t for_each_drawn_target(const Params& p, int64_t operations, const Parallel& parallel,
                              const Prefetch& prefetch, const Body& body) {
  return for_each_task_of_targets(p, operations, parallel, [&](TaskTargets& task, FirstFault& fault) {
    DrawnTarget<Index> ring[4];
    const auto draw = [&](int64_t k) {
      if (k < task.end) ring[k % 4].draw(p, task[k], task.draws);
    };
    const auto look_up = [&](int64_t k) {
      if (k >= task.end) return;
      DrawnTarget<Index>& target = ring[k % 4];
      target.look_up(p.csr, task.draws);
      if (target.good) prefetch(target);
    };
    draw(task.begin);
    draw(task.begin + 1);
    look_up(task.begin);
    for (int64_t k = task.begin; k < task.end; ++k) {
      draw(k + 2);
      look_up(k + 1);
      const DrawnTarget<Index>& target = ring[k % 4];
      if (target.good)
        body(k, target);
      else
        fault.report(k);
    }
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
