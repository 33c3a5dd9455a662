// in_batch_softmax_loss: front door for every backend. Mathematics: kernels/losses.h.
#include <torch/csrc/stable/library.h>

#include <cmath>

#include "kernels/accidental_hits.h"
#include "ops/backend.h"
#include "ops/loss_checks.h"

namespace ltgnn {
namespace {

std::tuple<Tensor, Tensor> in_batch_softmax_loss(const Tensor& x, const Tensor& users, const Tensor& items,
                                                 double tau, double exponent, bool allow_bf16,
                                                 const OptionalTensor& skip) {
  constexpr const char* kOp = "in_batch_softmax_loss";
  LTGNN_CHECK(kOp, tau >= 1e-6 && std::isfinite(tau), "tau must be positive and at least 1e-6, got ", tau);
  LTGNN_CHECK(kOp, std::isfinite(exponent), "exponent must be finite, got ", exponent);
  Tensor loss = new_loss(x), grad = torch::stable::empty_like(x);
  LossParams p = loss_params(kOp, x, users, items, loss, grad);
  p.tau = tau;
  p.exponent = exponent;
  p.allow_bf16 = allow_bf16;
  if (skip) {
    check_dim(kOp, "skip", *skip, 2, "[batch, ceil(batch / 32)]");
    check_dtype(kOp, "skip", *skip, ScalarType::Int);
    check_same_device(kOp, "skip", *skip, x, "x");
    check_size(kOp, "skip", *skip, 0, p.batch);
    check_size(kOp, "skip", *skip, 1, hit_words(p.batch));
    LTGNN_CHECK(kOp, skip->is_contiguous(), "skip must be contiguous");
    p.skip = reinterpret_cast<const uint32_t*>(skip->const_data_ptr<int32_t>());
  }
  check_batch_fault(kOp, p, LTGNN_RUN(kOp, in_batch_softmax_loss, x, p));
  return {loss, grad};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("in_batch_softmax_loss", TORCH_BOX(&in_batch_softmax_loss));
}

}  // namespace ltgnn
