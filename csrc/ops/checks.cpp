#include "ops/checks.h"

namespace ltgnn {

std::string shape_text(const Tensor& tensor) {
  std::ostringstream text;
  text << '[';
  for (int64_t i = 0; i < tensor.dim(); ++i) text << (i ? ", " : "") << tensor.size(i);
  text << ']';
  return text.str();
}

const char* dtype_name(ScalarType type) {
  switch (type) {
    case ScalarType::Float: return "float32";
    case ScalarType::Double: return "float64";
    case ScalarType::BFloat16: return "bfloat16";
    case ScalarType::Half: return "float16";
    case ScalarType::Short: return "int16";
    case ScalarType::Int: return "int32";
    case ScalarType::Long: return "int64";
    case ScalarType::Bool: return "bool";
    default: return "another dtype";
  }
}

DType dtype_code(const char* op, const char* name, const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float: return DType::kFloat32;
    case ScalarType::Double: return DType::kFloat64;
    default: fail_value(op, name, " must be float32 or float64, got ", dtype_name(tensor.scalar_type()));
  }
}

DType table_code(const char* op, const char* name, const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float: return DType::kFloat32;
    case ScalarType::Double: return DType::kFloat64;
    case ScalarType::BFloat16: return DType::kBFloat16;
    default:
      fail_value(op, name, " must be float32, float64 or bfloat16, got ", dtype_name(tensor.scalar_type()));
  }
}

DType storage_code(const char* op, const char* name, const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float: return DType::kFloat32;
    case ScalarType::Double: return DType::kFloat64;
    case ScalarType::BFloat16: return DType::kBFloat16;
    case ScalarType::Half: return DType::kFloat16;
    default:
      fail_value(op, name, " must be float32, float64, bfloat16 or float16, got ",
                 dtype_name(tensor.scalar_type()));
  }
}

void check_dim(const char* op, const char* name, const Tensor& tensor, int64_t dim, const char* meaning) {
  LTGNN_CHECK(op, tensor.dim() == dim, name, " must be ", dim, "-D ", meaning, ", got ", tensor.dim(), "-D ",
              shape_text(tensor));
}

void check_size(const char* op, const char* name, const Tensor& tensor, int64_t axis, int64_t expected) {
  LTGNN_CHECK(op, tensor.size(axis) == expected, name, " must have ", expected, " elements in axis ", axis,
              ", got shape ", shape_text(tensor));
}

void check_dtype(const char* op, const char* name, const Tensor& tensor, ScalarType expected) {
  LTGNN_CHECK(op, tensor.scalar_type() == expected, name, " must be ", dtype_name(expected), ", got ",
              dtype_name(tensor.scalar_type()));
}

void check_same_device(const char* op, const char* name, const Tensor& tensor, const Tensor& like,
                       const char* like_name) {
  const bool same = tensor.is_cpu() == like.is_cpu() && tensor.is_cuda() == like.is_cuda() &&
                    tensor.get_device_index() == like.get_device_index();
  LTGNN_CHECK(op, same, name, " and ", like_name, " must be on the same device, got ",
              tensor.is_cuda() ? "cuda:" : "cpu:", tensor.get_device_index(), " and ",
              like.is_cuda() ? "cuda:" : "cpu:", like.get_device_index());
}

Tensor with_unit_columns(const Tensor& tensor) {
  const bool usable = (tensor.size(1) <= 1 || tensor.stride(1) == 1) && tensor.stride(0) >= 0;
  return usable ? tensor : torch::stable::contiguous(tensor);
}

int64_t row_stride(const Tensor& tensor) { return tensor.size(0) > 1 ? tensor.stride(0) : 0; }

