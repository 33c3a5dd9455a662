// bpr_loss and in_batch_softmax_loss: front doors for every backend. Mathematics: kernels/losses.h.
#include "kernels/losses.h"

#include <torch/csrc/stable/library.h>

#include <cmath>
#include <initializer_list>
#include "ops/backend.h"
#include "ops/sampling_checks.h"

namespace ltgnn {
namespace {

LossParams loss_params(const char* op, const Tensor& x, const Tensor& users, const Tensor& items,
                       const Tensor& loss, const Tensor& grad) {
  check_dim(op, "x", x, 2, "[num_rows, dim]");
  LTGNN_CHECK(op, x.is_contiguous(), "x must be contiguous");
  LossParams p;
  p.type = dtype_code(op, "x", x);
  p.x = x.const_data_ptr();
  p.num_rows = x.size(0);
  p.dim = x.size(1);
  p.users = id_vector(op, "users", users, x);
  p.items = id_vector(op, "items", items, x);
  p.batch = users.numel();
  check_size(op, "items", items, 0, p.batch);
  p.loss = loss.mutable_data_ptr<double>();
  p.grad = grad.mutable_data_ptr();
  return p;
}

Tensor new_loss(const Tensor& x) {
  return torch::stable::new_empty(x, std::initializer_list<int64_t>{}, ScalarType::Double);
}

void check_batch_fault(const char* op, const LossParams& p, int64_t b) {
  if (b < 0) return;
  const auto report = [&](const char* name, const int64_t* ids) {
    if (ids && (ids[b] < 0 || ids[b] >= p.num_rows))
      fail_index(op, name, " must be in [0, ", p.num_rows, "), got ", name, "[", b, "] = ", ids[b]);
  };
  report("users", p.users);
  report("items", p.items);
  report("negatives", p.negatives);
}

std::tuple<Tensor, Tensor> bpr_loss(const Tensor& x, const Tensor& users, const Tensor& items,
                                    const Tensor& negatives) {
  constexpr const char* kOp = "bpr_loss";
  Tensor loss = new_loss(x), grad = torch::stable::empty_like(x);
  LossParams p = loss_params(kOp, x, users, items, loss, grad);
  p.negatives = id_vector(kOp, "negatives", negatives, x);
  check_size(kOp, "negatives", negatives, 0, p.batch);
  check_batch_fault(kOp, p, LTGNN_RUN(kOp, bpr_loss, x, p));
  return {loss, grad};
}

std::tuple<Tensor, Tensor> in_batch_softmax_loss(const Tensor& x, const Tensor& users, const Tensor& items,
                                                 double tau, double exponent) {
  constexpr const char* kOp = "in_batch_softmax_loss";
  LTGNN_CHECK(kOp, tau >= 1e-6 && std::isfinite(tau), "tau must be positive and at least 1e-6, got ", tau);
  LTGNN_CHECK(kOp, std::isfinite(exponent), "exponent must be finite, got ", exponent);
  Tensor loss = new_loss(x), grad = torch::stable::empty_like(x);
  LossParams p = loss_params(kOp, x, users, items, loss, grad);
  p.tau = tau;
  p.exponent = exponent;
  check_batch_fault(kOp, p, LTGNN_RUN(kOp, in_batch_softmax_loss, x, p));
  return {loss, grad};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("bpr_loss", TORCH_BOX(&bpr_loss));
  m.impl("in_batch_softmax_loss", TORCH_BOX(&in_batch_softmax_loss));
}

}  // namespace ltgnn
