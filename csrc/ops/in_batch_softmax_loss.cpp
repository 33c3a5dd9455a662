// in_batch_softmax_loss: front door for every backend. Mathematics: kernels/losses.h.
#include <torch/csrc/stable/library.h>

#include <cmath>

#include "ops/backend.h"
#include "ops/loss_checks.h"

namespace ltgnn {
namespace {

std::tuple<Tensor, Tensor> in_batch_softmax_loss(const Tensor& x, const Tensor& users, const Tensor& items,
                                                 double tau, double exponent, bool allow_bf16) {
  constexpr const char* kOp = "in_batch_softmax_loss";
  LTGNN_CHECK(kOp, tau >= 1e-6 && std::isfinite(tau), "tau must be positive and at least 1e-6, got ", tau);
  LTGNN_CHECK(kOp, std::isfinite(exponent), "exponent must be finite, got ", exponent);
  Tensor loss = new_loss(x), grad = torch::stable::empty_like(x);
  LossParams p = loss_params(kOp, x, users, items, loss, grad);
  p.tau = tau;
  p.exponent = exponent;
  p.allow_bf16 = allow_bf16;
  check_batch_fault(kOp, p, LTGNN_RUN(kOp, in_batch_softmax_loss, x, p));
  return {loss, grad};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("in_batch_softmax_loss", TORCH_BOX(&in_batch_softmax_loss));
}

}  // namespace ltgnn
