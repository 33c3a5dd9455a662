// out = scale A x + beta out by cuSPARSE, and the plan that it makes for a matrix once. Plain C++:
// cuda/kernels.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/csr.h"
#include "core/dtype.h"

namespace ltgnn::cuda {

struct Launch;

// The matrix. cuSPARSE trusts it: check_csr must have passed.
struct SpmmMatrix {
  const void* indptr = nullptr;   // [num_rows + 1], index_type
  const void* indices = nullptr;  // [num_edges], index_type
  const void* weight = nullptr;   // [num_edges], type
  int64_t num_rows = 0, num_cols = 0, num_edges = 0;
  DType index_type = DType::kInt32;
  DType type = DType::kFloat32;  // of weight, x and out; products of 16-bit types are summed in float32
};

// What cuSPARSE has prepared for products with one matrix: for each dim, row stride and stream that came up,
// a descriptor of its own with a workspace of its own, since a descriptor has one active workspace and
// cuSPARSE wants the same shapes again. Safe to use from several threads; the memory of the matrix must
// outlive it.
class SpmmPlan;
std::shared_ptr<SpmmPlan> make_spmm_plan(const SpmmMatrix& matrix);
// How many shapes are prepared now.
size_t num_prepared(const SpmmPlan& plan);
// More than so many are not kept: the one that was longest unused goes.
constexpr size_t kMaxPrepared = 8;

struct SpmmParams {
  SpmmMatrix matrix;         // where there is no plan
  SpmmPlan* plan = nullptr;  // or null: one product without preparation
  const void* x = nullptr;   // [num_cols, dim], rows x_stride >= dim elements apart
  void* out = nullptr;       // [num_rows, dim], contiguous
  int64_t x_stride = 0, dim = 0;
  double scale = 1.0, beta = 0.0;
  // Memory for the plan, on the device and stream of the launch, until the pointer is let go.
  std::shared_ptr<void> (*keep)(void* owner, size_t bytes) = nullptr;
  void* owner = nullptr;
};
void spmm(const SpmmParams& params, const Launch& at);

// Looks at every row pointer and index, and reports what is wrong. Refuses to be captured into a CUDA graph,
// since the caller must wait for the answer.
void check_csr(const CsrView& csr, const Launch& at);

}  // namespace ltgnn::cuda
