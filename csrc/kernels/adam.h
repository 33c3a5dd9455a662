// One row of Adam (Kingma and Ba, ICLR 2015), with L2 regularisation added to the gradient:
//
//   g += l2 p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= step_size m / (sqrt(v / bias2) + eps)
//
// step_size = lr / (1 - b1^t), bias2 = 1 - b2^t. "Lazy" where only touched rows are given: the moments of the
// others stand still, as in torch.optim.SparseAdam. Bytes per element: 4 read and 3 written.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/dtype.h"
#include "core/macros.h"

namespace ltgnn {

struct AdamConstants {
  double step_size = 0.0, beta1 = 0.9, beta2 = 0.999, bias2 = 1.0, eps = 1e-8;
};

LTGNN_HD AdamConstants adam_constants(double lr, double beta1, double beta2, double eps, int64_t step) {
  AdamConstants c;
  c.step_size = lr / (1.0 - std::pow(beta1, static_cast<double>(step)));
  c.bias2 = 1.0 - std::pow(beta2, static_cast<double>(step));
  c.beta1 = beta1;
  c.beta2 = beta2;
  c.eps = eps;
  return c;
}

struct AdamParams {
  const int64_t* rows = nullptr;  // [num_rows], distinct, each in [0, table_rows); null: all rows in order
  int64_t num_rows = 0;
  int64_t table_rows = 0;
  int64_t dim = 0;
  const void* grad = nullptr;  // [num_rows, dim]
  const void* l2 = nullptr;    // [num_rows] or null
  void* param = nullptr;       // [table_rows, dim]
  void* m = nullptr;           // [table_rows, dim]
  void* v = nullptr;           // [table_rows, dim]
  void* delta = nullptr;       // [table_rows, dim] or null: the change of param is added to it
  AdamConstants constants;
  DType type = DType::kFloat32;  // of the tables; grad and l2 are float32 beside bfloat16
  bool mixed = false;            // param is float32, m, v and delta are bfloat16
  uint64_t rounding = 0;         // key of the stochastic rounding of bfloat16: the step
};

// What an element needs of them, in its own type.
template <class S>
struct AdamScalars {
  S step_size, beta1, rest1, beta2, rest2, inverse_bias2, eps;

  explicit LTGNN_HD AdamScalars(const AdamConstants& c)
      : step_size(static_cast<S>(c.step_size)),
        beta1(static_cast<S>(c.beta1)),
        rest1(static_cast<S>(1.0 - c.beta1)),
        beta2(static_cast<S>(c.beta2)),
        rest2(static_cast<S>(1.0 - c.beta2)),
        inverse_bias2(static_cast<S>(1.0 / c.bias2)),
        eps(static_cast<S>(c.eps)) {}
};

// What param has really moved by, where it holds E: delta has to follow what is stored.
template <class E, class V>
LTGNN_HD V stored_change(V stored, V before, V change) {
  if constexpr (sizeof(E) == 2)
    return stored - before;
  else
    return change;
}

// One element, in registers or scalars: V is a vector or a number, S the scalar type. Returns the change of
// p.
template <class S, class V, class Sqrt>
LTGNN_HD V adam_element(const AdamScalars<S>& c, V g, V& m, V& v, const Sqrt& square_root) {
  m = c.beta1 * m + c.rest1 * g;
  v = c.beta2 * v + c.rest2 * g * g;
  return -(c.step_size * m) / (square_root(v * c.inverse_bias2) + c.eps);
}

}  // namespace ltgnn
