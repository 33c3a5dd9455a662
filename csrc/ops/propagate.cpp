// propagate: front door for every backend. Mathematics: kernels/propagate.h.
#include <torch/csrc/stable/library.h>

#include <utility>

#include "kernels/propagate.h"
#include "ops/backend.h"
#include "ops/new_output.h"
#include "ops/sampling_checks.h"

namespace ltgnn {
namespace {

constexpr const char* kOp = "propagate";

// Whether two matrices with unit columns touch the same bytes.
bool share_memory(const Tensor& a, const Tensor& b) {
  if (a.numel() == 0 || b.numel() == 0) return false;
  const auto span = [](const Tensor& t) {
    const auto begin = reinterpret_cast<uintptr_t>(t.const_data_ptr());
    const int64_t elements = (t.size(0) - 1) * row_stride(t) + t.size(1);
    return std::pair{begin, begin + static_cast<uintptr_t>(elements) * t.element_size()};
  };
  const auto [a_begin, a_end] = span(a);
  const auto [b_begin, b_end] = span(b);
  return a_begin < b_end && b_begin < a_end;
}

// A fault at a row of csr, the lowest: of its number in `rows`, or of the row.
void check_row_fault(const PropagateParams& p, int64_t row) {
  if (row >= 0 && p.rows && !valid_target(p, p.rows[row]))
    fail_index(kOp, "rows must be in [0, ", p.csr.num_rows, "), got rows[", row, "] = ", p.rows[row]);
  check_fault(kOp, p.csr, row);
}

void run(const Tensor& indptr, const Tensor& indices, const OptionalTensor& weight,
         const OptionalTensor& row_scale, const OptionalTensor& col_scale, const Tensor& x_in,
         const OptionalTensor& x0_in, double alpha, bool self_loops, const OptionalTensor& rows,
         Tensor& out) {
  const Tensor x = with_unit_columns(x_in);
  PropagateParams params;
  params.csr = csr_view(kOp, indptr, indices, x.size(0));
  params.type = storage_code(kOp, "x", x);
  check_same_device(kOp, "x", x, indptr, "indptr");
  const auto accumulator = accumulator_type(x);
  params.weight = optional_vector(kOp, "weight", weight, params.csr.num_edges, accumulator, x, "x");
  params.row_scale = optional_vector(kOp, "row_scale", row_scale, params.csr.num_rows, accumulator, x, "x");
  params.col_scale = optional_vector(kOp, "col_scale", col_scale, params.csr.num_cols, accumulator, x, "x");
  LTGNN_CHECK(kOp, alpha >= 0.0 && alpha <= 1.0, "alpha must be in [0, 1], got ", alpha);
  LTGNN_CHECK(kOp, !self_loops || params.csr.num_rows == params.csr.num_cols,
              "self_loops needs a square graph, got ", params.csr.num_rows, " rows and ", params.csr.num_cols,
              " columns");
  if (rows) {
    params.rows = id_vector(kOp, "rows", *rows, x);
    check_size(kOp, "rows", *rows, 0, params.csr.num_rows);
    LTGNN_CHECK(kOp, !weight, "rows must be None where weight is given, got both");
  }
  params.alpha = alpha;
  params.self_loops = self_loops;
  params.dim = x.size(1);
  params.x = x.const_data_ptr();
  params.x_stride = row_stride(x);

  Tensor x0 = x;
  if (x0_in) {
    check_dim(kOp, "x0", *x0_in, 2, "[num_rows, dim]");
    check_dtype(kOp, "x0", *x0_in, x.scalar_type());
    check_size(kOp, "x0", *x0_in, 0, params.csr.num_rows);
    check_size(kOp, "x0", *x0_in, 1, params.dim);
    check_same_device(kOp, "x0", *x0_in, x, "x");
    x0 = with_unit_columns(*x0_in);
    params.x0 = x0.const_data_ptr();
    params.x0_stride = row_stride(x0);
  }

  check_dim(kOp, "out", out, 2, "[num_rows, dim]");
  check_dtype(kOp, "out", out, x.scalar_type());
  check_size(kOp, "out", out, 0, params.csr.num_rows);
  check_size(kOp, "out", out, 1, params.dim);
  check_same_device(kOp, "out", out, x, "x");
  LTGNN_CHECK(kOp, out.is_contiguous(), "out must be contiguous");
  params.out = out.mutable_data_ptr();
  params.out_stride = params.dim;
  LTGNN_CHECK(kOp, !share_memory(out, x),
              "out must not share memory with x: neighbours are read while rows are written");
  // The same rows in the same place are fine: each element of x0 is read before it is written.
  const bool alike = params.csr.num_rows <= 1 || params.x0_stride == params.out_stride;
  const bool in_place = params.x0 == params.out && alike;
  LTGNN_CHECK(kOp, !x0_in || in_place || !share_memory(out, x0),
              "out must not share memory with x0 unless it is x0");
  check_row_fault(params, LTGNN_RUN(kOp, propagate, x, params));
}

Tensor propagate(const Tensor& indptr, const Tensor& indices, const OptionalTensor& weight,
                 const OptionalTensor& row_scale, const OptionalTensor& col_scale, const Tensor& x,
                 const OptionalTensor& x0, double alpha, bool self_loops, const OptionalTensor&,
                 const OptionalTensor&, const OptionalTensor&, const OptionalTensor& rows,
                 const OptionalTensor&) {
  check_dim(kOp, "x", x, 2, "[num_cols, dim]");
  check_dim(kOp, "indptr", indptr, 1, "[num_rows + 1]");
  LTGNN_CHECK(kOp, indptr.numel() >= 1, "indptr must have num_rows + 1 >= 1 elements, got 0");
  Tensor out = new_output(x, {indptr.numel() - 1, x.size(1)}, x.scalar_type());
  run(indptr, indices, weight, row_scale, col_scale, x, x0, alpha, self_loops, rows, out);
  return out;
}

void propagate_out(const Tensor& indptr, const Tensor& indices, const OptionalTensor& weight,
                   const OptionalTensor& row_scale, const OptionalTensor& col_scale, const Tensor& x,
                   const OptionalTensor& x0, double alpha, bool self_loops, Tensor out,
                   const OptionalTensor& rows) {
  check_dim(kOp, "x", x, 2, "[num_cols, dim]");
  run(indptr, indices, weight, row_scale, col_scale, x, x0, alpha, self_loops, rows, out);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("propagate", TORCH_BOX(&propagate));
  m.impl("propagate_out", TORCH_BOX(&propagate_out));
}

}  // namespace ltgnn
