// Starts the CUDA kernels. No CUDA header, so that csrc/ops compiles without a toolkit's include folder.
//
// Every launcher returns at once: the work is queued on `stream` of the current device. A failure to queue it
// throws std::runtime_error. Out-of-range indices and unusable row pointers cannot be reported without
// waiting for the device: they are never followed, and what depends on them comes out as NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "kernels/edge_dot.h"
#include "kernels/propagate.h"

namespace ltgnn::cuda {

void propagate(const PropagateParams& params, void* stream);
void edge_dot(const EdgeDotParams& params, void* stream);

// out = scale A x + beta out, by cuSPARSE. Its kernels trust the matrix: it must be valid.
struct SpmmParams {
  const void* indptr = nullptr;   // [num_rows + 1], index_type
  const void* indices = nullptr;  // [num_edges], index_type
  const void* weight = nullptr;   // [num_edges], type
  const void* x = nullptr;        // [num_cols, dim], rows x_stride >= dim elements apart
  void* out = nullptr;            // [num_rows, dim], contiguous
  int64_t num_rows = 0, num_cols = 0, num_edges = 0;
  int64_t x_stride = 0;
  int64_t dim = 0;
  double scale = 1.0, beta = 0.0;
  DType index_type = DType::kInt32;
  DType type = DType::kFloat32;  // float32 or float64
  // Device memory that stays until the kernel has run; the caller owns it.
  void* (*workspace)(void* owner, size_t bytes) = nullptr;
  void* owner = nullptr;
};
void spmm(const SpmmParams& params, void* stream);

}  // namespace ltgnn::cuda
