// The list of one query on CUDA, kept by one warp: candidates wait in any order and unchecked behind the best
// so far, until they are cut down. The order is total (kernels/topk.h), so the answer does not depend on the
// order in which threads appended them.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "core/csr.h"
#include "cuda/warp.cuh"
#include "emu/bugs.h"
#include "kernels/topk.h"

namespace ltgnn::cuda {

// Orders a pair of keys: the better one first, or last.
template <class Key>
__device__ __forceinline__ void order_pair(Key* keys, int64_t low, int64_t high, bool better_first) {
  const Key a = keys[low], b = keys[high];
  if ((a < b) != better_first) return;
  keys[low] = b;
  keys[high] = a;
}

// Compares keys that are `stride`, `stride / 2`, ..., 1 apart: sorts a bitonic sequence of `count` keys, or,
// for size < count, every run of `size`, in turn best first and best last.
template <class Key>
__device__ __forceinline__ void bitonic_passes(Key* keys, int64_t count, int64_t size) {
  const int lane = static_cast<int>(threadIdx.x % 32u);
  for (int64_t stride = size / 2; stride > 0; stride /= 2) {
    for (int64_t i = lane; i < count / 2; i += 32) {
      const int64_t low = 2 * i - (i & (stride - 1));
      order_pair(keys, low, low + stride, (low & size) == 0 || size == count);
    }
    if (!LTGNN_PLANTED(topk_sort_barrier)) __syncwarp();
  }
}

// Best first; count is a power of two. All lanes of the warp, after a barrier of the warp.
template <class Key>
__device__ inline void warp_sort(Key* keys, int64_t count) {
  for (int64_t size = 2; size <= count; size *= 2) bitonic_passes(keys, count, size);
}

// Cuts a list down: of its first `count` keys, those from `checked` on not yet looked up in the query's seen
// row, the best `kept` come first, in order. `work`: room for `capacity` keys in shared memory, or null where
// that is too much: then the list is sorted in place. Returns how many there are. All lanes of the warp.
template <class Key>
__device__ inline int cut_list(Key* list, int count, int checked, int kept, Key* work, const CsrView& seen,
                               int64_t query) {
  const int lane = static_cast<int>(threadIdx.x % 32u);
  int size = 32;
  while (size < count) size *= 2;
  Key* keys = work == nullptr ? list : work;
  int real = 0;
  for (int i = lane; i < size; i += 32) {
    Key key = i < count ? list[i] : Key::none();
    const bool known = LTGNN_PLANTED(topk_checked) ? i < kept : i < checked;
    if (i < count && !known && is_seen(seen, query, key.id())) key = Key::none();
    real += key.is_none() ? 0 : 1;
    keys[i] = key;
  }
  real = group_sum(real, 32);
  __syncwarp();
  warp_sort(keys, size);
  const int left = real < kept ? real : kept;
  if (work != nullptr) {
    for (int i = lane; i < left; i += 32) list[i] = keys[i];
    __syncwarp();
  }
  return left;
}

// Merges sorted `other` into sorted `list`, both of `count` keys, a power of two: the best `count` of both.
template <class Key>
__device__ inline void merge_lists(Key* list, const Key* other, int64_t count) {
  // One rises where the other falls: the larger of each pair are the best of both, in a bitonic sequence.
  for (int64_t i = threadIdx.x % 32u; i < count; i += 32) {
    const Key opposite = other[LTGNN_PLANTED(topk_merge_order) ? i : count - 1 - i];
    if (list[i] < opposite) list[i] = opposite;
  }
  __syncwarp();
  bitonic_passes(list, count, count);
}

// Writes a query's results from its sorted list. All lanes of the warp.
template <class T>
__device__ inline void write_results(const TopkParams& p, int64_t query, const RankKey<T>* list,
                                     int64_t count, bool usable) {
  for (int64_t i = threadIdx.x % 32u; i < p.k; i += 32) {
    const bool found = usable && i < count && !list[i].is_none();
    static_cast<T*>(p.scores)[query * p.k + i] = found    ? list[i].score()
                                                 : usable ? -static_cast<T>(INFINITY)
                                                          : static_cast<T>(NAN);
    p.ids[query * p.k + i] = found ? list[i].id() : -1;
  }
}

}  // namespace ltgnn::cuda
