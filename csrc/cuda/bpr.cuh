// What bpr_loss and the fused LTGNN step share: triples as entries to sort by row, sums of losses, and a
// row's gradient from its run of sorted entries.
//
// Entry 3 b + role of triple b is its user (role 0), positive (1) or negative (2). After a stable sort by row
// the entries of a row stand together in the order of the triples, so that its gradient is added up in the
// order of a loop over the batch: the CPU's order, without atomics.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "cuda/fault.cuh"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "cuda/sort.cuh"
#include "cuda/warp.cuh"
#include "emu/bugs.h"
#include "kernels/losses.h"

namespace ltgnn::cuda {

enum Role : uint32_t { kUser, kPositive, kNegative };

// A batch of row numbers, and its entries before and after the sort.
struct BprBatch {
  const int64_t* ids[3] = {nullptr, nullptr, nullptr};  // users, items, negatives: [batch] each
  int64_t batch = 0;
  int64_t num_rows = 0;
  uint32_t* keys_in = nullptr;  // [3 batch]: row of each entry; num_rows for those of a bad triple
  uint32_t* entries_in = nullptr;
  uint32_t* keys = nullptr;  // the same, sorted
  uint32_t* entries = nullptr;
  double* partial = nullptr;  // [loss_blocks]: sums of losses

  __host__ __device__ int64_t num_entries() const { return 3 * batch; }
};

// Scratch memory for all of it. `triple_blocks`: blocks that sum losses.
inline BprBatch make_batch(const char* op, const int64_t* users, const int64_t* items,
                           const int64_t* negatives, int64_t batch, int64_t num_rows, unsigned triple_blocks,
                           const Launch& at) {
  constexpr int64_t kMax = int64_t{1} << 32;
  if (num_rows >= kMax || 3 * batch >= kMax)
    throw std::invalid_argument(std::string(op) +
                                ": on CUDA the number of rows and three times the batch must be below 2^32");
  BprBatch result;
  result.ids[kUser] = users;
  result.ids[kPositive] = items;
  result.ids[kNegative] = negatives;
  result.batch = batch;
  result.num_rows = num_rows;
  const auto memory = [&]<class Element>(Element*& place, int64_t count) {
    place = static_cast<Element*>(at.scratch(static_cast<size_t>(count) * sizeof(Element)));
  };
  memory(result.keys_in, 3 * batch);
  memory(result.entries_in, 3 * batch);
  memory(result.keys, 3 * batch);
  memory(result.entries, 3 * batch);
  memory(result.partial, int64_t{triple_blocks});
  return result;
}

inline void sort_batch(const char* what, const BprBatch& batch, const Launch& at) {
  // The number of rows is a key too: that of bad triples, after all others.
  const auto largest = static_cast<uint64_t>(batch.num_rows) - (LTGNN_PLANTED(bpr_key_bits) ? 1 : 0);
  sort_pairs(what, batch.keys_in, batch.keys, batch.entries_in, batch.entries, batch.num_entries(),
             key_bits(largest), at);
}

// Whether triple b's rows are all in the table; says so in the keys, and reports where not. One thread's
// work.
__device__ inline bool write_entries(const BprBatch& batch, int64_t b, const FaultSink& faults) {
  constexpr IdName kNames[] = {IdName::kUsers, IdName::kItems, IdName::kNegatives};
  bool good = true;
  for (int role = 0; role < 3; ++role) {
    const int64_t id = batch.ids[role][b];
    if (static_cast<uint64_t>(id) < static_cast<uint64_t>(batch.num_rows)) continue;
    if (good) report_id(faults, kNames[role], b, id, batch.num_rows);
    good = false;
  }
  for (int role = 0; role < 3; ++role) {
    const int64_t entry = 3 * b + role;
    batch.keys_in[entry] = static_cast<uint32_t>(good ? batch.ids[role][b] : batch.num_rows);
    batch.entries_in[entry] = static_cast<uint32_t>(entry);
  }
  return good;
}

__device__ inline bool good_triple(const BprBatch& batch, int64_t b) {
  bool good = true;
  for (int role = 0; role < 3; ++role)
    good = good && static_cast<uint64_t>(batch.ids[role][b]) < static_cast<uint64_t>(batch.num_rows);
  return good;
}

// Whether sorted entry `slot` is the first of its row's, and the row is in the table.
__device__ inline bool is_head(const BprBatch& batch, int64_t slot) {
  const uint32_t key = batch.keys[slot];
  return key < batch.num_rows && (slot == 0 || batch.keys[slot - 1] != key);
}

// The end of the run of equal keys that begins at `head`.
__device__ inline int64_t run_end(const BprBatch& batch, int64_t head) {
  const uint32_t key = batch.keys[head];
  const int64_t last = batch.num_entries() + (LTGNN_PLANTED(bpr_run_bound) ? 1 : 0);
  int64_t end = head + 1;
  while (end < last && batch.keys[end] == key) ++end;
  return end;
}

// ---- losses ----
// A triple's loss and slope from its rows u, p and n of x, by a group of lanes; all of them get the loss.
template <class T, int V>
__device__ __forceinline__ double triple_loss(const T* u, const T* p, const T* n, int64_t dim, int64_t batch,
                                              int lane, int lanes, T* slope) {
  const T positive = group_sum(lane_dot<T, V>(u, p, dim, lane, lanes), lanes);
  const T negative = group_sum(lane_dot<T, V>(u, n, dim, lane, lanes), lanes);
  const BprTerm term(static_cast<double>(positive) - static_cast<double>(negative));
  if (lane == 0) *slope = static_cast<T>(term.slope / static_cast<double>(batch));
  return term.loss;
}

constexpr size_t kLossSharedBytes = kThreadsPerBlock * sizeof(double);

// The sum over the block's groups of the value that the first lane of each brings, as a tree of fixed shape.
// All threads of the block call it, thread 0 gets it. kLossSharedBytes of shared memory.
__device__ inline double block_sum(double value, int lanes) {
  auto* sums = shared_memory<double>();
  const int thread = static_cast<int>(threadIdx.x), groups = kThreadsPerBlock / lanes;
  if (thread % lanes == 0) sums[thread / lanes] = value;
  __syncthreads();
  for (int step = groups / 2; step > 0; step /= 2) {
    if (thread < step) sums[thread] += sums[thread + step];
    if (!LTGNN_PLANTED(bpr_loss_barrier)) __syncthreads();
  }
  return sums[0];
}

// The mean loss from the blocks' sums, by one block.
__device__ inline void write_loss(const BprBatch& batch, int64_t num_partial, double* loss) {
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < num_partial; i += kThreadsPerBlock) sum += batch.partial[i];
  sum = block_sum(sum, 1);
  if (threadIdx.x == 0) *loss = batch.batch > 0 ? sum / static_cast<double>(batch.batch) : 0.0;
}

