// propagate_cusparse: front door of the cuSPARSE path; CUDA only. (1 - alpha) A x + alpha x0 with the
// matrix's own values, computed as out = (1 - alpha) A x + alpha out on a copy of x0.
#include <torch/csrc/stable/library.h>

#include <limits>

#include "ops/backend.h"

namespace ltgnn {
namespace {

constexpr const char* kOp = "propagate_cusparse";

Tensor propagate_cusparse(const Tensor& indptr_in, const Tensor& indices, const Tensor& weight,
                          const Tensor& x_in, const OptionalTensor& x0, double alpha) {
  check_dim(kOp, "x", x_in, 2, "[num_cols, dim]");
  Tensor x = with_unit_columns(x_in);
  if (x.size(0) > 1 && x.stride(0) < x.size(1)) x = torch::stable::contiguous(torch::stable::clone(x));
  const CsrView csr = csr_view(kOp, indptr_in, indices, x.size(0));
  check_same_device(kOp, "x", x, indptr_in, "indptr");
  LTGNN_CHECK(kOp, x.scalar_type() != ScalarType::BFloat16,
              "x must be float32 or float64, got bfloat16; use backend='native'");
  LTGNN_CHECK(kOp, alpha >= 0.0 && alpha <= 1.0, "alpha must be in [0, 1], got ", alpha);

  cuda::SpmmParams params;
  params.type = dtype_code(kOp, "x", x);
  params.weight = optional_vector(kOp, "weight", weight, csr.num_edges, x.scalar_type(), x, "x");
  // cuSPARSE wants one type for both; row pointers are the short ones.
  Tensor indptr = indptr_in;
  if (csr.index_type == DType::kInt32) {
    LTGNN_CHECK(kOp, csr.num_edges <= std::numeric_limits<int32_t>::max(),
                "int32 indices allow at most 2^31 - 1 edges here, got ", csr.num_edges,
                "; use int64 indices or backend='native'");
    indptr = torch::stable::to(indptr_in, ScalarType::Int);
  }
  Tensor out = x;
  if (x0) {
    check_dim(kOp, "x0", *x0, 2, "[num_rows, dim]");
    check_dtype(kOp, "x0", *x0, x.scalar_type());
    check_size(kOp, "x0", *x0, 0, csr.num_rows);
    check_size(kOp, "x0", *x0, 1, x.size(1));
    check_same_device(kOp, "x0", *x0, x, "x");
    out = torch::stable::new_empty(x, {csr.num_rows, x.size(1)});
    torch::stable::copy_(out, *x0);
  } else {
    out = torch::stable::new_zeros(x, {csr.num_rows, x.size(1)});
  }
  params.indptr = indptr.const_data_ptr();
  params.indices = csr.indices;
  params.index_type = csr.index_type;
  params.num_rows = csr.num_rows;
  params.num_cols = csr.num_cols;
  params.num_edges = csr.num_edges;
  params.x = x.const_data_ptr();
  params.dim = x.size(1);
  params.x_stride = x.size(0) > 1 ? x.stride(0) : params.dim;
  params.out = out.mutable_data_ptr();
  params.scale = 1.0 - alpha;
  params.beta = x0 ? alpha : 0.0;
  LTGNN_RUN(kOp, spmm, x, params);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("propagate_cusparse", TORCH_BOX(&propagate_cusparse));
}

}  // namespace ltgnn
