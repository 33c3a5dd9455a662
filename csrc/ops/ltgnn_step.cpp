// ltgnn_forward_ and ltgnn_update_: front doors for every backend. Mathematics: kernels/ltgnn_step.h.
#include "kernels/ltgnn_step.h"

#include <torch/csrc/stable/library.h>

#include "ops/adam_checks.h"
#include "ops/backend.h"
#include "ops/ltgnn_checks.h"

namespace ltgnn {
namespace {

std::tuple<Tensor, Tensor> forward(const Tensor& indptr, const Tensor& indices, const OptionalTensor& scale,
                                   const Tensor& rows, const Tensor& e0, std::optional<Tensor> z,
                                   Tensor delta, const Tensor& history_sum, const OptionalTensor& g,
                                   double alpha, double c0, int64_t fanout, int64_t seed, bool self_loops,
                                   const OptionalTensor& row_fanout, const OptionalTensor& edge_starts) {
  constexpr const char* kOp = "ltgnn_forward_";
  check_mix(kOp, alpha, c0);
  LtgnnForwardParams p;
  p.sample = sampling_params(kOp, indptr, indices, scale, scale, rows, delta, fanout, seed, self_loops,
                             row_fanout, edge_starts, true, "delta");
  const int64_t num_nodes = p.sample.csr.num_rows;
  LTGNN_CHECK(kOp, p.sample.csr.num_cols == num_nodes, "delta must have num_nodes = ", num_nodes,
              " rows, got ", p.sample.csr.num_cols);
  if (!goes_with(e0, delta)) check_dtype(kOp, "e0", e0, delta.scalar_type());
  check_table_shape(kOp, "e0", e0, num_nodes, delta, "delta");
  p.mixed = e0.scalar_type() != delta.scalar_type();
  check_table(kOp, "history_sum", history_sum, num_nodes, delta, "delta");
  p.sample.history_sum = history_sum.const_data_ptr();
  p.sample.second = optional_table(kOp, "g", g, num_nodes, delta, "delta");
  const int64_t targets = p.sample.num_targets, dim = p.sample.dim;
  const ScalarType sums = accumulator_type(delta);
  Tensor out = torch::stable::new_empty(delta, {targets, dim}, sums);
  Tensor h = torch::stable::new_empty(delta, {g ? targets : 0, dim}, sums);
  Tensor z_new = torch::stable::new_empty(delta, {z ? targets : 0, dim}, sums);
  p.out = out.mutable_data_ptr();
  p.sample.out_second = h.mutable_data_ptr();
  p.e0 = e0.const_data_ptr();
  p.delta = delta.mutable_data_ptr();
  if (z) {
    check_table(kOp, "z", *z, num_nodes, delta, "delta");
    p.z = z->mutable_data_ptr();
    p.z_new = z_new.mutable_data_ptr();
  }
  p.alpha = alpha;
  p.c0 = c0;
  check_sampled_fault(kOp, p.sample, LTGNN_RUN(kOp, ltgnn_forward, delta, p));
  return {out, h};
}

void update(const Tensor& rows, const Tensor& grad, const OptionalTensor& h, Tensor e0, Tensor m, Tensor v,
            std::optional<Tensor> g, std::optional<Tensor> delta, const OptionalTensor& l2, double alpha,
            double c0, bool faithful, int64_t step, double lr, double beta1, double beta2, double eps) {
  constexpr const char* kOp = "ltgnn_update_";
  check_mix(kOp, alpha, c0);
  LtgnnUpdateParams p;
  p.adam = adam_params(kOp, rows, grad, l2, e0, m, v, {step, lr, beta1, beta2, eps}, "e0");
  p.h = optional_table(kOp, "h", h, p.adam.num_rows, grad, "grad");
  if (g) {
    check_table(kOp, "g", *g, p.adam.table_rows, m, "m");
    p.g_table = g->mutable_data_ptr();
  }
  if (delta) {
    check_table(kOp, "delta", *delta, p.adam.table_rows, m, "m");
    p.adam.delta = delta->mutable_data_ptr();
  }
  p.alpha = alpha;
  p.c0 = c0;
  p.faithful = faithful;
  check_row_fault(kOp, p.adam, LTGNN_RUN(kOp, ltgnn_update, e0, p));
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("ltgnn_forward_", TORCH_BOX(&forward));
  m.impl("ltgnn_update_", TORCH_BOX(&update));
}

}  // namespace ltgnn
