// out = scale A x + beta out with cuSPARSE, for explicit values: the rival that propagate is measured
// against, and a second opinion on its results.
//
// The first product of a plan with a new shape asks for the workspace and lets cuSPARSE prepare itself
// (cusparseSpMM_preprocess); later ones only multiply. Bytes per edge: dim * sizeof(x) gathered + one index
// (4 or 8) + one value, of the type of x.
#include <cusparse.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/launch.cuh"
#include "cuda/spmm.h"
#include "emu/bugs.h"

namespace ltgnn::cuda {
namespace {

// The only algorithm for CSR that NVIDIA documents as giving the same bits on every run; one of the two that
// preparation makes faster.
constexpr cusparseSpMMAlg_t kAlgorithm = CUSPARSE_SPMM_CSR_ALG3;
constexpr cusparseOperation_t kPlain = CUSPARSE_OPERATION_NON_TRANSPOSE;

void check_cusparse(cusparseStatus_t status) {
  if (status != CUSPARSE_STATUS_SUCCESS)
    throw std::runtime_error(std::string("propagate_cusparse: cuSPARSE reported ") +
                             cusparseGetErrorString(status));
}

// One handle for each thread and device. They are not destroyed: at exit the driver may be gone before them.
cusparseHandle_t handle_for_current_device() {
  thread_local std::vector<cusparseHandle_t> handles;
  int device = 0;
  check("propagate_cusparse", cudaGetDevice(&device));
  const auto slot = static_cast<size_t>(device);
  if (handles.size() <= slot) handles.resize(slot + 1, nullptr);
  if (handles[slot] == nullptr) check_cusparse(cusparseCreate(&handles[slot]));
  return handles[slot];
}

struct Destroy {
  void operator()(const cusparseSpMatDescr* matrix) const { cusparseDestroySpMat(matrix); }
  void operator()(const cusparseDnMatDescr* matrix) const { cusparseDestroyDnMat(matrix); }
};
using SparseMatrix = std::unique_ptr<const cusparseSpMatDescr, Destroy>;
using DenseMatrix = std::unique_ptr<const cusparseDnMatDescr, Destroy>;

cudaDataType data_type(DType type) {
  switch (type) {
    case DType::kFloat64: return CUDA_R_64F;
    case DType::kFloat16: return CUDA_R_16F;
    case DType::kBFloat16: return CUDA_R_16BF;
    default: return CUDA_R_32F;
  }
}

SparseMatrix sparse_matrix(const SpmmMatrix& m) {
  const auto index = m.index_type == DType::kInt32 ? CUSPARSE_INDEX_32I : CUSPARSE_INDEX_64I;
  cusparseConstSpMatDescr_t made = nullptr;
  check_cusparse(cusparseCreateConstCsr(&made, m.num_rows, m.num_cols, m.num_edges, m.indptr, m.indices,
                                        m.weight, index, index, CUSPARSE_INDEX_BASE_ZERO, data_type(m.type)));
  return SparseMatrix(made);
}

// One product, ready to be asked about, prepared and run.
class Product {
 public:
  Product(const SpmmParams& p, const SpmmMatrix& m, const cusparseSpMatDescr* a, void* stream)
      : handle_(handle_for_current_device()), a_(a), double_(m.type == DType::kFloat64) {
    check_cusparse(cusparseSetStream(handle_, static_cast<cudaStream_t>(stream)));
    const cudaDataType type = data_type(m.type);
    cusparseConstDnMatDescr_t x = nullptr;
    check_cusparse(
        cusparseCreateConstDnMat(&x, m.num_cols, p.dim, p.x_stride, p.x, type, CUSPARSE_ORDER_ROW));
    x_.reset(x);
    check_cusparse(cusparseCreateDnMat(&out_, m.num_rows, p.dim, p.dim, p.out, type, CUSPARSE_ORDER_ROW));
    out_owner_.reset(out_);
    scale64_ = p.scale;
    beta64_ = p.beta;
    scale32_ = static_cast<float>(p.scale);
    beta32_ = static_cast<float>(p.beta);
  }

