// The CPU kernels as one table of functions, one table for each instruction set that was compiled; the
// best one that this machine has is chosen at run time.
#pragma once

#include <cstdint>

#include "core/parallel.h"
#include "kernels/accidental_hits.h"
#include "kernels/adam.h"
#include "kernels/edge_dot.h"
#include "kernels/epoch_pairs.h"
#include "kernels/losses.h"
#include "kernels/ltgnn_bpr_step.h"
#include "kernels/ltgnn_step.h"
#include "kernels/negative_sample.h"
#include "kernels/pair_scores.h"
#include "kernels/propagate.h"
#include "kernels/push.h"
#include "kernels/sample_aggregate.h"
#include "kernels/topk.h"
#include "kernels/weighted_softplus.h"

namespace ltgnn {

// A kernel returns -1, or the lowest position (row of the matrix, target, batch element) that is malformed:
// an unusable edge range, an index out of range. What it wrote is then worthless, but nothing was read or
// written out of bounds.
struct CpuKernels {
  const char* name;
  int64_t (*propagate)(const PropagateParams&, const Parallel&);
  int64_t (*edge_dot)(const EdgeDotParams&, const Parallel&);
  int64_t (*sample_aggregate)(const SampleAggregateParams&, const Parallel&);
  int64_t (*sample_neighbors)(const SampleNeighborsParams&, const Parallel&);
  int64_t (*negative_sample)(const NegativeSampleParams&, const Parallel&);
  int64_t (*accidental_hits)(const AccidentalHitsParams&, const Parallel&);
  int64_t (*epoch_pairs)(const EpochPairsParams&, const Parallel&);
  int64_t (*ltgnn_forward)(const LtgnnForwardParams&, const Parallel&);
  int64_t (*ltgnn_update)(const LtgnnUpdateParams&, const Parallel&);
  int64_t (*ltgnn_bpr_step)(const LtgnnBprStepParams&, const Parallel&);
  int64_t (*adam)(const AdamParams&, const Parallel&);
  int64_t (*push_residual)(const PushResidualParams&, const Parallel&);
  // Also: num_candidates + the number of a malformed row that was to be pushed.
  int64_t (*push)(const PushParams&, const Parallel&);
  int64_t (*bpr_loss)(const LossParams&, const Parallel&);
  int64_t (*in_batch_softmax_loss)(const LossParams&, const Parallel&);
  int64_t (*weighted_softplus)(const WeightedSoftplusParams&, const Parallel&);
  int64_t (*pair_scores)(const PairScoresParams&, const Parallel&);
  int64_t (*topk)(const TopkParams&, const Parallel&);
};

const CpuKernels& cpu_kernels_baseline();
const CpuKernels& cpu_kernels_avx2();
const CpuKernels& cpu_kernels_avx512();
const CpuKernels& cpu_kernels_avx512_bf16();
const CpuKernels& cpu_kernels_avx512_amx();

// The table in use: the best for this machine, or the one that the environment variable
// LTGNN_CPU_CAPABILITY=baseline|avx2|avx512|avx512_bf16|avx512_amx names, where the machine has it.
const CpuKernels& cpu_kernels();

}  // namespace ltgnn
