// propagate_cusparse and its plans: front doors for the backends with CUDA kernels. The same sum as propagate
// with the matrix's own values, computed as out = (1 - alpha) A x + alpha out on a copy of x0.
//
// A plan is a matrix that was checked and that cuSPARSE may prepare itself for (cuda/spmm.h), known by a
// number. It holds the tensors of the matrix until it is freed.
#include <torch/csrc/stable/library.h>

#include <limits>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "kernels/propagate.h"
#include "ops/backend.h"

namespace ltgnn {
namespace {

constexpr const char* kOp = "propagate_cusparse";

// The matrix and the tensors that it points into.
struct Matrix {
  Tensor indptr, indices, weight;  // as given
  Tensor cusparse_indptr;          // of the type of indices: cuSPARSE wants one type for both
  CsrView csr;
  DType type;
};

Matrix read_matrix(const Tensor& indptr, const Tensor& indices, const Tensor& weight, int64_t num_cols) {
  LTGNN_CHECK(kOp, num_cols >= 0, "num_cols must not be negative, got ", num_cols);
  const CsrView csr = csr_view(kOp, indptr, indices, num_cols);
  const DType type = storage_code(kOp, "weight", weight);
  optional_vector(kOp, "weight", weight, csr.num_edges, weight.scalar_type(), indptr, "indptr");
  return {indptr, indices, weight, indptr, csr, type};
}

// Raises what is wrong with the matrix, and narrows its row pointers where the indices are narrow. Waits.
void admit(Matrix& matrix) {
  launch_beside(kOp, matrix.indptr, matrix.csr, &cuda::check_csr, true);
  if (matrix.csr.index_type != DType::kInt32) return;
  LTGNN_CHECK(kOp, matrix.csr.num_edges <= std::numeric_limits<int32_t>::max(),
              "int32 indices allow at most 2^31 - 1 edges here, got ", matrix.csr.num_edges,
              "; use int64 indices or backend='native'");
  matrix.cusparse_indptr = torch::stable::to(matrix.indptr, ScalarType::Int);
}

cuda::SpmmMatrix spmm_matrix(const Matrix& matrix) {
  cuda::SpmmMatrix m;
  m.indptr = matrix.cusparse_indptr.const_data_ptr();
  m.indices = matrix.csr.indices;
  m.weight = matrix.weight.const_data_ptr();
  m.num_rows = matrix.csr.num_rows;
  m.num_cols = matrix.csr.num_cols;
  m.num_edges = matrix.csr.num_edges;
  m.index_type = matrix.csr.index_type;
  m.type = matrix.type;
  return m;
}

struct Plan {
  Matrix matrix;
  std::shared_ptr<cuda::SpmmPlan> spmm;
};

// All plans of the process. A call holds its plan, so that freeing it meanwhile in another thread is
// harmless.
class Plans {
 public:
  int64_t add(std::shared_ptr<const Plan> plan) {
    const std::lock_guard lock(mutex_);
    plans_.emplace(next_, std::move(plan));
    return next_++;  // numbers are not used again
  }
  std::shared_ptr<const Plan> find(int64_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = plans_.find(number);
    LTGNN_CHECK(kOp, found != plans_.end(), "there is no plan ", number, ": it was freed, or never made");
    return found->second;
  }
  void free(int64_t number) {
    const std::shared_ptr<const Plan> plan = find(number);  // destroyed after the lock is released
    const std::lock_guard lock(mutex_);
    plans_.erase(number);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<int64_t, std::shared_ptr<const Plan>> plans_;
  int64_t next_ = 1;  // 0 stands for no plan
};

// Never destroyed: at exit the driver may be gone before it.
Plans& plans() {
  static Plans* const instance = new Plans;
  return *instance;
}

// Memory of torch's allocator, as long as the pointer is held.
std::shared_ptr<void> keep(void* like, size_t bytes) {
  Tensor memory = torch::stable::new_empty(*static_cast<const Tensor*>(like), {static_cast<int64_t>(bytes)},
                                           ScalarType::Byte);
  void* start = memory.mutable_data_ptr();
  return {start, [memory](void*) {}};
}

// The product where cuSPARSE has nothing to multiply.
void without_edges(const Matrix& matrix, const Tensor& x, const OptionalTensor& x0, double alpha,
                   Tensor& out) {
  PropagateParams params;
  params.csr = matrix.csr;
  params.type = matrix.type;
  params.x = x.const_data_ptr();
  params.x_stride = row_stride(x);
  params.dim = x.size(1);
  params.alpha = alpha;
  params.out = out.mutable_data_ptr();
  params.x0 = x0 ? params.out : nullptr;
  params.x0_stride = params.out_stride = params.dim;
  LTGNN_RUN_CSR(kOp, propagate, x, params);
}

Tensor propagate_cusparse(const Tensor& indptr, const Tensor& indices, const Tensor& weight,
                          const Tensor& x_in, const OptionalTensor& x0, double alpha, const OptionalTensor&,
                          const OptionalTensor&, const OptionalTensor&, int64_t plan_number, int64_t) {
  check_dim(kOp, "x", x_in, 2, "[num_cols, dim]");
  Tensor x = with_unit_columns(x_in);
  if (x.size(0) > 1 && x.stride(0) < x.size(1)) x = torch::stable::contiguous(torch::stable::clone(x));
  storage_code(kOp, "x", x);
  Matrix matrix = read_matrix(indptr, indices, weight, x.size(0));
  check_same_device(kOp, "x", x, indptr, "indptr");
  check_dtype(kOp, "weight", weight, x.scalar_type());
  LTGNN_CHECK(kOp, alpha >= 0.0 && alpha <= 1.0, "alpha must be in [0, 1], got ", alpha);
  if (x0) {
    check_dim(kOp, "x0", *x0, 2, "[num_rows, dim]");
    check_dtype(kOp, "x0", *x0, x.scalar_type());
    check_size(kOp, "x0", *x0, 0, matrix.csr.num_rows);
    check_size(kOp, "x0", *x0, 1, x.size(1));
    check_same_device(kOp, "x0", *x0, x, "x");
  }

  std::shared_ptr<const Plan> plan;
  if (plan_number != 0) {
    plan = plans().find(plan_number);
    const CsrView &made = plan->matrix.csr, &given = matrix.csr;
    const bool same = made.indptr == given.indptr && made.indices == given.indices &&
                      plan->matrix.weight.const_data_ptr() == weight.const_data_ptr() &&
                      made.num_rows == given.num_rows && made.num_cols == given.num_cols &&
                      made.num_edges == given.num_edges && plan->matrix.type == matrix.type &&
                      made.index_type == given.index_type;
    LTGNN_CHECK(kOp, same, "plan ", plan_number, " was made for another matrix");
  } else {
    admit(matrix);
  }

  Tensor out = torch::stable::new_empty(x, {matrix.csr.num_rows, x.size(1)});
  if (x0) torch::stable::copy_(out, *x0);
  if (out.numel() == 0) return out;
  if (matrix.csr.num_edges == 0) {
    without_edges(matrix, x, x0, alpha, out);
    return out;
  }
  cuda::SpmmParams params;
  if (plan)
    params.plan = plan->spmm.get();
  else
    params.matrix = spmm_matrix(matrix);
  params.x = x.const_data_ptr();
  params.dim = x.size(1);
  params.x_stride = x.size(0) > 1 ? x.stride(0) : params.dim;
  params.out = out.mutable_data_ptr();
  params.scale = 1.0 - alpha;
  params.beta = x0 ? alpha : 0.0;
  params.keep = &keep;
  params.owner = &x;
  LTGNN_RUN(kOp, spmm, x, params);
  return out;
}

int64_t cusparse_plan(const Tensor& indptr, const Tensor& indices, const Tensor& weight, int64_t num_cols) {
  Matrix matrix = read_matrix(indptr, indices, weight, num_cols);
  admit(matrix);
  auto plan = std::make_shared<Plan>(Plan{matrix, cuda::make_spmm_plan(spmm_matrix(matrix))});
  return plans().add(std::move(plan));
}

void cusparse_plan_free(int64_t plan) { plans().free(plan); }

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("cusparse_plan", TORCH_BOX(&cusparse_plan));
  m.impl("propagate_cusparse", TORCH_BOX(&propagate_cusparse));
  m.impl("cusparse_plan_free", TORCH_BOX(&cusparse_plan_free));  // what is built, by key (ltgnn/_library.py)
}
// What a call gets, since no tensor among its arguments says which backend.
STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, CompositeExplicitAutograd, m) {
  m.impl("cusparse_plan_free", TORCH_BOX(&cusparse_plan_free));
}

}  // namespace ltgnn
