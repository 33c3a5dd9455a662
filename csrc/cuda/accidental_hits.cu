// accidental_hits on CUDA (kernels/accidental_hits.h).
//
//   keys    a thread for each place: the item it holds, num_cols where that is none
//   sort    places by item (cuda/sort.cuh)
//   hits    a group of 8 lanes for each user: its items are looked up among the sorted ones by bisection, or,
//           for a long list, the batch's items in the list
//
// Lanes of a group may set bits of one word: by atomicOr, so the same bits on every run. Bytes a user: 4
// degree of the list, read once, and log2(batch) sectors of keys an item, which stay in the first-level cache
// up to batches of some 30,000; batch / 8 written twice. Latency of the bisections binds. Known limit: a
// batch below 2^31.
#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "cuda/sort.cuh"
#include "emu/bugs.h"
#include "kernels/accidental_hits.h"

namespace ltgnn::cuda {
namespace {

constexpr int kHitLanes = 8;

__global__ void __launch_bounds__(kThreadsPerBlock)
    item_keys_kernel(const __grid_constant__ AccidentalHitsParams p, FaultSink faults, uint32_t* keys,
                     uint32_t* places) {
  const int64_t first = int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x;
  if (first == 0) check_ends(faults, p.csr);
  for (int64_t b = first; b < p.batch; b += int64_t{gridDim.x} * kThreadsPerBlock) {
    const int64_t item = p.items[b];
    const bool good = static_cast<uint64_t>(item) < static_cast<uint64_t>(p.csr.num_cols);
    keys[b] = static_cast<uint32_t>(good ? item : p.csr.num_cols);
    places[b] = static_cast<uint32_t>(b);
    if (!good) report_id(faults, IdName::kItems, b, item, p.csr.num_cols);
  }
}

template <class Index>
__global__ void __launch_bounds__(kThreadsPerBlock)
    accidental_hits_kernel(const __grid_constant__ AccidentalHitsParams p, FaultSink faults,
                           const uint32_t* keys, const uint32_t* places) {
  for_each_row(p.batch, kHitLanes, [&](int64_t b, int lane) {
    const int64_t user = p.users[b];
    if (static_cast<uint64_t>(user) >= static_cast<uint64_t>(p.csr.num_rows)) {
      if (lane == 0) report_id(faults, IdName::kUsers, b, user, p.csr.num_rows);
      return;
    }
    if (!valid_row(p.csr, user)) {
      if (lane == 0) report_row_pointers(faults, p.csr, user);
      return;
    }
    uint32_t* row = p.out + b * hit_words(p.batch);
    const auto mark = [&](int64_t place) {
      if (LTGNN_PLANTED(hits_plain_or))
        row[place / 32] |= hit_bit(place);
      else
        atomicOr(row + place / 32, hit_bit(place));
    };
    const int64_t begin = p.csr.indptr[user], degree = p.csr.indptr[user + 1] - begin;
    const Index* list = static_cast<const Index*>(p.csr.indices) + begin;
    if (!walks_list(degree, p.batch)) {
      for (int64_t place = lane; place < p.batch; place += kHitLanes)
        if (row_holds(list, degree, p.items[place] + p.first_item)) mark(place);
      return;
    }
    for (int64_t k = lane; k < degree; k += kHitLanes) {
      const uint64_t item = static_cast<uint64_t>(list[k]) - static_cast<uint64_t>(p.first_item);
      if (item >= static_cast<uint64_t>(p.csr.num_cols)) continue;
      int64_t low = 0, high = p.batch;
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (keys[middle] < item)
          low = middle + 1;
        else
          high = middle;
      }
      for (; low < p.batch && keys[low] == item; ++low) {
        mark(places[low]);
        if (LTGNN_PLANTED(hits_first_place)) break;
      }
    }
  });
}

}  // namespace

void accidental_hits(const AccidentalHitsParams& p, const Launch& at) {
  constexpr const char* kWhat = "accidental_hits";
  if (p.batch == 0) return;
  const auto words = static_cast<size_t>(p.batch * hit_words(p.batch));
  check(kWhat, cudaMemsetAsync(p.out, 0, words * sizeof(*p.out), static_cast<cudaStream_t>(at.stream)));
  uint32_t *keys[2], *places[2];
  for (uint32_t** vector : {keys, keys + 1, places, places + 1})
    *vector = static_cast<uint32_t*>(at.scratch(static_cast<size_t>(p.batch) * sizeof(uint32_t)));
  launch(kWhat, item_keys_kernel, blocks_for(p.batch, 1), kThreadsPerBlock, 0, at.stream, p, at.faults,
         keys[0], places[0]);
  sort_pairs(kWhat, keys[0], keys[1], places[0], places[1], p.batch,
             key_bits(static_cast<uint64_t>(p.csr.num_cols)), at);
  dispatch_index(p.csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    launch(kWhat, accidental_hits_kernel<Index>, blocks_for(p.batch, kHitLanes), kThreadsPerBlock, 0,
           at.stream, p, at.faults, keys[1], places[1]);
  });
}

}  // namespace ltgnn::cuda
