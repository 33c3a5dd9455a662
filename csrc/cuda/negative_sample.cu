// negative_sample on CUDA: an item that the user lacks, uniform over all such items. The mathematics of a
// draw is kernels/negative_sample.h, the same text as on the CPU.
//
// Mapping: one thread per draw; a draw is one Philox call and a bisection in the user's sorted list. Threads
// of a warp walk lists of their own, so every step is a gather. Bytes per draw: 8 read (the user), 16 (row
// pointers), 8 written, and about log2(degree) sectors of 32: at degree 64 some 220 bytes, mostly of the
// second-level cache where the indices fit its 50 MB. Latency binds first: log2(degree) loads that depend on
// each other.
#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "cuda/sample.cuh"

namespace ltgnn::cuda {
namespace {

template <class Index>
__global__ void __launch_bounds__(kThreadsPerBlock)
    negative_sample_kernel(const __grid_constant__ NegativeSampleParams p, FaultSink faults) {
  const int64_t first = int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x;
  if (first == 0) check_ends(faults, p.csr);
  for (int64_t draw = first; draw < p.num_draws; draw += int64_t{gridDim.x} * kThreadsPerBlock) {
    const int64_t user = p.users[draw];
    const bool good =
        static_cast<uint64_t>(user) < static_cast<uint64_t>(p.csr.num_rows) && valid_row(p.csr, user);
    p.out[draw] = good ? pick_negative<Index>(p, user, negative_word(p.seed, draw)) : -1;
    if (!good) report_row(faults, p.csr, IdName::kUsers, draw, user);
  }
}

}  // namespace

void negative_sample(const NegativeSampleParams& p, const Launch& at) {
  dispatch_index(p.csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    launch("negative_sample", negative_sample_kernel<Index>, blocks_for(p.num_draws, 1), kThreadsPerBlock, 0,
           at.stream, p, at.faults);
  });
}

}  // namespace ltgnn::cuda
