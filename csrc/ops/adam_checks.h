// Checks shared by the operators that end in Adam.
#pragma once

#include "kernels/adam.h"
#include "ops/sampling_checks.h"

namespace ltgnn {

struct AdamSettings {
  int64_t step;
  double lr, beta1, beta2, eps;
};

// All but the step, which some operators keep on the device.
inline void check_adam_settings(const char* op, const AdamSettings& s) {
  LTGNN_CHECK(op, s.lr >= 0.0, "lr must not be negative, got ", s.lr);
  LTGNN_CHECK(op, s.beta1 >= 0.0 && s.beta1 < 1.0, "beta1 must be in [0, 1), got ", s.beta1);
  LTGNN_CHECK(op, s.beta2 >= 0.0 && s.beta2 < 1.0, "beta2 must be in [0, 1), got ", s.beta2);
  LTGNN_CHECK(op, s.eps >= 0.0, "eps must not be negative, got ", s.eps);
}

// m and v beside the embeddings `param`, and the type of both.
inline void check_moments(const char* op, const char* param_name, const Tensor& param, const Tensor& m,
                          const Tensor& v, AdamParams& p) {
  if (!goes_with(param, m)) check_dtype(op, "m", m, param.scalar_type());
  check_table_shape(op, "m", m, p.table_rows, param, param_name);
  check_table(op, "v", v, p.table_rows, m, "m");
  p.mixed = param.scalar_type() != m.scalar_type();
}

// Messages call the embeddings `param_name`. `rows` distinct (the caller's duty: repeated rows would race),
// null for all rows of param in order.
inline AdamParams adam_params(const char* op, const OptionalTensor& rows, const Tensor& grad,
                              const OptionalTensor& l2, Tensor& param, Tensor& m, Tensor& v,
                              const AdamSettings& s, const char* param_name = "param") {
  AdamParams p;
  check_dim(op, param_name, param, 2, "[num_rows, dim]");
  p.type = table_code(op, param_name, param);
  p.table_rows = param.size(0);
  p.dim = param.size(1);
  LTGNN_CHECK(op, param.is_contiguous(), param_name, " must be contiguous");
  check_moments(op, param_name, param, m, v, p);
  p.rows = rows ? id_vector(op, "rows", *rows, param, param_name) : nullptr;
  p.num_rows = rows ? rows->numel() : p.table_rows;
  check_dtype(op, "grad", grad, accumulator_type(param));
  check_table_shape(op, "grad", grad, p.num_rows, param, param_name);
  p.l2 = optional_vector(op, "l2", l2, p.num_rows, accumulator_type(param), param, param_name);
  LTGNN_CHECK(op, s.step >= 1, "step must be at least 1, got ", s.step);
  check_adam_settings(op, s);
  p.constants = adam_constants(s.lr, s.beta1, s.beta2, s.eps, s.step);
  p.rounding = static_cast<uint64_t>(s.step);
  p.grad = grad.const_data_ptr();
  p.param = param.mutable_data_ptr();
  p.m = m.mutable_data_ptr();
  p.v = v.mutable_data_ptr();
  return p;
}

inline void check_row_fault(const char* op, const AdamParams& p, int64_t position) {
  if (position >= 0)
    fail_index(op, "rows must be in [0, ", p.table_rows, "), got rows[", position, "] = ", p.rows[position]);
}

}  // namespace ltgnn
