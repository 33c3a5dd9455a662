// All CPU kernels compiled for one instruction set. A variant_*.cpp defines LTGNN_ISA (a namespace) and
// LTGNN_VECTOR_BYTES, switches the compiler's target, and includes this file.
//
// The target is switched by pragma after every standard header is in: were it a compiler flag for the
// whole file, inline functions of the standard library would be compiled for AVX-512 too, and the linker
// might keep that copy for everyone.
#include "cpu/accidental_hits.h"
#include "cpu/adam.h"
#include "cpu/bpr.h"
#include "cpu/edge_dot.h"
#include "cpu/epoch_pairs.h"
#include "cpu/in_batch_softmax.h"
#include "cpu/kernels.h"
#include "cpu/ltgnn_bpr_step.h"
#include "cpu/ltgnn_step.h"
#include "cpu/negative_sample.h"
#include "cpu/pair_scores.h"
#include "cpu/propagate.h"
#include "cpu/push.h"
#include "cpu/sample_aggregate.h"
#include "cpu/sample_neighbors.h"
#include "cpu/topk.h"
#include "cpu/weighted_softplus.h"

namespace ltgnn {
namespace LTGNN_ISA {

inline CpuKernels make_table(const char* name) {
  CpuKernels table{};
  table.name = name;
  table.propagate = propagate;
  table.edge_dot = edge_dot;
  table.sample_aggregate = sample_aggregate;
  table.sample_neighbors = sample_neighbors;
  table.negative_sample = negative_sample;
  table.accidental_hits = accidental_hits;
  table.epoch_pairs = epoch_pairs;
  table.ltgnn_forward = ltgnn_forward;
  table.ltgnn_update = ltgnn_update;
  table.ltgnn_bpr_step = ltgnn_bpr_step;
  table.adam = adam;
  table.push_residual = push_residual;
  table.push = push;
  table.bpr_loss = bpr_loss;
  table.in_batch_softmax_loss = in_batch_softmax_loss;
  table.weighted_softplus = weighted_softplus;
  table.pair_scores = pair_scores;
  table.topk = topk;
  return table;
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
