// A whole training step of LTGNN with BPR, on a batch of triples (user, positive, negative) of nodes:
//
//   rows   = the distinct nodes of the batch, ascending
//   out, h = forward of the rows, their neighbours drawn with step_seed(seed, counter) (kernels/ltgnn_step.h)
//   L      = BPR over the rows' outputs, and dL/dout                                     (kernels/losses.h)
//   update of the rows as step counter + 1, with l2_r = (occurrences of r in the batch) l2 / B
//   counter += 1
//
// The result is that of the three operators one after another. The counter and the bias corrections that
// follow from it live on the device, and no size depends on how often a row occurs: a CUDA graph can hold
// the step.
//
// Bytes, in rows of dim elements: each distinct row gathers its picked neighbours (and their indices and
// scales; twice the rows with G), reads e0 and history_sum and writes out: fanout + 3; 6 more to store z and
// delta. Update: 6 for Adam, 2 for delta in one hop, 3 for h and G. Loss: 7 rows of out for each triple. At
// dim 64 fp32, fanout 15, one hop, 3 distinct rows a triple: 7.4 KB a row, 45 MB for 2048 triples.
#pragma once

#include <cstdint>

#include "core/macros.h"
#include "kernels/losses.h"
#include "kernels/ltgnn_step.h"

namespace ltgnn {

// Everything that speaks of target rows (rows, num_targets, out, z_new, h, grad, l2, the step's constants) is
// left open in `forward` and `update`: the kernel fills it in.
struct LtgnnBprStepParams {
  LtgnnForwardParams forward;
  LtgnnUpdateParams update;
  const int64_t* users = nullptr;      // [batch], each in [0, num_nodes)
  const int64_t* items = nullptr;      // [batch]: the positives
  const int64_t* negatives = nullptr;  // [batch]
  int64_t batch = 0;
  int64_t* counter = nullptr;  // [1]: steps done
  double l2 = 0.0;
  double lr = 0.0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  uint64_t seed = 0;
  double* loss = nullptr;  // [1]
};

// Weight of the L2 term of each occurrence of a row.
LTGNN_HD double l2_of_one(const LtgnnBprStepParams& p) {
  return p.l2 / static_cast<double>(p.batch > 1 ? p.batch : 1);
}

// The seed of a step's sampling: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014) over the two
// numbers in turn, without the last bit; ltgnn.ops.mix_seed(seed, counter).
LTGNN_HD uint64_t step_seed(uint64_t seed, int64_t counter) {
  const uint64_t parts[] = {seed, static_cast<uint64_t>(counter)};
  uint64_t state = 0;
  for (const uint64_t part : parts) {
    state = (state ^ part) + 0x9E3779B97F4A7C15u;
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EBu;
    state ^= state >> 31;
  }
  return state >> 1;
}

}  // namespace ltgnn