// ---- gradients ----
// acc += slope * x
template <class T, int V>
LTGNN_HD void add_difference(LaneTile<T, V>& tile, T slope, const T* plus, const T* minus) {
  const Pack<T, V> a = *reinterpret_cast<const Pack<T, V>*>(plus);
  const Pack<T, V> b = *reinterpret_cast<const Pack<T, V>*>(minus);
  for (int i = 0; i < V; ++i) tile.acc[i] += slope * (a.v[i] - b.v[i]);
}

// Adds what the sorted entries [begin, end) send to their row, in columns [column, column + V).
// row_of(entry): the row of x of an entry, at column 0.
template <class T, int V, class RowOf>
__device__ __forceinline__ void add_gradient(const BprBatch& batch, const T* slopes, int64_t begin,
                                             int64_t end, int64_t column, const RowOf& row_of,
                                             LaneTile<T, V>& tile) {
  for (int64_t slot = begin; slot < end; ++slot) {
    const uint32_t entry = batch.entries[slot], b = entry / 3, role = entry - 3 * b;
    const T slope = slopes[b];
    if (role == kUser)
      add_difference(tile, slope, row_of(3 * int64_t{b} + kNegative) + column,
                     row_of(3 * int64_t{b} + kPositive) + column);
    else
      tile.add_scaled(role == kPositive ? -slope : slope, row_of(3 * int64_t{b} + kUser) + column);
  }
}

}  // namespace ltgnn::cuda
