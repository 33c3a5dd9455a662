// pair_scores on the CPU (kernels/pair_scores.h): queries in parallel, rows of items asked for ahead.
#pragma once

#include "core/dispatch.h"
#include "cpu/prefetch.h"
#include "cpu/targets.h"
#include "kernels/pair_scores.h"

namespace ltgnn {
namespace LTGNN_ISA {

inline int64_t pair_scores(const PairScoresParams& p, const Parallel& parallel) {
  constexpr int64_t kAhead = 4;  // pairs between a prefetch and its use
  const int64_t num_pairs = p.num_queries * p.num_listed;
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return for_each_target(p.num_queries, p.num_listed * p.dim, parallel, [&](int64_t q) {
      const T* query = static_cast<const T*>(p.queries) + q * p.dim;
      for (int64_t i = q * p.num_listed; i < (q + 1) * p.num_listed; ++i) {
        if (i + kAhead < num_pairs)
          prefetch_row(p.items, p.ids[i + kAhead], p.dim * static_cast<int64_t>(sizeof(T)));
        const int64_t id = p.ids[i];
        const bool good = id >= 0 && id < p.num_items;
        static_cast<T*>(p.scores)[i] =
            good ? static_cast<T>(pair_score(query, static_cast<const T*>(p.items) + id * p.dim, p.dim))
                 : -static_cast<T>(INFINITY);
      }
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
