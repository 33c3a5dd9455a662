// The two halves of an LTGNN training step (Zhang et al., WWW 2024) for the distinct target rows of a batch.
//
// Forward, for target r (a sampled step of the fixed point Z = (1 - alpha) A Z + alpha E0):
//   x_r = variance-reduced aggregate of `source` (kernels/sample_aggregate.h with x = delta = source -
//   history) z_r = (1 - alpha) x_r + alpha e0_r                  (source is Z, the stored embeddings, or E0
//   for one hop) out_r = (z_r - c0 e0_r) / (1 - c0)                  (output adjustment) h_r = the same
//   aggregate of the gradient memory G, without history
// then Z_r <- z_r and delta_r += z_r - (old Z_r), when all rows are done: no row reads what another writes.
//
// Update (implicit differentiation with the same fixed point), given dL/dout_r:
//   d_r = dL/dout_r / (1 - c0);  g_r = (1 - alpha) h_r + alpha d_r;  G_r <- g_r
//   dL/de0_r = g_r - c0 d_r + l2_r e0_r;  Adam on e0_r;  for one hop delta_r += the change of e0_r.
//
// Bytes per target: forward (fanout + 4) * dim * 4 (fanout more with G); update 9 * dim * 4.
#pragma once

#include <cstdint>

#include "kernels/adam.h"
#include "kernels/sample_aggregate.h"

namespace ltgnn {

struct LtgnnForwardParams {
  SampleAggregateParams sample;  // x = delta, history_sum = A history, second = G or null; out = x_r, unused
  const void* e0 = nullptr;      // [num_nodes, dim]
  void* z = nullptr;             // [num_nodes, dim], or null for one hop
  void* delta = nullptr;         // [num_nodes, dim]; written with z only
  void* z_new = nullptr;         // [num_targets, dim], scratch, where z is given
  void* out = nullptr;           // [num_targets, dim]
  double alpha = 0.5;
  double c0 = 0.0;
};

struct LtgnnUpdateParams {
  AdamParams adam;          // grad = dL/dout
  const void* h = nullptr;  // [num_targets, dim] or null
  void* g_table = nullptr;  // [num_nodes, dim] or null
  double alpha = 0.5;
  double c0 = 0.0;
  bool faithful = false;  // store G times (1 - c0), as the authors' code does
};

}  // namespace ltgnn
