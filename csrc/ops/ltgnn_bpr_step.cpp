// ltgnn_bpr_step_: front door for every backend. Mathematics: kernels/ltgnn_bpr_step.h.
#include "kernels/ltgnn_bpr_step.h"

#include <torch/csrc/stable/library.h>

#include <cmath>

#include "ops/adam_checks.h"
#include "ops/backend.h"
#include "ops/loss_checks.h"
#include "ops/ltgnn_checks.h"

namespace ltgnn {
namespace {

constexpr const char* kOp = "ltgnn_bpr_step_";

int64_t* counter_of(const Tensor& counter, const Tensor& like) {
  check_dim(kOp, "counter", counter, 1, "[1]");
  check_dtype(kOp, "counter", counter, ScalarType::Long);
  check_size(kOp, "counter", counter, 0, 1);
  check_same_device(kOp, "counter", counter, like, "e0");
  auto* steps = counter.mutable_data_ptr<int64_t>();
  if (counter.is_cpu())
    LTGNN_CHECK(kOp, *steps >= 0 && *steps < int64_t{1} << 62, "counter must be in [0, 2^62), got ", *steps);
  return steps;
}

// What a CPU kernel reported: a triple, or behind them a row of the graph.
void check_step_fault(const LtgnnBprStepParams& p, int64_t position) {
  if (position < p.batch) {
    LossParams triples;
    triples.users = p.users;
    triples.items = p.items;
    triples.negatives = p.negatives;
    triples.num_rows = p.update.adam.table_rows;
    check_batch_fault(kOp, triples, position);
  } else {
    fail_sampled_row(kOp, p.forward.sample, position - p.batch);
  }
}

Tensor step(const Tensor& indptr, const Tensor& indices, const OptionalTensor& scale, const Tensor& users,
            const Tensor& items, const Tensor& negatives, Tensor e0, std::optional<Tensor> z, Tensor delta,
            const Tensor& history_sum, std::optional<Tensor> g, Tensor m, Tensor v, Tensor counter,
            double alpha, double c0, int64_t fanout, int64_t seed, bool self_loops, double l2, bool faithful,
            double lr, double beta1, double beta2, double eps, const OptionalTensor& row_fanout,
            const OptionalTensor& edge_starts) {
  check_mix(kOp, alpha, c0);
  check_adam_settings(kOp, {1, lr, beta1, beta2, eps});
  LTGNN_CHECK(kOp, l2 >= 0.0, "l2 must not be negative, got ", l2);
  check_dim(kOp, "e0", e0, 2, "[num_nodes, dim]");
  const DType type = table_code(kOp, "e0", e0);
  LTGNN_CHECK(kOp, e0.is_contiguous(), "e0 must be contiguous");
  const int64_t num_nodes = e0.size(0);
  if (!goes_with(e0, delta)) check_dtype(kOp, "delta", delta, e0.scalar_type());
  check_table_shape(kOp, "delta", delta, num_nodes, e0, "e0");
  check_table(kOp, "history_sum", history_sum, num_nodes, delta, "delta");
  check_table(kOp, "m", m, num_nodes, delta, "delta");
  check_table(kOp, "v", v, num_nodes, delta, "delta");

  LtgnnBprStepParams p;
  SampleAggregateParams& sample = p.forward.sample;
  sample = sampling_settings(kOp, indptr, indices, scale, scale, delta, fanout, seed, self_loops, row_fanout,
                             edge_starts, true, "delta");
  LTGNN_CHECK(kOp, sample.csr.num_rows == num_nodes, "e0 must have num_nodes = ", sample.csr.num_rows,
              " rows, got ", num_nodes);
  sample.history_sum = history_sum.const_data_ptr();
  sample.second = optional_table(kOp, "g", g, num_nodes, delta, "delta");
  p.forward.e0 = e0.const_data_ptr();
  p.forward.delta = delta.mutable_data_ptr();
  if (z) {
    check_table(kOp, "z", *z, num_nodes, delta, "delta");
    p.forward.z = z->mutable_data_ptr();
  }
  p.forward.alpha = p.update.alpha = alpha;
  p.forward.c0 = p.update.c0 = c0;

  AdamParams& adam = p.update.adam;
  adam.type = type;
  adam.mixed = p.forward.mixed = e0.scalar_type() != delta.scalar_type();
  adam.table_rows = num_nodes;
  adam.dim = sample.dim;
  adam.param = e0.mutable_data_ptr();
  adam.m = m.mutable_data_ptr();
  adam.v = v.mutable_data_ptr();
  // For one hop delta follows e0; for the fixed point it has followed z in the forward.
  adam.delta = z ? nullptr : delta.mutable_data_ptr();
  p.update.g_table = g ? g->mutable_data_ptr() : nullptr;
  p.update.faithful = faithful;

  p.users = id_vector(kOp, "users", users, e0, "e0");
  p.items = id_vector(kOp, "items", items, e0, "e0");
  p.negatives = id_vector(kOp, "negatives", negatives, e0, "e0");
  p.batch = users.numel();
  check_size(kOp, "items", items, 0, p.batch);
  check_size(kOp, "negatives", negatives, 0, p.batch);
  p.counter = counter_of(counter, e0);
  p.l2 = l2;
  p.lr = lr;
  p.beta1 = beta1;
  p.beta2 = beta2;
  p.eps = eps;
  p.seed = static_cast<uint64_t>(seed);
  Tensor loss = new_loss(e0);
  p.loss = loss.mutable_data_ptr<double>();
  check_step_fault(p, LTGNN_RUN(kOp, ltgnn_bpr_step, e0, p));
  return loss;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("ltgnn_bpr_step_", TORCH_BOX(&step));
}

}  // namespace ltgnn
