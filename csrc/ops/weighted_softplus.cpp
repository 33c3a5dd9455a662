// weighted_softplus_: front door for every backend. Mathematics: kernels/weighted_softplus.h.
#include "kernels/weighted_softplus.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"

namespace ltgnn {
namespace {

Tensor weighted_softplus(Tensor scores, const Tensor& of_row, const Tensor& of_column, const Tensor& of_all) {
  constexpr const char* kOp = "weighted_softplus_";
  WeightedSoftplusParams p;
  check_dim(kOp, "scores", scores, 2, "[num_rows, num_columns]");
  p.type = dtype_code(kOp, "scores", scores);
  LTGNN_CHECK(kOp, p.type != DType::kBFloat16, "scores must be float32 or float64, got bfloat16");
  LTGNN_CHECK(kOp, scores.is_contiguous(), "scores must be contiguous");
  p.num_rows = scores.size(0);
  p.num_columns = scores.size(1);
  const auto vector = [&](const char* name, const Tensor& tensor, int64_t length) {
    return optional_vector(kOp, name, tensor, length, scores.scalar_type(), scores, "scores");
  };
  p.of_row = vector("of_row", of_row, p.num_rows);
  p.of_column = vector("of_column", of_column, p.num_columns);
  p.of_all = vector("of_all", of_all, p.num_columns);
  p.scores = scores.mutable_data_ptr();
  Tensor loss = torch::stable::new_empty(scores, {p.num_rows}, ScalarType::Double);
  p.loss = loss.mutable_data_ptr<double>();
  LTGNN_RUN(kOp, weighted_softplus, scores, p);
  return loss;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("weighted_softplus_", TORCH_BOX(&weighted_softplus));
}

}  // namespace ltgnn
