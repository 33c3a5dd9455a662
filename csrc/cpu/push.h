// push_residual_ and push_ on the CPU. See kernels/push.h.
//
// A round of pushes walks the frontier's rows in order and adds each to its neighbours. With little work one
// thread does just that. With more, tasks own ranges of target rows: where a range begins and ends in each
// pushed row's sorted list is noted while the list is checked, so a task walks its own edges only, and every
// target still gets its contributions in the frontier's order. Nothing is done per row of the graph: the
// targets met are kept in a set.
#pragma once

#include "core/dispatch.h"
#include "core/parallel.h"
#include "core/tiles.h"
#include "cpu/list.h"
#include "cpu/square_root.h"
#include "cpu/targets.h"
#include "kernels/push.h"

namespace ltgnn {
namespace LTGNN_ISA {

inline int64_t push_residual(const PushResidualParams& p, const Parallel& parallel) {
  const int64_t edges_per_row = p.graph.num_rows > 0 ? p.graph.capacity / p.graph.num_rows + 3 : 0;
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return dispatch_index(p.graph.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      return for_each_target(p.num_targets, edges_per_row * p.dim, parallel, [&](int64_t k) {
        const int64_t row = p.rows ? p.rows[k] : k;
        if (row < 0 || row >= p.graph.num_rows || !valid_row(p.graph, row)) return false;
        bool good = true;
        for_each_tile<T>(p.dim, [&]<class TileType>(int64_t column) {
          good = good && push_residual_row<TileType, T, Index>(p, row, column, SquareRoot{}) < 0;
        });
        return good;
      });
    });
  });
}

template <class T, class Index>
class Push {
 public:
  Push(const PushParams& p, const Parallel& parallel)
      : p_(p),
        parallel_(parallel),
        indices_(static_cast<const Index*>(p.graph.indices)),
        y_(static_cast<T*>(p.y)),
        residual_(static_cast<T*>(p.residual)),
        tol_(static_cast<T>(p.tol)) {}

  // -1; or the position of a bad candidate; or num_candidates + the number of a malformed row.
  int64_t run() {
    for (int64_t k = 0; k < p_.num_candidates; ++k)
      if (p_.rows[k] < 0 || p_.rows[k] >= p_.graph.num_rows) return k;
    frontier_.append(p_.rows, p_.num_candidates);
    sort_distinct(frontier_, p_.graph.num_rows);
    int64_t kept = 0;
    for (int64_t k = 0; k < frontier_.size(); ++k)
      if (above(frontier_[k], not_finite_)) frontier_[kept++] = frontier_[k];
    frontier_.resize(kept);

    PushOutput& out = *p_.out;
    out.rounds = 0;
    for (; frontier_.size() > 0 && out.rounds < p_.max_rounds; ++out.rounds) {
      if (frontier_.size() > p_.max_pushes - pushed_.size()) break;
      const int64_t malformed = round();
      if (malformed >= 0) return p_.num_candidates + malformed;
    }
    out.pushes = pushed_.size();
    out.converged = frontier_.size() == 0 && !not_finite_;
    sort_distinct(pushed_, p_.graph.num_rows);
    give(PushOutput::kTouched, pushed_);
    give(PushOutput::kPending, frontier_);
    return -1;
  }

 private:
  // What one task of a round keeps to itself: the targets it met, and those to push next.
  struct Task {
    RowSet met;
    List<int64_t> next;
    bool not_finite = false;
  };
  static constexpr int64_t kMaxTasks = 32;
  static constexpr int64_t kOperationsPerTask = int64_t{1} << 18;

  void give(PushOutput::List list, const List<int64_t>& rows) {
    int64_t* memory = p_.out->allocate(p_.out->owner, list, rows.size());
    if (rows.size() > 0) std::memcpy(memory, rows.data(), static_cast<size_t>(rows.size()) * sizeof(int64_t));
  }

  bool above(int64_t row, bool& not_finite) const {
    const T* r = residual_ + row * p_.dim;
    unsigned state = 0;
    for (int64_t i = 0; i < p_.dim; ++i) state |= residual_state(r[i], tol_);
    if (state & kNotFinite) not_finite = true;
    return state == kOverTol;
  }

  // Which targets each task owns: [border_[task], border_[task + 1]).
  void cut(int64_t num_tasks) {
    num_tasks_ = num_tasks;
    const int64_t whole = p_.graph.num_rows / num_tasks, rest = p_.graph.num_rows % num_tasks;
    for (int64_t task = 0; task <= num_tasks; ++task) border_[task] = whole * task + rest * task / num_tasks;
  }

