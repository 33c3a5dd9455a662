// out = scale A x + beta out with cuSPARSE, for explicit values: the rival that propagate is measured
// against, and a second opinion on its results.
//
// Bytes per edge: dim * sizeof(x) gathered + one index (4 or 8) + one value.
#include <cusparse.h>

#include <memory>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/launch.cuh"

namespace ltgnn::cuda {
namespace {

// The only algorithm for CSR that NVIDIA documents as giving the same bits on every run.
constexpr cusparseSpMMAlg_t kAlgorithm = CUSPARSE_SPMM_CSR_ALG3;

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

using SparseMatrix =
    std::unique_ptr<const cusparseSpMatDescr, decltype([](auto* p) { cusparseDestroySpMat(p); })>;
using DenseMatrix =
    std::unique_ptr<const cusparseDnMatDescr, decltype([](auto* p) { cusparseDestroyDnMat(p); })>;

SparseMatrix sparse_matrix(const SpmmParams& p, cudaDataType type) {
  const auto index = p.index_type == DType::kInt32 ? CUSPARSE_INDEX_32I : CUSPARSE_INDEX_64I;
  cusparseConstSpMatDescr_t matrix = nullptr;
  check_cusparse(cusparseCreateConstCsr(&matrix, p.num_rows, p.num_cols, p.num_edges, p.indptr, p.indices,
                                        p.weight, index, index, CUSPARSE_INDEX_BASE_ZERO, type));
  return SparseMatrix(matrix);
}

template <class Scalar>
void run(const SpmmParams& p, cudaDataType type, const Launch& at) {
  const cusparseHandle_t handle = handle_for_current_device();
  check_cusparse(cusparseSetStream(handle, static_cast<cudaStream_t>(at.stream)));
  const SparseMatrix a = sparse_matrix(p, type);
  cusparseConstDnMatDescr_t x_matrix = nullptr;
  check_cusparse(
      cusparseCreateConstDnMat(&x_matrix, p.num_cols, p.dim, p.x_stride, p.x, type, CUSPARSE_ORDER_ROW));
  const DenseMatrix x(x_matrix);
  cusparseDnMatDescr_t out = nullptr;
  check_cusparse(cusparseCreateDnMat(&out, p.num_rows, p.dim, p.dim, p.out, type, CUSPARSE_ORDER_ROW));
  const DenseMatrix out_owner(out);
  const Scalar scale = static_cast<Scalar>(p.scale), beta = static_cast<Scalar>(p.beta);
  constexpr auto kPlain = CUSPARSE_OPERATION_NON_TRANSPOSE;
  size_t bytes = 0;
  check_cusparse(cusparseSpMM_bufferSize(handle, kPlain, kPlain, &scale, a.get(), x.get(), &beta, out, type,
                                         kAlgorithm, &bytes));
  void* workspace = at.scratch(bytes);
  check_cusparse(cusparseSpMM(handle, kPlain, kPlain, &scale, a.get(), x.get(), &beta, out, type, kAlgorithm,
                              workspace));
}

}  // namespace

void spmm(const SpmmParams& params, const Launch& at) {
  if (params.num_rows == 0 || params.dim == 0) return;
  if (params.type == DType::kFloat64)
    run<double>(params, CUDA_R_64F, at);
  else
    run<float>(params, CUDA_R_32F, at);
}

}  // namespace ltgnn::cuda
