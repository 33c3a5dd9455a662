// adam_: front door for every backend. Mathematics: kernels/adam.h.
#include <torch/csrc/stable/library.h>

#include "ops/adam_checks.h"
#include "ops/backend.h"

namespace ltgnn {
namespace {

void adam(Tensor param, Tensor m, Tensor v, const Tensor& grad, const OptionalTensor& rows,
          const OptionalTensor& l2, int64_t step, double lr, double beta1, double beta2, double eps) {
  constexpr const char* kOp = "adam_";
  const AdamParams p = adam_params(kOp, rows, grad, l2, param, m, v, {step, lr, beta1, beta2, eps});
  check_row_fault(kOp, p, LTGNN_RUN(kOp, adam, param, p));
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) { m.impl("adam_", TORCH_BOX(&adam)); }

}  // namespace ltgnn
