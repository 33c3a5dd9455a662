#include "ops/sampling_checks.h"

namespace ltgnn {

void check_table(const char* op, const char* name, const Tensor& table, int64_t num_rows, const Tensor& x,
                 const char* x_name) {
  check_dim(op, name, table, 2, "[num_nodes, dim]");
  check_dtype(op, name, table, x.scalar_type());
  check_table_shape(op, name, table, num_rows, x, x_name);
}

bool goes_with(const Tensor& e0, const Tensor& other) {
  return e0.scalar_type() == other.scalar_type() ||
         (e0.scalar_type() == ScalarType::Float && other.scalar_type() == ScalarType::BFloat16);
}

void check_table_shape(const char* op, const char* name, const Tensor& table, int64_t num_rows,
                       const Tensor& x, const char* x_name) {
  check_dim(op, name, table, 2, "[num_nodes, dim]");
  check_size(op, name, table, 0, num_rows);
  check_size(op, name, table, 1, x.size(1));
  check_same_device(op, name, table, x, x_name);
  LTGNN_CHECK(op, table.is_contiguous(), name, " must be contiguous");
}

const void* optional_table(const char* op, const char* name, const OptionalTensor& table, int64_t num_rows,
                           const Tensor& x, const char* x_name) {
  if (!table) return nullptr;
  check_table(op, name, *table, num_rows, x, x_name);
  return table->const_data_ptr();
}

const int64_t* id_vector(const char* op, const char* name, const Tensor& ids, const Tensor& x,
                         const char* x_name) {
  check_dim(op, name, ids, 1, "");
  check_dtype(op, name, ids, ScalarType::Long);
  check_same_device(op, name, ids, x, x_name);
  LTGNN_CHECK(op, ids.is_contiguous(), name, " must be contiguous");
  return ids.const_data_ptr<int64_t>();
}

SampleAggregateParams sampling_settings(const char* op, const Tensor& indptr, const Tensor& indices,
                                        const OptionalTensor& row_scale, const OptionalTensor& col_scale,
                                        const Tensor& x, int64_t fanout, int64_t seed, bool self_loops,
                                        const OptionalTensor& row_fanout, const OptionalTensor& edge_starts,
                                        bool takes_bfloat16, const char* x_name) {
  check_dim(op, x_name, x, 2, "[num_cols, dim]");
  SampleAggregateParams p;
  p.csr = csr_view(op, indptr, indices, x.size(0));
  check_same_device(op, x_name, x, indptr, "indptr");
  p.type = takes_bfloat16 ? table_code(op, x_name, x) : dtype_code(op, x_name, x);
  LTGNN_CHECK(op, x.is_contiguous(), x_name, " must be contiguous");
  LTGNN_CHECK(op, fanout >= 0 && fanout <= kMaxFanout, "fanout must be in [0, ", kMaxFanout, "], got ",
              fanout);
  LTGNN_CHECK(op, !self_loops || p.csr.num_rows == p.csr.num_cols, "self_loops needs a square graph, got ",
              p.csr.num_rows, " rows and ", p.csr.num_cols, " columns");
  p.row_scale = optional_vector(op, "row_scale", row_scale, p.csr.num_rows, accumulator_type(x), x, x_name);
  p.col_scale = optional_vector(op, "col_scale", col_scale, p.csr.num_cols, accumulator_type(x), x, x_name);
  p.x = x.const_data_ptr();
  p.dim = x.size(1);
  p.fanout = static_cast<int>(fanout);
  p.seed = static_cast<uint64_t>(seed);
  p.self_loops = self_loops;
  p.row_fanout = row_fanout_of(op, row_fanout, p.csr, x, x_name);
  p.edge_starts = edge_starts_of(op, edge_starts, p.csr, x, x_name);
  return p;
}

SampleAggregateParams sampling_params(const char* op, const Tensor& indptr, const Tensor& indices,
                                      const OptionalTensor& row_scale, const OptionalTensor& col_scale,
                                      const Tensor& rows, const Tensor& x, int64_t fanout, int64_t seed,
                                      bool self_loops, const OptionalTensor& row_fanout,
                                      const OptionalTensor& edge_starts, bool takes_bfloat16,
                                      const char* x_name) {
  SampleAggregateParams p = sampling_settings(op, indptr, indices, row_scale, col_scale, x, fanout, seed,
                                              self_loops, row_fanout, edge_starts, takes_bfloat16, x_name);
  p.rows = id_vector(op, "rows", rows, x, x_name);
  p.num_targets = rows.numel();
  return p;
}

const int16_t* row_fanout_of(const char* op, const OptionalTensor& row_fanout, const CsrView& csr,
                             const Tensor& like, const char* like_name) {
  return static_cast<const int16_t*>(
      optional_vector(op, "row_fanout", row_fanout, csr.num_rows, ScalarType::Short, like, like_name));
}

const int32_t* edge_starts_of(const char* op, const OptionalTensor& edge_starts, const CsrView& csr,
                              const Tensor& like, const char* like_name) {
  return static_cast<const int32_t*>(
      optional_vector(op, "edge_starts", edge_starts, csr.num_edges, ScalarType::Int, like, like_name));
}

void check_target_fault(const char* op, const CsrView& csr, const int64_t* ids, const char* name,
                        int64_t position) {
  if (position < 0) return;
  const int64_t row = ids[position];
  if (row < 0 || row >= csr.num_rows)
    fail_index(op, name, " must be in [0, ", csr.num_rows, "), got ", name, "[", position, "] = ", row);
  check_fault(op, csr, row);
}

}  // namespace ltgnn
