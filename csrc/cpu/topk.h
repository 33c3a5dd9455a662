// topk on the CPU (kernels/topk.h). One task owns a block of queries and walks all items:
//
//   for a slice of the items that stays in the second-level cache
//     for a panel of kCols queries of the block, packed [dim, kCols], that stays in the first-level cache
//       for kRows items: a register-blocked product, items against the lanes of the panel
//
// A lane is a query, so that a product's registers are compared with a register of bounds (the worst score
// that is still listed): where none is beaten, nothing else happens. Else the candidate is looked up in the
// query's seen row and joins its list (cpu/topk_list.h). Items are met in ascending order: an equal score
// loses against those listed, so that only a strictly larger one is a candidate.
//
// 2 num_queries num_items dim operations; items are read from memory once for each block of queries. Memory:
// for each thread a packed block and two lists of k candidates a query.
#pragma once

#include <limits>

#include "core/dispatch.h"
#include "core/parallel.h"
#include "cpu/buffer.h"
#include "cpu/first_fault.h"
#include "cpu/gemm.h"
#include "cpu/topk_list.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class T>
class Topk {
  using Gemm = MicroGemm<T>;
  using Lanes = typename Gemm::Lanes;
  using Key = RankKey<T>;
  static constexpr int64_t kRows = Gemm::kRows, kCols = Gemm::kCols, kLanes = Gemm::kLanes;
  static constexpr int64_t kMaxBlock = 256;       // queries a task
  static constexpr int64_t kListBytes = 4 << 20;  // of a task's lists, roughly: longer lists, fewer queries
  static constexpr int64_t kSliceBytes = 128 << 10;  // of items

 public:
  Topk(const TopkParams& p, const Parallel& parallel)
      : p_(p),
        parallel_(worth_threads(parallel, p.num_queries * p.num_items * p.dim / 16)),
        kept_(p.k < p.num_items ? p.k : p.num_items),
        capacity_(kept_ + (kept_ > 32 ? kept_ : 32)),
        block_(block_size()),
        slice_(slice_size()),
        num_threads_(parallel_.run == nullptr ? 1 : parallel_.num_threads),
        tail_(kRows * p.dim),
        panels_(num_threads_ * block_ * p.dim),
        lists_(num_threads_ * block_ * capacity_),
        counts_(num_threads_ * block_),
        bounds_(num_threads_ * block_) {}

  int64_t run() {
    const int64_t whole = p_.num_items / kRows * kRows;
    if (whole < p_.num_items && p_.dim > 0)
      std::memcpy(tail_.get(), items() + whole * p_.dim,
                  static_cast<size_t>((p_.num_items - whole) * p_.dim) * sizeof(T));
    FirstFault fault(p_.num_queries);
    const int64_t num_tasks = (p_.num_queries + block_ - 1) / block_;
    for_each_task(parallel_, num_tasks, [&](int64_t task, int thread) { run_block(task, thread, fault); });
    return fault.first();
  }

 private:
  const T* items() const { return static_cast<const T*>(p_.items); }

  int64_t block_size() const {
    const int64_t share = p_.num_queries / 16 < kMaxBlock ? p_.num_queries / 16 : kMaxBlock;
    const int64_t most = kListBytes / (capacity_ * static_cast<int64_t>(sizeof(Key)));
    const int64_t wanted = share < most ? share : most;
    return wanted > kCols ? wanted / kCols * kCols : kCols;
  }
  int64_t slice_size() const {
    const int64_t rows = kSliceBytes / ((p_.dim > 0 ? p_.dim : 1) * static_cast<int64_t>(sizeof(T)));
    return rows > kRows ? rows / kRows * kRows : kRows;
  }

  // The lists of one task.
  struct Block {
    int64_t first, size;  // queries
    T* panels;            // [size padded, dim] in panels of kCols queries
    Key* lists;           // [size, capacity]
    int64_t* counts;      // [size]
    T* bounds;            // [size padded]; infinite where there is no query to list for
  };

  void run_block(int64_t task, int thread, FirstFault& fault) const {
    Block block;
    block.first = task * block_;
    block.size = block.first + block_ < p_.num_queries ? block_ : p_.num_queries - block.first;
    block.panels = panels_.get() + thread * block_ * p_.dim;
    block.lists = lists_.get() + thread * block_ * capacity_;
    block.counts = counts_.get() + thread * block_;
    block.bounds = bounds_.get() + thread * block_;
    fill(block, fault);
    for (int64_t slice = 0; slice < p_.num_items; slice += slice_) {
      const int64_t end = slice + slice_ < p_.num_items ? slice + slice_ : p_.num_items;
      for (int64_t column = 0; column < block.size; column += kCols)
        for (int64_t item = slice; item < end; item += kRows) score_tile(block, column, item);
    }
    for (int64_t q = 0; q < block.size; ++q) write(block, q);
  }

