// Checks shared by the losses over rows of one table.
#pragma once

#include <initializer_list>

#include "kernels/losses.h"
#include "ops/sampling_checks.h"

namespace ltgnn {

inline LossParams loss_params(const char* op, const Tensor& x, const Tensor& users, const Tensor& items,
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

inline Tensor new_loss(const Tensor& x) {
  return torch::stable::new_empty(x, std::initializer_list<int64_t>{}, ScalarType::Double);
}

// Raises for the position in the batch that a CPU kernel reported; returns for -1.
inline void check_batch_fault(const char* op, const LossParams& p, int64_t b) {
  if (b < 0) return;
  const auto report = [&](const char* name, const int64_t* ids) {
    if (ids && (ids[b] < 0 || ids[b] >= p.num_rows))
      fail_index(op, name, " must be in [0, ", p.num_rows, "), got ", name, "[", b, "] = ", ids[b]);
  };
  report("users", p.users);
  report("items", p.items);
  report("negatives", p.negatives);
}

}  // namespace ltgnn