  // Checks a pushed row's list and notes where it crosses the tasks' borders.
  bool inspect(int64_t k) {
    const int64_t row = frontier_[k], begin = p_.graph.begin[row], end = begin + p_.graph.degree[row];
    int64_t* split = num_tasks_ > 1 ? split_.data() + k * (num_tasks_ + 1) : nullptr;
    int64_t task = 0, previous = 0, limit = 0;  // edges from split[task] on are not below `limit`
    for (int64_t e = begin; e < end; ++e) {
      const int64_t c = static_cast<int64_t>(indices_[e]);
      if (c < previous || c >= p_.graph.num_rows) return false;
      previous = c;
      if (split == nullptr) continue;
      for (; c >= limit; limit = border_[task]) split[task++] = e;
    }
    if (split != nullptr)
      while (task <= num_tasks_) split[task++] = end;
    return true;
  }

  // Y_j += R_j; R_j = 0, with R_j kept for the neighbours.
  void take(int64_t k) {
    T* r = residual_ + frontier_[k] * p_.dim;
    T* y = y_ + frontier_[k] * p_.dim;
    T* delta = delta_.data() + k * p_.dim;
    for (int64_t i = 0; i < p_.dim; ++i) {
      delta[i] = r[i];
      y[i] += r[i];
      r[i] = T(0);
    }
  }

  void give_to(int64_t target, const T* delta, Task& own) {
    own.met.insert(target);
    const T weight = push_weight<T>(p_.graph, target, p_.alpha, p_.self_loops);
    T* r = residual_ + target * p_.dim;
    for_each_tile<T>(p_.dim, [&]<class TileType>(int64_t column) {
      TileType tile;
      tile.zero();
      tile.add_scaled(T(1), r + column);
      tile.add_scaled(weight, delta + column);
      tile.store(r + column);
    });
  }

  void scatter(int64_t task, Task& own) {
    constexpr int64_t kAhead = 6;  // edges between a prefetch and its use
    const int64_t low = border_[task], high = border_[task + 1];
    own.met.clear();
    own.next.clear();
    for (int64_t k = 0; k < frontier_.size(); ++k) {
      const int64_t row = frontier_[k];
      const int64_t* split = num_tasks_ > 1 ? split_.data() + k * (num_tasks_ + 1) + task : nullptr;
      const int64_t begin = split ? split[0] : p_.graph.begin[row];
      const int64_t end = split ? split[1] : begin + p_.graph.degree[row];
      const T* delta = delta_.data() + k * p_.dim;
      for (int64_t e = begin; e < end; ++e) {
        if (e + kAhead < end)
          Tile<T, 8>::prefetch(residual_,
                               static_cast<uint64_t>(indices_[e + kAhead]) * static_cast<uint64_t>(p_.dim));
        give_to(static_cast<int64_t>(indices_[e]), delta, own);
      }
      if (p_.self_loops && low <= row && row < high) give_to(row, delta, own);
    }
    const List<int64_t>& met = own.met.rows();
    for (int64_t i = 0; i < met.size(); ++i)
      if (above(met[i], own.not_finite)) own.next.push(met[i]);
    sort_rows(own.next.data(), own.next.size(), p_.graph.num_rows);
  }

  // One round; -1, or the lowest malformed row: then nothing has been changed in it.
  int64_t round() {
    const int64_t count = frontier_.size();
    int64_t edges = count;
    for (int64_t k = 0; k < count; ++k) {
      if (!valid_row(p_.graph, frontier_[k])) return frontier_[k];
      edges += p_.graph.degree[frontier_[k]];
    }
    const Parallel threads = worth_threads(parallel_, edges * p_.dim);
    const int64_t wanted = edges * p_.dim / kOperationsPerTask + 2;
    cut(threads.num_threads <= 1 ? 1 : wanted < kMaxTasks ? wanted : kMaxTasks);
    if (num_tasks_ > 1) split_.resize(count * (num_tasks_ + 1));
    const int64_t malformed =
        for_each_target(count, edges / count, threads, [&](int64_t k) { return inspect(k); });
    if (malformed >= 0) return frontier_[malformed];
    delta_.resize(count * p_.dim);
    for_each_target(count, 3 * p_.dim, threads, [&](int64_t k) {
      take(k);
      return true;
    });
    for_each_task(threads, num_tasks_, [&](int64_t task, int) { scatter(task, tasks_[task]); });
    pushed_.append(frontier_.data(), count);
    frontier_.clear();
    for (int64_t task = 0; task < num_tasks_; ++task) {
      frontier_.append(tasks_[task].next.data(), tasks_[task].next.size());
      not_finite_ = not_finite_ || tasks_[task].not_finite;
    }
    return -1;
  }

  const PushParams& p_;
  const Parallel& parallel_;
  const Index* indices_;
  T* y_;
  T* residual_;
  T tol_;
  int64_t num_tasks_ = 1;
  int64_t border_[kMaxTasks + 1] = {};
  List<int64_t> frontier_;  // rows above tol, in order
  List<int64_t> pushed_;    // every frontier so far
  List<int64_t> split_;     // [frontier, num_tasks + 1], where the tasks' targets begin in each list
  List<T> delta_;           // [frontier, dim], what is pushed
  Task tasks_[kMaxTasks];
  bool not_finite_ = false;
};

inline int64_t push(const PushParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return dispatch_index(p.graph.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      Push<T, Index> push(p, parallel);
      return push.run();
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
