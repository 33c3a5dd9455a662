// Checks shared by the operators that score queries against items.
#pragma once

#include "ops/checks.h"

namespace ltgnn {

// Two contiguous tables of one type, dim and device; returns the type.
inline DType check_embeddings(const char* op, const Tensor& queries, const Tensor& items) {
  check_dim(op, "queries", queries, 2, "[num_queries, dim]");
  const DType type = dtype_code(op, "queries", queries);
  LTGNN_CHECK(op, type != DType::kBFloat16, "queries must be float32 or float64, got bfloat16");
  LTGNN_CHECK(op, queries.is_contiguous(), "queries must be contiguous");
  check_dim(op, "items", items, 2, "[num_items, dim]");
  check_dtype(op, "items", items, queries.scalar_type());
  check_same_device(op, "items", items, queries, "queries");
  check_size(op, "items", items, 1, queries.size(1));
  LTGNN_CHECK(op, items.is_contiguous(), "items must be contiguous");
  return type;
}

}  // namespace ltgnn
