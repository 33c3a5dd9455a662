// pair_scores on CUDA. The order of the sum is that of kernels/pair_scores.h:
//
//   y_qi = <queries_q, items_id>, id = ids_qi, in double, rounded once
//
// Mapping: eight lanes a pair, each one of the eight sums; lanes read neighbouring columns. Bytes per pair:
// dim
// * sizeof(T) gathered, in pieces of 8 sizeof(T), and 8 + sizeof(T); the query stays in the first-level
// cache. At d = 64 fp32: 268 bytes; an H100 with 3.0 TB/s of copies does 11 G pairs a second. Known limit:
// arithmetic in double, on cards with few such units the floor.
#include "core/dispatch.h"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "cuda/warp.cuh"
#include "emu/bugs.h"

namespace ltgnn::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    pair_scores_kernel(const __grid_constant__ PairScoresParams p) {
  for_each_row(p.num_queries * p.num_listed, kScoreSums, [&](int64_t pair, int lane) {
    const int64_t id = p.ids[pair];
    const bool good = id >= 0 && id < p.num_items;
    double sum = 0.0;
    if (good) {
      const T* query = static_cast<const T*>(p.queries) + pair / p.num_listed * p.dim;
      const T* item = static_cast<const T*>(p.items) + id * p.dim;
      for (int64_t i = lane; i < p.dim; i += kScoreSums)
        sum += static_cast<double>(query[i]) * static_cast<double>(item[i]);
      sum = group_sum(sum, LTGNN_PLANTED(pair_scores_lanes) ? kScoreSums / 2 : kScoreSums);
    }
    if (lane == 0) static_cast<T*>(p.scores)[pair] = good ? static_cast<T>(sum) : -static_cast<T>(INFINITY);
  });
}

}  // namespace

void pair_scores(const PairScoresParams& p, const Launch& at) {
  const int64_t num_pairs = p.num_queries * p.num_listed;
  dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    launch("pair_scores", pair_scores_kernel<T>, blocks_for(num_pairs, kScoreSums), kThreadsPerBlock, 0,
           at.stream, p);
  });
}

}  // namespace ltgnn::cuda