  size_t workspace_bytes() const {
    size_t bytes = 0;
    check_cusparse(cusparseSpMM_bufferSize(handle_, kPlain, kPlain, scale(), a_, x_.get(), beta(), out_,
                                           compute(), kAlgorithm, &bytes));
    return bytes;
  }
  void prepare(void* workspace) const {
    check_cusparse(cusparseSpMM_preprocess(handle_, kPlain, kPlain, scale(), a_, x_.get(), beta(), out_,
                                           compute(), kAlgorithm, workspace));
  }
  void run(void* workspace) const {
    check_cusparse(cusparseSpMM(handle_, kPlain, kPlain, scale(), a_, x_.get(), beta(), out_, compute(),
                                kAlgorithm, workspace));
  }

 private:
  const void* scale() const { return double_ ? static_cast<const void*>(&scale64_) : &scale32_; }
  const void* beta() const { return double_ ? static_cast<const void*>(&beta64_) : &beta32_; }
  cudaDataType compute() const { return double_ ? CUDA_R_64F : CUDA_R_32F; }

  cusparseHandle_t handle_;
  const cusparseSpMatDescr* a_;
  bool double_;
  DenseMatrix x_, out_owner_;
  cusparseDnMatDescr_t out_ = nullptr;
  double scale64_, beta64_;
  float scale32_, beta32_;
};

bool is_capturing(void* stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check("propagate_cusparse", cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &status));
  return status != cudaStreamCaptureStatusNone;
}

// What cuSPARSE remembers for one shape of x. A stream of its own too: two streams must not share a
// workspace.
struct Prepared {
  int64_t dim, x_stride;
  void* stream;
  SparseMatrix matrix;
  std::shared_ptr<void> workspace;
};

}  // namespace

class SpmmPlan {
 public:
  explicit SpmmPlan(const SpmmMatrix& matrix) : matrix_(matrix) {}

  size_t size() const {
    const std::lock_guard lock(mutex_);
    return prepared_.size();
  }

  // The lock is held while the product is queued: cuSPARSE's descriptors are not for two threads at once.
  void run(const SpmmParams& p, const Launch& at) {
    const std::lock_guard lock(mutex_);
    auto found = std::find_if(prepared_.begin(), prepared_.end(), [&](const Prepared& known) {
      return known.dim == p.dim && known.x_stride == p.x_stride && known.stream == at.stream;
    });
    if (found == prepared_.end()) {
      if (is_capturing(at.stream)) {  // preparation would run in replays only
        run_once(p, at);
        return;
      }
      if (prepared_.size() >= kMaxPrepared) prepared_.erase(prepared_.begin());
      Prepared made{p.dim, p.x_stride, at.stream, sparse_matrix(matrix_), nullptr};
      const Product product(p, matrix_, made.matrix.get(), at.stream);
      made.workspace = p.keep(p.owner, std::max<size_t>(product.workspace_bytes(), 1));
      product.prepare(made.workspace.get());
      prepared_.push_back(std::move(made));
      found = prepared_.end() - 1;
    } else {
      std::rotate(found, found + 1, prepared_.end());  // the last used last
      found = prepared_.end() - 1;
    }
    const Product product(p, matrix_, found->matrix.get(), at.stream);
    product.run(LTGNN_PLANTED(cusparse_other_buffer) ? at.scratch(product.workspace_bytes())
                                                     : found->workspace.get());
  }

 private:
  void run_once(const SpmmParams& p, const Launch& at) {
    SpmmParams alone = p;
    alone.plan = nullptr;
    alone.matrix = matrix_;
    spmm(alone, at);
  }

  const SpmmMatrix matrix_;
  mutable std::mutex mutex_;
  std::vector<Prepared> prepared_;  // the one used last is last
};

std::shared_ptr<SpmmPlan> make_spmm_plan(const SpmmMatrix& matrix) {
  return std::make_shared<SpmmPlan>(matrix);
}
size_t num_prepared(const SpmmPlan& plan) { return plan.size(); }

void spmm(const SpmmParams& params, const Launch& at) {
  if (params.plan != nullptr) {
    params.plan->run(params, at);
    return;
  }
  const SparseMatrix a = sparse_matrix(params.matrix);
  const Product product(params, params.matrix, a.get(), at.stream);
  product.run(at.scratch(std::max<size_t>(product.workspace_bytes(), 1)));
}

}  // namespace ltgnn::cuda
