// edge_dot: front door for every backend. Mathematics: kernels/edge_dot.h.
#include "kernels/edge_dot.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/new_output.h"

namespace ltgnn {
namespace {

constexpr const char* kOp = "edge_dot";

Tensor edge_dot(const Tensor& indptr, const Tensor& indices, const OptionalTensor& row_scale,
                const OptionalTensor& col_scale, const Tensor& g_in, const Tensor& x_in, double factor) {
  check_dim(kOp, "g", g_in, 2, "[num_rows, dim]");
  check_dim(kOp, "x", x_in, 2, "[num_cols, dim]");
  const Tensor g = with_unit_columns(g_in);
  const Tensor x = with_unit_columns(x_in);
  EdgeDotParams params;
  params.csr = csr_view(kOp, indptr, indices, x.size(0));
  params.type = storage_code(kOp, "x", x);
  check_same_device(kOp, "x", x, indptr, "indptr");
  check_same_device(kOp, "g", g, x, "x");
  check_dtype(kOp, "g", g, x.scalar_type());
  check_size(kOp, "g", g, 0, params.csr.num_rows);
  check_size(kOp, "g", g, 1, x.size(1));
  const auto accumulator = accumulator_type(x);
  params.row_scale = optional_vector(kOp, "row_scale", row_scale, params.csr.num_rows, accumulator, x, "x");
  params.col_scale = optional_vector(kOp, "col_scale", col_scale, params.csr.num_cols, accumulator, x, "x");
  Tensor out = new_output(x, {params.csr.num_edges}, accumulator);
  params.g = g.const_data_ptr();
  params.g_stride = row_stride(g);
  params.x = x.const_data_ptr();
  params.x_stride = row_stride(x);
  params.out = out.mutable_data_ptr();
  params.dim = x.size(1);
  params.factor = factor;
  LTGNN_RUN_CSR(kOp, edge_dot, x, params);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) { m.impl("edge_dot", TORCH_BOX(&edge_dot)); }

}  // namespace ltgnn
