// Checks shared by the operators that sample neighbours of target rows.
#pragma once

#include "kernels/sample_aggregate.h"
#include "ops/checks.h"

namespace ltgnn {

// The parameters that all of them have, but for the target rows. Scales are of the sums' type.
SampleAggregateParams sampling_settings(const char* op, const Tensor& indptr, const Tensor& indices,
                                        const OptionalTensor& row_scale, const OptionalTensor& col_scale,
                                        const Tensor& x, int64_t fanout, int64_t seed, bool self_loops,
                                        bool takes_bfloat16 = false);

// With them. x is the [num_cols, dim] table whose dtype the others follow.
SampleAggregateParams sampling_params(const char* op, const Tensor& indptr, const Tensor& indices,
                                      const OptionalTensor& row_scale, const OptionalTensor& col_scale,
                                      const Tensor& rows, const Tensor& x, int64_t fanout, int64_t seed,
                                      bool self_loops, bool takes_bfloat16 = false);

// A contiguous [num_rows, dim] table of x's dtype, dim and device; messages call x `x_name`.
void check_table(const char* op, const char* name, const Tensor& table, int64_t num_rows, const Tensor& x,
                 const char* x_name = "x");
// The same but for the dtype.
void check_table_shape(const char* op, const char* name, const Tensor& table, int64_t num_rows,
                       const Tensor& x, const char* x_name = "x");
// `other` may stand beside the embeddings e0: it has their dtype, or is bfloat16 where they are float32.
bool goes_with(const Tensor& e0, const Tensor& other);
const void* optional_table(const char* op, const char* name, const OptionalTensor& table, int64_t num_rows,
                           const Tensor& x);

// A contiguous int64 vector on x's device.
const int64_t* id_vector(const char* op, const char* name, const Tensor& ids, const Tensor& x,
                         const char* x_name = "x");

// Raises for the position in `ids` that a CPU kernel reported: the id is no row of the matrix, or that row is
// malformed. Returns for -1.
void check_target_fault(const char* op, const CsrView& csr, const int64_t* ids, const char* name,
                        int64_t position);

}  // namespace ltgnn
