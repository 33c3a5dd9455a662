// propagate in tiles of columns, for tables of x that are far larger than the cache: rows that are spread over
// many tiles are summed tile by tile, so that a tile's rows of x come from the cache and not from memory.
//
// A pass takes one tile: its rows of x are copied side by side into huge pages (one stream, instead of a page
// walk for each gathered row), then every spread row adds its edges in that tile. The indices of a row are
// sorted, so its edges in a tile follow each other, and a cursor remembers where the next tile's begin; between
// passes the sum waits in its row of the output, or in scratch memory where the output cannot hold it (16-bit
// storage; out that is x0). Nothing is added in another order than without tiles: the bits are the same. Were
// indices not sorted, a cursor would wait at an edge until its tile comes, and each edge still be added once, in
// its order.
//
// Memory beside the output: 16 bytes for each row of the matrix, kTileBytes, and the scratch.
#pragma once

#include "cpu/huge_pages.h"
#include "cpu/propagate_edges.h"
#include "cpu/rows.h"

namespace ltgnn {
namespace LTGNN_ISA {

// What tiles there are, and which rows are worth them.
struct TilePlan {
  int64_t columns = 0;    // of a tile; 0: no tiles
  int64_t min_span = 5;   // tiles between a row's first and last edge: below it, caches do well enough
  int64_t min_edges = 2;  // edges for each of them: below it, fetching the sum costs more than it saves
};

// Half of a usual last-level cache: sums, indices and another process take the rest.
constexpr int64_t kTileBytes = int64_t{16} << 20;

inline TilePlan plan_tiles(const PropagateParams& p, int64_t element_bytes) {
  TilePlan plan;
  const int64_t row_bytes = p.dim * element_bytes;
  if (p.tile_bytes < 0 || row_bytes == 0 || p.csr.num_cols == 0) return plan;
  if (p.tile_bytes > 0) plan.min_span = 2, plan.min_edges = 0;  // asked for: every row that it can split
  const int64_t bytes = p.tile_bytes > 0 ? p.tile_bytes : kTileBytes;
  const int64_t columns = bytes / row_bytes > 0 ? bytes / row_bytes : 1;
  if ((p.csr.num_cols - 1) / columns + 1 >= plan.min_span) plan.columns = columns;
  return plan;
}

template <class T, class Acc, class Index>
class TiledPropagate {
 public:
  TiledPropagate(const PropagateParams& params, const TilePlan& plan, const Parallel& parallel)
      : p_(params),
        plan_(plan),
        parallel_(worth_threads(parallel, (params.csr.num_edges + params.csr.num_rows) * params.dim)),
        num_tasks_((params.csr.num_edges + params.csr.num_rows) / kWorkPerTask + 1),
        tasks_(static_cast<size_t>(num_tasks_) * sizeof(Task)),
        spread_(static_cast<size_t>(params.csr.num_rows) * sizeof(Spread)),
        fault_(params.csr.num_rows) {}

  // As propagate; whole(row) -> bool does a row that is not worth tiles.
  template <class Whole>
  int64_t run(const Whole& whole) {
    for_each_task(parallel_, num_tasks_, [&](int64_t t, int) { sort_out(t, whole); });
    int64_t spread = 0;
    for (int64_t t = 0; t < num_tasks_; ++t) {
      tasks()[t].slot = spread;
      spread += tasks()[t].count;
    }
    if (spread == 0) return fault_.first();
    const bool in_output = sizeof(T) == sizeof(Acc) && p_.out != p_.x0;
    const Memory scratch(in_output ? 0 : static_cast<size_t>(spread * p_.dim) * sizeof(Acc));
    scratch_ = in_output ? nullptr : static_cast<Acc*>(scratch.get());
    const Memory packed(static_cast<size_t>(plan_.columns * p_.dim) * sizeof(T));
    for (int64_t first = 0; first < p_.csr.num_cols; first += plan_.columns)
      one_tile(first, static_cast<T*>(packed.get()));
    // An index out of range belongs to no tile: its row is the one that did not end.
    for_each_task(parallel_, num_tasks_, [&](int64_t t, int) {
      for (int64_t i = 0; i < tasks()[t].count; ++i)
        if (spread_of(t)[i].cursor < p_.csr.indptr[spread_of(t)[i].row + 1])
          fault_.report(spread_of(t)[i].row);
    });
    return fault_.first();
  }

 private:
  struct Task {
    int64_t begin, count;  // its spread rows: count of them from `begin` on
    int64_t slot;          // of the first one, in scratch memory
    uint64_t next;         // no edge that is left has a column below it
  };
  struct Spread {
    int64_t row, cursor;  // the first edge that has not been added
  };
  class Memory {
   public:
    explicit Memory(size_t bytes) : data_(allocate_large(bytes)) {
      if (data_ == nullptr) throw std::bad_alloc();
    }
    ~Memory() { std::free(data_); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    void* get() const { return data_; }

   private:
    void* data_;
  };

  Task* tasks() const { return static_cast<Task*>(tasks_.get()); }
  Spread* spread_of(int64_t t) const { return static_cast<Spread*>(spread_.get()) + tasks()[t].begin; }

