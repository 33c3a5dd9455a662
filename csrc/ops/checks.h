// Checks that every operator's front door uses, compiled for every backend, so that an error reads the
// same on each. They throw standard exceptions that arrive in Python as ValueError, TypeError-like
// ValueError and IndexError.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>

#include "core/csr.h"
#include "core/dtype.h"
#include "core/fault.h"
#include "core/parallel.h"

namespace ltgnn {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;

// `LTGNN_CHECK(op, condition, "x must be ..., got ", value)` -> ValueError "op: x must be ..., got value".
template <class... Args>
[[noreturn]] void fail_value(const char* op, const Args&... args) {
  std::ostringstream message;
  message << op << ": ";
  (message << ... << args);
  throw std::invalid_argument(message.str());
}
template <class... Args>
[[noreturn]] void fail_index(const char* op, const Args&... args) {
  std::ostringstream message;
  message << op << ": ";
  (message << ... << args);
  throw std::out_of_range(message.str());
}
#define LTGNN_CHECK(op, condition, ...)                     \
  do {                                                      \
    if (!(condition)) ::ltgnn::fail_value(op, __VA_ARGS__); \
  } while (0)

std::string shape_text(const Tensor& tensor);  // "[3, 64]"
const char* dtype_name(ScalarType type);       // "float32"

// The element type as kernels know it; ValueError for all but float32 and float64.
DType dtype_code(const char* op, const char* name, const Tensor& tensor);
// The same for trained tables and those beside them: also bfloat16.
DType table_code(const char* op, const char* name, const Tensor& tensor);
// The same for operators that also take 16-bit tables (and sum them in float32).
DType storage_code(const char* op, const char* name, const Tensor& tensor);

void check_dim(const char* op, const char* name, const Tensor& tensor, int64_t dim, const char* meaning);
void check_size(const char* op, const char* name, const Tensor& tensor, int64_t axis, int64_t expected);
void check_dtype(const char* op, const char* name, const Tensor& tensor, ScalarType expected);
void check_same_device(const char* op, const char* name, const Tensor& tensor, const Tensor& like,
                       const char* like_name);

// [rows, dim] with neighbouring columns (stride 1) and any row stride that is not negative.
Tensor with_unit_columns(const Tensor& tensor);
int64_t row_stride(const Tensor& tensor);

// float64 for float64 data, else float32: what weights, scales and sums are held in.
ScalarType accumulator_type(const Tensor& x);

// A contiguous vector of `length` elements of type `type`, or null.
const void* optional_vector(const char* op, const char* name, const OptionalTensor& vector, int64_t length,
                            ScalarType type, const Tensor& like, const char* like_name);

// Checks shapes, dtypes and the ends of indptr. What each row and edge holds is checked by the kernel as
// it goes (CPU), or was checked when the graph was made.
CsrView csr_view(const char* op, const Tensor& indptr, const Tensor& indices, int64_t num_cols);

// Raises what a kernel found, in the same words on every backend; `note` ends the message.
[[noreturn]] void fail_fault(const FaultRecord& fault, const char* note = "");

// Raises for the row that a CPU kernel reported (see cpu/kernels.h); returns for -1.
void check_fault(const char* op, const CsrView& csr, int64_t row);

}  // namespace ltgnn
