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
// Tables may be bfloat16 (e0 then is that or float32): sums are float32, and what is stored is rounded
// stochastically (core/rounding.h).
//
// Bytes per target in float32: forward (fanout + 4) * dim * 4 (fanout more with G); update 9 * dim * 4.
#pragma once

#include <cstdint>

#include "core/rounding.h"
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
  bool mixed = false;  // e0 is float32, the other tables are bfloat16; scratch and results are float32 then
};

struct LtgnnUpdateParams {
  AdamParams adam;          // grad = dL/dout
  const void* h = nullptr;  // [num_targets, dim] or null
  void* g_table = nullptr;  // [num_nodes, dim] or null
  double alpha = 0.5;
  double c0 = 0.0;
  bool faithful = false;  // store G times (1 - c0), as the authors' code does
};

// The constants of the forward step in the tables' type.
template <class S>
struct FixedPointStep {
  S kept, alpha, minus_c0, rest;

  explicit LTGNN_HD FixedPointStep(const LtgnnForwardParams& p)
      : kept(static_cast<S>(1.0 - p.alpha)),
        alpha(static_cast<S>(p.alpha)),
        minus_c0(static_cast<S>(-p.c0)),
        rest(static_cast<S>(1.0 / (1.0 - p.c0))) {}
};

// One tile of a target's forward step: e0 holds E, the other tables M. columns(k): see gather_picked.
template <class Tile, class E, class M, class Columns, class Acc>
LTGNN_HD void ltgnn_forward_tile(const LtgnnForwardParams& p, const FixedPointStep<Acc>& step, int64_t target,
                                 int64_t row, const Columns& columns, int count, Acc outer, int64_t column) {
  const SampleAggregateParams& s = p.sample;
  const E* e0 = static_cast<const E*>(p.e0) + row * s.dim + column;
  const int64_t result = target * s.dim + column;
  Tile tile;
  aggregate_tile<Tile, M>(s, row, columns, count, outer, column, tile);
  tile.scale(step.kept);
  tile.add_scaled(step.alpha, e0);
  if (p.z) tile.store(static_cast<Acc*>(p.z_new) + result);
  tile.add_scaled(step.minus_c0, e0);
  tile.scale(step.rest);
  tile.store(static_cast<Acc*>(p.out) + result);
  aggregate_second<Tile, M>(s, target, row, columns, count, outer, column);
}

// One element's new z into the memory, and the change into delta, as tables of M hold them: what delta gets
// is the change of what is stored.
template <class M, class V, class Bits>
LTGNN_HD void remember(V z_new, V& z, V& delta, Bits bits) {
  const V stored = rounded<M>(z_new, bits & 0xFFFFu);
  delta = rounded<M>(delta + (stored - z), bits >> 16);
  z = stored;
}

// The gradient of e0, an element at a time: S is the scalar type.
template <class S>
struct ImplicitGradient {
  S alpha, c0, rest, kept, stored;

  explicit LTGNN_HD ImplicitGradient(const LtgnnUpdateParams& p)
      : alpha(static_cast<S>(p.alpha)),
        c0(static_cast<S>(p.c0)),
        rest(static_cast<S>(1.0 / (1.0 - p.c0))),
        kept(static_cast<S>(1.0 - p.alpha)),
        stored(p.faithful ? static_cast<S>(1.0 - p.c0) : S(1)) {}

  // From dL/dout and, where has_h, h; V is a vector or a number. `memory` is what G is to hold.
  template <class V>
  LTGNN_HD V operator()(V grad, bool has_h, V h, V& memory) const {
    const V d = rest * grad;
    V g = alpha * d;
    if (has_h) g += kept * h;
    memory = stored * g;
    return g - c0 * d;
  }
};

}  // namespace ltgnn
