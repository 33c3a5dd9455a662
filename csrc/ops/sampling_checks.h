// Checks shared by the operators that sample neighbours of target rows.
#pragma once

#include "kernels/sample_aggregate.h"
#include "ops/checks.h"

namespace ltgnn {

// The parameters that all of them have, but for the target rows. Scales are of the sums' type; messages call
// x `x_name`.
SampleAggregateParams sampling_settings(const char* op, const Tensor& indptr, const Tensor& indices,
                                        const OptionalTensor& row_scale, const OptionalTensor& col_scale,
                                        const Tensor& x, int64_t fanout, int64_t seed, bool self_loops,
                                        const OptionalTensor& row_fanout, const OptionalTensor& edge_starts,
                                        bool takes_bfloat16 = false, const char* x_name = "x");

// With them. x is the [num_cols, dim] table whose dtype the others follow.
SampleAggregateParams sampling_params(const char* op, const Tensor& indptr, const Tensor& indices,
                                      const OptionalTensor& row_scale, const OptionalTensor& col_scale,
                                      const Tensor& rows, const Tensor& x, int64_t fanout, int64_t seed,
                                      bool self_loops, const OptionalTensor& row_fanout,
                                      const OptionalTensor& edge_starts, bool takes_bfloat16 = false,
                                      const char* x_name = "x");

// row_fanout [num_rows] int16 and edge_starts [num_edges] int32, or null.
const int16_t* row_fanout_of(const char* op, const OptionalTensor& row_fanout, const CsrView& csr,
                             const Tensor& like, const char* like_name = "x");
const int32_t* edge_starts_of(const char* op, const OptionalTensor& edge_starts, const CsrView& csr,
                              const Tensor& like, const char* like_name = "x");

// A contiguous [num_rows, dim] table of x's dtype, dim and device; messages call x `x_name`.
void check_table(const char* op, const char* name, const Tensor& table, int64_t num_rows, const Tensor& x,
                 const char* x_name = "x");
// The same but for the dtype.
void check_table_shape(const char* op, const char* name, const Tensor& table, int64_t num_rows,
                       const Tensor& x, const char* x_name = "x");
// `other` may stand beside the embeddings e0: it has their dtype, or is bfloat16 where they are float32.
bool goes_with(const Tensor& e0, const Tensor& other);
const void* optional_table(const char* op, const char* name, const OptionalTensor& table, int64_t num_rows,
                           const Tensor& x, const char* x_name = "x");

// A contiguous int64 vector on x's device.
const int64_t* id_vector(const char* op, const char* name, const Tensor& ids, const Tensor& x,
                         const char* x_name = "x");

// Raises for the position in `ids` that a CPU kernel reported: the id is no row of the matrix, or that row is
// malformed. Returns for -1.
void check_target_fault(const char* op, const CsrView& csr, const int64_t* ids, const char* name,
                        int64_t position);

// Raises for the row that a CPU kernel reported: its pointers, its own fanout, or an index of it.
template <class Params>
void fail_sampled_row(const char* op, const Params& p, int64_t row) {
  if (valid_row(p.csr, row) && fanout_of(p, row) < 0) {
    FaultRecord fault{};
    fault.op = op;
    fault.kind = FaultKind::kFanout;
    fault.position = row;
    fault.value = p.row_fanout[row];
    fault.bound = p.fanout;
    fail_fault(fault);
  }
  check_fault(op, p.csr, row);
}

// The same for the target at `position`, whose number may be no row of the matrix. Returns for -1.
template <class Params>
void check_sampled_fault(const char* op, const Params& p, int64_t position) {
  if (position < 0) return;
  const int64_t row = p.rows[position];
  if (row < 0 || row >= p.csr.num_rows) check_target_fault(op, p.csr, p.rows, "rows", position);
  fail_sampled_row(op, p, row);
}

}  // namespace ltgnn
