// negative_sample on the CPU: a block of draws has its random words made together; then each is a bisection
// without branches, so that those of several draws are under way at once. See kernels/negative_sample.h.
#pragma once

#include "core/dispatch.h"
#include "core/parallel.h"
#include "cpu/first_fault.h"
#include "cpu/philox_lanes.h"
#include "cpu/prefetch.h"
#include "kernels/negative_sample.h"

namespace ltgnn {
namespace LTGNN_ISA {

constexpr int64_t kDrawsPerTask = 256;

// Asks for the pointers of a draw two steps ahead, and for the list of the user one step ahead.
template <class Index>
void ask_ahead(const NegativeSampleParams& p, const int64_t* users, int64_t k, int64_t count) {
  constexpr int64_t kStep = 8, kListBytes = 128;
  if (k + 2 * kStep < count) prefetch_row(p.csr.indptr, users[k + 2 * kStep], sizeof(int64_t));
  if (k + kStep >= count) return;
  const int64_t user = users[k + kStep];
  if (user >= 0 && user < p.csr.num_rows)
    prefetch_row(p.csr.indices, p.csr.indptr[user], sizeof(Index), kListBytes);
}

inline int64_t negative_sample(const NegativeSampleParams& p, const Parallel& parallel) {
  FirstFault fault(p.num_draws);
  dispatch_index(p.csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    const int64_t num_tasks = (p.num_draws + kDrawsPerTask - 1) / kDrawsPerTask;
    constexpr int64_t kOperations = 1200;  // 60 to 150 ns: misses, not arithmetic
    for_each_task(worth_threads(parallel, p.num_draws * kOperations), num_tasks, [&](int64_t task, int) {
      const int64_t begin = task * kDrawsPerTask;
      const int64_t count = p.num_draws - begin < kDrawsPerTask ? p.num_draws - begin : kDrawsPerTask;
      uint32_t words[kDrawsPerTask];
      first_words(p.seed, static_cast<uint64_t>(begin), static_cast<int>(count), words);
      for (int64_t k = 0; k < count; ++k) {
        ask_ahead<Index>(p, p.users + begin, k, count);
        const int64_t user = p.users[begin + k];
        if (user < 0 || user >= p.csr.num_rows || !valid_row(p.csr, user))
          fault.report(begin + k);
        else
          p.out[begin + k] = pick_negative<Index>(p, user, words[k]);
      }
    });
  });
  return fault.first();
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
