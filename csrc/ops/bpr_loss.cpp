// bpr_loss: front door for every backend. Mathematics: kernels/losses.h.
#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/loss_checks.h"

namespace ltgnn {
namespace {

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

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) { m.impl("bpr_loss", TORCH_BOX(&bpr_loss)); }

}  // namespace ltgnn
