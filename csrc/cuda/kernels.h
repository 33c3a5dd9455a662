// Starts the CUDA kernels. No CUDA header, so that csrc/ops compiles without a toolkit's include folder.
//
// Every launcher returns at once: the work is queued on the stream of the current device. A failure to queue
// it throws std::runtime_error. Malformed input (an index, an id or a row pointer out of range) is never
// followed: what depends on it comes out as NaN or -1, and the fault is reported to `faults`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/fault.h"
#include "cuda/spmm.h"
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

namespace ltgnn::cuda {

// What a launcher gets beside its parameters.
struct Launch {
  void* stream = nullptr;
  FaultSink faults;
  // Device memory (256-byte aligned, not zeroed) that stays until the kernels queued by this launcher have
  // run.
  void* (*allocate)(void* owner, size_t bytes) = nullptr;
  void* owner = nullptr;

  void* scratch(size_t bytes) const { return allocate(owner, bytes); }
};

// The record to report to (ops/cuda_launch.h reads it).
FaultRecord* fault_record();
// Waits for the stream, unless it is being captured into a CUDA graph.
void synchronize(void* stream);

void propagate(const PropagateParams& params, const Launch& at);
void edge_dot(const EdgeDotParams& params, const Launch& at);
void bpr_loss(const LossParams& params, const Launch& at);
void sample_aggregate(const SampleAggregateParams& params, const Launch& at);
void sample_neighbors(const SampleNeighborsParams& params, const Launch& at);
void negative_sample(const NegativeSampleParams& params, const Launch& at);
void accidental_hits(const AccidentalHitsParams& params, const Launch& at);
void epoch_pairs(const EpochPairsParams& params, const Launch& at);
void adam(const AdamParams& params, const Launch& at);
void ltgnn_forward(const LtgnnForwardParams& params, const Launch& at);
void ltgnn_update(const LtgnnUpdateParams& params, const Launch& at);
void push_residual(const PushResidualParams& params, const Launch& at);
// Waits for the stream once a round: how much a round has to do is known from the one before. It cannot be
// captured into a CUDA graph.
void push(const PushParams& params, const Launch& at);
void in_batch_softmax_loss(const LossParams& params, const Launch& at);
void weighted_softplus(const WeightedSoftplusParams& params, const Launch& at);
void pair_scores(const PairScoresParams& params, const Launch& at);
void topk(const TopkParams& params, const Launch& at);
void ltgnn_bpr_step(const LtgnnBprStepParams& params, const Launch& at);

}  // namespace ltgnn::cuda
