// Stands in for NVIDIA's <cusparse.h> when csrc/cuda is compiled by a C++ compiler: the functions that
// cusparse_spmm.cu uses, as plain loops, and stricter than the library about what its documentation asks for.
// An error is a descriptor that was destroyed, a workspace that is not the one prepared for the matrix, a
// product whose shape is not the one prepared, and a workspace whose content somebody changed.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>

#include "core/scalar.h"

enum cudaDataType { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
enum cusparseStatus_t {
  CUSPARSE_STATUS_SUCCESS = 0,
  CUSPARSE_STATUS_INVALID_VALUE = 3,
  CUSPARSE_STATUS_EXECUTION_FAILED = 6,
  CUSPARSE_STATUS_NOT_SUPPORTED = 10,
};
enum cusparseSpMMAlg_t { CUSPARSE_SPMM_CSR_ALG3 = 12 };
enum cusparseOperation_t { CUSPARSE_OPERATION_NON_TRANSPOSE = 0 };
enum cusparseIndexType_t { CUSPARSE_INDEX_32I = 2, CUSPARSE_INDEX_64I = 3 };
enum cusparseIndexBase_t { CUSPARSE_INDEX_BASE_ZERO = 0 };
enum cusparseOrder_t { CUSPARSE_ORDER_ROW = 2 };

struct cusparseContext {
  cudaStream_t stream = nullptr;
};
struct cusparseSpMatDescr {
  int64_t rows, cols, edges;
  const void *indptr, *indices, *values;
  cusparseIndexType_t index;
  cudaDataType type;
  // What cusparseSpMM_preprocess left: the workspace, and the product that it is for.
  mutable void* active = nullptr;
  mutable int64_t dim = 0, x_stride = 0, out_stride = 0;
};
struct cusparseDnMatDescr {
  int64_t rows, cols, stride;
  const void* values;
  cudaDataType type;
};
using cusparseHandle_t = cusparseContext*;
using cusparseSpMatDescr_t = cusparseSpMatDescr*;
using cusparseConstSpMatDescr_t = const cusparseSpMatDescr*;
using cusparseDnMatDescr_t = cusparseDnMatDescr*;
using cusparseConstDnMatDescr_t = const cusparseDnMatDescr*;

namespace ltgnn::emu {

constexpr size_t kSpmmWorkspace = 48;  // bytes, all of them in use
constexpr unsigned char kPreparedByte = 0x5A, kScratchByte = 0xA5;

// The descriptors that are alive, of all threads.
inline bool count_descriptor(const void* descriptor, int change) {
  static std::mutex mutex;
  static std::set<const void*> alive;
  const std::lock_guard lock(mutex);
  if (change > 0) return alive.insert(descriptor).second;
  if (change < 0) return alive.erase(descriptor) == 1;
  return alive.count(descriptor) == 1;
}
inline bool is_alive(const void* descriptor) { return count_descriptor(descriptor, 0); }

inline double value_at(const void* values, cudaDataType type, int64_t at) {
  switch (type) {
    case CUDA_R_64F: return static_cast<const double*>(values)[at];
    case CUDA_R_16F: return static_cast<double>(to_float(static_cast<const Float16*>(values)[at]));
    case CUDA_R_16BF: return static_cast<double>(to_float(static_cast<const BFloat16*>(values)[at]));
    default: return static_cast<double>(static_cast<const float*>(values)[at]);
  }
}
inline void set_value(void* values, cudaDataType type, int64_t at, double x) {
  switch (type) {
    case CUDA_R_64F: static_cast<double*>(values)[at] = x; break;
    case CUDA_R_16F: static_cast<Float16*>(values)[at] = to_float16(static_cast<float>(x)); break;
    case CUDA_R_16BF: static_cast<BFloat16*>(values)[at] = to_bfloat16(static_cast<float>(x)); break;
    default: static_cast<float*>(values)[at] = static_cast<float>(x);
  }
}
inline int64_t index_at(const void* indices, cusparseIndexType_t type, int64_t at) {
  return type == CUSPARSE_INDEX_32I ? static_cast<const int32_t*>(indices)[at]
                                    : static_cast<const int64_t*>(indices)[at];
}

// C = alpha A B + beta C, summed in Acc, as the compute type says.
template <class Acc>
void spmm(double alpha, const cusparseSpMatDescr& a, const cusparseDnMatDescr& b, double beta,
          const cusparseDnMatDescr& c) {
  auto* out = const_cast<void*>(c.values);
  for (int64_t row = 0; row < a.rows; ++row) {
    const int64_t begin = index_at(a.indptr, a.index, row), end = index_at(a.indptr, a.index, row + 1);
    for (int64_t column = 0; column < b.cols; ++column) {
      Acc sum = 0;
      for (int64_t e = begin; e < end; ++e)
        sum +=
            static_cast<Acc>(value_at(a.values, a.type, e)) *
            static_cast<Acc>(value_at(b.values, b.type, index_at(a.indices, a.index, e) * b.stride + column));
      const int64_t at = row * c.stride + column;
      const Acc before =
          beta == 0.0 ? Acc(0) : static_cast<Acc>(beta) * static_cast<Acc>(value_at(out, c.type, at));
      set_value(out, c.type, at, static_cast<double>(static_cast<Acc>(alpha) * sum + before));
    }
  }
}

inline cusparseStatus_t check_spmm(const cusparseSpMatDescr* a, const cusparseDnMatDescr* b,
                                   const cusparseDnMatDescr* c, cudaDataType compute) {
  if (!is_alive(a) || !is_alive(b) || !is_alive(c)) return CUSPARSE_STATUS_INVALID_VALUE;
  if (a->type != b->type || a->type != c->type) return CUSPARSE_STATUS_NOT_SUPPORTED;
  if (compute != (a->type == CUDA_R_64F ? CUDA_R_64F : CUDA_R_32F)) return CUSPARSE_STATUS_NOT_SUPPORTED;
  const bool fits = a->cols == b->rows && a->rows == c->rows && b->cols == c->cols;
  return fits ? CUSPARSE_STATUS_SUCCESS : CUSPARSE_STATUS_INVALID_VALUE;
}

}  // namespace ltgnn::emu

inline const char* cusparseGetErrorString(cusparseStatus_t status) {
  switch (status) {
    case CUSPARSE_STATUS_SUCCESS: return "success";
    case CUSPARSE_STATUS_INVALID_VALUE: return "invalid value";
    case CUSPARSE_STATUS_NOT_SUPPORTED: return "operation not supported";
    default: return "execution failed";
  }
}
inline cusparseStatus_t cusparseCreate(cusparseHandle_t* handle) {
  static thread_local cusparseContext context;
  *handle = &context;
  return CUSPARSE_STATUS_SUCCESS;
}
inline cusparseStatus_t cusparseSetStream(cusparseHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUSPARSE_STATUS_SUCCESS;
}

inline cusparseStatus_t cusparseCreateConstCsr(cusparseConstSpMatDescr_t* made, int64_t rows, int64_t cols,
                                               int64_t edges, const void* indptr, const void* indices,
                                               const void* values, cusparseIndexType_t indptr_type,
                                               cusparseIndexType_t index_type, cusparseIndexBase_t,
                                               cudaDataType type) {
  if (rows < 0 || cols < 0 || edges < 0 || indptr == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  if (edges > 0 && (indices == nullptr || values == nullptr)) return CUSPARSE_STATUS_INVALID_VALUE;
  if (indptr_type != index_type) return CUSPARSE_STATUS_NOT_SUPPORTED;
  *made = new cusparseSpMatDescr{rows, cols, edges, indptr, indices, values, index_type, type};
  ltgnn::emu::count_descriptor(*made, 1);
  return CUSPARSE_STATUS_SUCCESS;
}
inline cusparseStatus_t cusparseDestroySpMat(cusparseConstSpMatDescr_t matrix) {
  if (!ltgnn::emu::count_descriptor(matrix, -1)) return CUSPARSE_STATUS_INVALID_VALUE;
  delete matrix;
  return CUSPARSE_STATUS_SUCCESS;
}
inline cusparseStatus_t cusparseCreateDnMat(cusparseDnMatDescr_t* made, int64_t rows, int64_t cols,
                                            int64_t stride, const void* values, cudaDataType type,
                                            cusparseOrder_t) {
  if (rows < 0 || cols < 0 || stride < cols || values == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  *made = new cusparseDnMatDescr{rows, cols, stride, values, type};
  ltgnn::emu::count_descriptor(*made, 1);
  return CUSPARSE_STATUS_SUCCESS;
}
inline cusparseStatus_t cusparseCreateConstDnMat(cusparseConstDnMatDescr_t* made, int64_t rows, int64_t cols,
                                                 int64_t stride, const void* values, cudaDataType type,
                                                 cusparseOrder_t order) {
  cusparseDnMatDescr_t changeable = nullptr;
  const cusparseStatus_t status = cusparseCreateDnMat(&changeable, rows, cols, stride, values, type, order);
  *made = changeable;
  return status;
}
inline cusparseStatus_t cusparseDestroyDnMat(cusparseConstDnMatDescr_t matrix) {
  if (!ltgnn::emu::count_descriptor(matrix, -1)) return CUSPARSE_STATUS_INVALID_VALUE;
  delete matrix;
  return CUSPARSE_STATUS_SUCCESS;
}

inline cusparseStatus_t cusparseSpMM_bufferSize(cusparseHandle_t, cusparseOperation_t, cusparseOperation_t,
                                                const void*, cusparseConstSpMatDescr_t a,
                                                cusparseConstDnMatDescr_t b, const void*,
                                                cusparseDnMatDescr_t c, cudaDataType compute,
                                                cusparseSpMMAlg_t, size_t* bytes) {
  *bytes = ltgnn::emu::kSpmmWorkspace;
  return ltgnn::emu::check_spmm(a, b, c, compute);
}

inline cusparseStatus_t cusparseSpMM_preprocess(cusparseHandle_t, cusparseOperation_t, cusparseOperation_t,
                                                const void*, cusparseConstSpMatDescr_t a,
                                                cusparseConstDnMatDescr_t b, const void*,
                                                cusparseDnMatDescr_t c, cudaDataType compute,
                                                cusparseSpMMAlg_t, void* workspace) {
  const cusparseStatus_t status = ltgnn::emu::check_spmm(a, b, c, compute);
  if (status != CUSPARSE_STATUS_SUCCESS) return status;
  if (workspace == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  std::memset(workspace, ltgnn::emu::kPreparedByte, ltgnn::emu::kSpmmWorkspace);
  a->active = workspace;
  a->dim = b->cols;
  a->x_stride = b->stride;
  a->out_stride = c->stride;
  return CUSPARSE_STATUS_SUCCESS;
}

inline cusparseStatus_t cusparseSpMM(cusparseHandle_t, cusparseOperation_t, cusparseOperation_t,
                                     const void* alpha, cusparseConstSpMatDescr_t a,
                                     cusparseConstDnMatDescr_t b, const void* beta, cusparseDnMatDescr_t c,
                                     cudaDataType compute, cusparseSpMMAlg_t, void* workspace) {
  using namespace ltgnn::emu;
  const cusparseStatus_t status = check_spmm(a, b, c, compute);
  if (status != CUSPARSE_STATUS_SUCCESS) return status;
  if (workspace == nullptr) return CUSPARSE_STATUS_INVALID_VALUE;
  auto* bytes = static_cast<unsigned char*>(workspace);
  if (a->active != nullptr) {
    if (workspace != a->active) return CUSPARSE_STATUS_INVALID_VALUE;
    if (a->dim != b->cols || a->x_stride != b->stride || a->out_stride != c->stride)
      return CUSPARSE_STATUS_INVALID_VALUE;
    for (size_t i = 0; i < kSpmmWorkspace; ++i)
      if (bytes[i] != kPreparedByte) return CUSPARSE_STATUS_EXECUTION_FAILED;
  } else {
    std::memset(workspace, kScratchByte, kSpmmWorkspace);
  }
  if (compute == CUDA_R_64F)
    spmm<double>(*static_cast<const double*>(alpha), *a, *b, *static_cast<const double*>(beta), *c);
  else
    spmm<float>(static_cast<double>(*static_cast<const float*>(alpha)), *a, *b,
                static_cast<double>(*static_cast<const float*>(beta)), *c);
  return CUSPARSE_STATUS_SUCCESS;
}