ScalarType accumulator_type(const Tensor& x) {
  return x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

const void* optional_vector(const char* op, const char* name, const OptionalTensor& vector, int64_t length,
                            ScalarType type, const Tensor& like, const char* like_name) {
  if (!vector) return nullptr;
  check_dim(op, name, *vector, 1, "");
  check_dtype(op, name, *vector, type);
  check_size(op, name, *vector, 0, length);
  check_same_device(op, name, *vector, like, like_name);
  LTGNN_CHECK(op, vector->is_contiguous(), name, " must be contiguous");
  return vector->const_data_ptr();
}

CsrView csr_view(const char* op, const Tensor& indptr, const Tensor& indices, int64_t num_cols) {
  check_dim(op, "indptr", indptr, 1, "[num_rows + 1]");
  check_dim(op, "indices", indices, 1, "[num_edges]");
  check_dtype(op, "indptr", indptr, ScalarType::Long);
  const ScalarType index_type = indices.scalar_type();
  LTGNN_CHECK(op, index_type == ScalarType::Int || index_type == ScalarType::Long,
              "indices must be int32 or int64, got ", dtype_name(index_type));
  LTGNN_CHECK(op, indptr.numel() >= 1, "indptr must have num_rows + 1 >= 1 elements, got 0");
  LTGNN_CHECK(op, indptr.is_contiguous(), "indptr must be contiguous");
  LTGNN_CHECK(op, indices.is_contiguous(), "indices must be contiguous");
  check_same_device(op, "indices", indices, indptr, "indptr");
  CsrView csr;
  csr.indptr = indptr.const_data_ptr<int64_t>();
  csr.indices = indices.const_data_ptr();
  csr.index_type = index_type == ScalarType::Int ? DType::kInt32 : DType::kInt64;
  csr.num_rows = indptr.numel() - 1;
  csr.num_cols = num_cols;
  csr.num_edges = indices.numel();
  if (indptr.is_cpu()) {
    LTGNN_CHECK(op, csr.indptr[0] == 0, "indptr[0] must be 0, got ", csr.indptr[0]);
    LTGNN_CHECK(op, csr.indptr[csr.num_rows] == csr.num_edges, "indptr[-1] must be the number of indices, ",
                csr.num_edges, ", got ", csr.indptr[csr.num_rows]);
  }
  return csr;
}

namespace {

const char* text_of(IdName name) {
  switch (name) {
    case IdName::kUsers: return "users";
    case IdName::kItems: return "items";
    case IdName::kNegatives: return "negatives";
    default: return "rows";
  }
}

}  // namespace

void fail_fault(const FaultRecord& f, const char* note) {
  switch (f.kind) {
    case FaultKind::kFirstPointer: fail_value(f.op, "indptr[0] must be 0, got ", f.value, note);
    case FaultKind::kLastPointer:
      fail_value(f.op, "indptr[-1] must be the number of indices, ", f.bound, ", got ", f.value, note);
    case FaultKind::kRowPointers:
      fail_value(f.op, "indptr must not decrease and must stay in [0, ", f.bound, "], got indptr[",
                 f.position, "] = ", f.value, " and indptr[", f.position + 1, "] = ", f.other, note);
    case FaultKind::kIndex:
      fail_index(f.op, "indices must be in [0, ", f.bound, "), got indices[", f.position, "] = ", f.value,
                 " in row ", f.other, note);
    case FaultKind::kRowRange:
      fail_value(f.op, "row_begin and degree must be a range of the ", f.bound, " indices, got row_begin[",
                 f.position, "] = ", f.value, " and degree[", f.position, "] = ", f.other, note);
    case FaultKind::kOrder:
      fail_value(f.op, "indices must be sorted in each row, got indices[", f.position, "] = ", f.value,
                 " after ", f.bound, " in row ", f.other, note);
    case FaultKind::kFanout:
      fail_value(f.op, "row_fanout must be in [0, fanout], got row_fanout[", f.position, "] = ", f.value,
                 " with fanout ", f.bound, note);
    case FaultKind::kId: break;
  }
  const char* name = text_of(f.name);
  fail_index(f.op, name, " must be in [0, ", f.bound, "), got ", name, "[", f.position, "] = ", f.value,
             note);
}

void check_fault(const char* op, const CsrView& csr, int64_t row) {
  if (row < 0) return;
  const int64_t begin = csr.indptr[row], end = csr.indptr[row + 1];
  FaultRecord fault{};
  fault.op = op;
  if (!valid_row(csr, row)) {
    fault.kind = FaultKind::kRowPointers;
    fault.position = row;
    fault.value = begin;
    fault.other = end;
    fault.bound = csr.num_edges;
    fail_fault(fault);
  }
  for (int64_t e = begin; e < end; ++e) {
    const int64_t c = csr.index_type == DType::kInt32 ? static_cast<const int32_t*>(csr.indices)[e]
                                                      : static_cast<const int64_t*>(csr.indices)[e];
    if (c >= 0 && c < csr.num_cols) continue;
    fault.kind = FaultKind::kIndex;
    fault.position = e;
    fault.value = c;
    fault.other = row;
    fault.bound = csr.num_cols;
    fail_fault(fault);
  }
  fail_value(op, "the graph was changed while it was in use (row ", row, ")");
}

}  // namespace ltgnn