  void fill(const Block& block, FirstFault& fault) const {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    const T* queries = static_cast<const T*>(p_.queries) + block.first * p_.dim;
    for (int64_t q = 0; q < round_up(block.size, kCols); ++q) {
      T* panel = block.panels + q / kCols * kCols * p_.dim + q % kCols;
      for (int64_t i = 0; i < p_.dim; ++i) panel[i * kCols] = q < block.size ? queries[q * p_.dim + i] : T(0);
      const bool usable =
          q < block.size && (p_.seen.indptr == nullptr || valid_row(p_.seen, block.first + q));
      block.bounds[q] = usable && kept_ > 0 ? -kInfinity : kInfinity;
      block.counts[q] = 0;
      if (q < block.size && !usable) fault.report(block.first + q);
    }
  }

  // kRows items against kCols queries.
  void score_tile(const Block& block, int64_t column, int64_t item) const {
    alignas(64) T scores[kRows * kCols];
    const T* rows = item + kRows <= p_.num_items ? items() + item * p_.dim : tail_.get();
    Gemm::run(false, p_.dim, rows, p_.dim, 1, block.panels + column * p_.dim, kCols, scores, kCols);
    const T* bounds = block.bounds + column;
    // A comparison with NaN is false: NaN neither becomes a maximum nor hides one.
    Lanes low[2] = {load_lanes(bounds), load_lanes(bounds + kLanes)}, high[2] = {low[0], low[1]};
#pragma GCC unroll 12
    for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
      for (int n = 0; n < 2; ++n) {
        const Lanes next = load_lanes(scores + m * kCols + n * kLanes);
        high[n] = next > high[n] ? next : high[n];
      }
    }
    if (MaskBytes<T>((high[0] > low[0]) | (high[1] > low[1])).any()) collect(block, column, item, scores);
  }

  // Apart, as `cut` is: else both would take registers from the loops that call them.
  __attribute__((noinline)) void collect(const Block& block, int64_t column, int64_t item,
                                         const T* scores) const {
    const int64_t count = item + kRows < p_.num_items ? kRows : p_.num_items - item;
    for (int64_t m = 0; m < count; ++m) {
      const T* row = scores + m * kCols;
      const T* bounds = block.bounds + column;
      for (int64_t n = 0; n < kCols; n += kLanes) {
        const MaskBytes<T> above(load_lanes(row + n) > load_lanes(bounds + n));
        above.for_each([&](int64_t k) { add(block, column + n + k, row[n + k], item + m); });
      }
    }
  }

  void add(const Block& block, int64_t q, T score, int64_t item) const {
    if (is_seen(p_.seen, block.first + q, item)) return;
    const int64_t count = block.counts[q]++;
    block.lists[q * capacity_ + count] = Key::of(score, item);
    if (count + 1 == capacity_) cut(block, q);
  }

  __attribute__((noinline)) void cut(const Block& block, int64_t q) const {
    Key* list = block.lists + q * capacity_;
    select_best(list, capacity_, kept_);
    Key worst = list[0];
    for (int64_t i = 1; i < kept_; ++i) worst = list[i] < worst ? list[i] : worst;
    block.counts[q] = kept_;
    block.bounds[q] = worst.score();
  }

  void write(const Block& block, int64_t q) const {
    Key* list = block.lists + q * capacity_;
    int64_t count = block.counts[q];
    if (count > kept_) select_best(list, count, kept_);
    count = count < kept_ ? count : kept_;
    sort_best_first(list, count);
    T* scores = static_cast<T*>(p_.scores) + (block.first + q) * p_.k;
    int64_t* ids = p_.ids + (block.first + q) * p_.k;
    for (int64_t i = 0; i < p_.k; ++i) {
      scores[i] = i < count ? list[i].score() : -std::numeric_limits<T>::infinity();
      ids[i] = i < count ? list[i].id() : -1;
    }
  }

  const TopkParams& p_;
  const Parallel parallel_;
  const int64_t kept_, capacity_, block_, slice_, num_threads_;
  const Buffer<T> tail_, panels_;
  const Buffer<Key> lists_;
  const Buffer<int64_t> counts_;
  const Buffer<T> bounds_;
};

inline int64_t topk(const TopkParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return Topk<T>(p, parallel).run();
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