  bool worth_tiles(int64_t begin, int64_t end) const {
    if (end - begin < 2) return false;
    const auto* indices = static_cast<const Index*>(p_.csr.indices);
    const int64_t span = static_cast<int64_t>(indices[end - 1]) / plan_.columns -
                         static_cast<int64_t>(indices[begin]) / plan_.columns + 1;
    return span >= plan_.min_span && (end - begin) / span >= plan_.min_edges;
  }

  template <class Whole>
  void sort_out(int64_t t, const Whole& whole) {
    const int64_t begin = task_border(p_.csr, t, num_tasks_), end = task_border(p_.csr, t + 1, num_tasks_);
    Task& task = tasks()[t];
    task = {begin, 0, 0, 0};
    for (int64_t r = begin; r < end; ++r) {
      if (!valid_row(p_.csr, r)) {
        fault_.report(r);
      } else if (worth_tiles(p_.csr.indptr[r], p_.csr.indptr[r + 1])) {
        spread_of(t)[task.count++] = {r, p_.csr.indptr[r]};
      } else if (!whole(r)) {
        fault_.report(r);
      }
    }
  }

  void one_tile(int64_t first, T* packed) {
    EdgeSource<T, Acc, Index> source(p_);
    const int64_t limit = std::min(first + plan_.columns, p_.csr.num_cols);
    bool wanted = false;
    for (int64_t t = 0; t < num_tasks_; ++t)
      wanted = wanted || (tasks()[t].count > 0 && tasks()[t].next < static_cast<uint64_t>(limit));
    if (!wanted) return;
    constexpr int64_t kRows = 512;  // copied at once
    const int64_t rows = limit - first;
    for_each_task(parallel_, (rows + kRows - 1) / kRows, [&](int64_t i, int) {
      for (int64_t r = i * kRows; r < std::min(rows, (i + 1) * kRows); ++r)
        std::memcpy(packed + r * p_.dim, source.x + (first + r) * p_.x_stride,
                    static_cast<size_t>(p_.dim) * sizeof(T));
    });
    source.x = packed;
    source.x_stride = p_.dim;
    source.first = static_cast<uint64_t>(first);
    source.limit = static_cast<uint64_t>(limit);
    for_each_task(parallel_, num_tasks_, [&](int64_t t, int) {
      if (tasks()[t].count > 0 && tasks()[t].next < source.limit) add_tile(t, source);
    });
  }

  // Asks for what a row further on will want: its indices first, then the rows of x of its first edges.
  void look_ahead(const EdgeSource<T, Acc, Index>& source, const Spread* spread, int64_t count,
                  int64_t i) const {
    constexpr int64_t kRows = 6, kEdges = 4;
    if (i + 2 * kRows < count) __builtin_prefetch(source.indices + spread[i + 2 * kRows].cursor);
    if (i + kRows >= count) return;
    const int64_t begin = spread[i + kRows].cursor;
    const int64_t end = std::min(begin + kEdges, p_.csr.indptr[spread[i + kRows].row + 1]);
    for (int64_t e = begin; e < end; ++e) {
      const uint64_t at = (source.column_of(e) - source.first) * static_cast<uint64_t>(p_.dim) * sizeof(T);
      const uint64_t address = reinterpret_cast<uint64_t>(source.x) + at;
      const int64_t bytes = std::min<int64_t>(p_.dim * static_cast<int64_t>(sizeof(T)), 512);
      for (int64_t b = 0; b < bytes; b += 64)
        __builtin_prefetch(reinterpret_cast<const void*>(address + static_cast<uint64_t>(b)));
    }
  }

  void add_tile(int64_t t, const EdgeSource<T, Acc, Index>& source) {
    Spread* spread = spread_of(t);
    const int64_t count = tasks()[t].count;
    uint64_t next = static_cast<uint64_t>(p_.csr.num_cols);
    for (int64_t i = 0; i < count; ++i) {
      look_ahead(source, spread, count, i);
      const int64_t row = spread[i].row, begin = spread[i].cursor, end = p_.csr.indptr[row + 1];
      if (begin == end) continue;
      int64_t stop = begin;
      if (source.column_of(begin) < source.limit) {
        Acc* sums = scratch_ ? scratch_ + (tasks()[t].slot + i) * p_.dim
                             : reinterpret_cast<Acc*>(p_.out) + row * p_.out_stride;
        for_each_tile<Acc>(p_.dim, [&]<class TileType>(int64_t column) {
          TileType tile;
          if (begin == p_.csr.indptr[row])
            tile.zero();
          else
            tile.load(sums + column);
          stop = walk_edges<false, false>(source, begin, end, column, tile);
          if (stop == end)
            finish_row<TileType, T, Acc>(p_, row, column, tile);
          else
            tile.store(sums + column);
        });
        spread[i].cursor = stop;
      }
      if (stop < end) next = std::min(next, source.column_of(stop));
    }
    tasks()[t].next = next;
  }

  const PropagateParams& p_;
  TilePlan plan_;
  Parallel parallel_;
  int64_t num_tasks_;
  Memory tasks_, spread_;
  Acc* scratch_ = nullptr;
  FirstFault fault_;
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
