// sample_aggregate and sample_neighbors: front doors for every backend. Mathematics:
// kernels/sample_aggregate.h.
#include "kernels/sample_aggregate.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/sampling_checks.h"

namespace ltgnn {
namespace {

std::tuple<Tensor, Tensor> sample_aggregate(const Tensor& indptr, const Tensor& indices,
                                            const OptionalTensor& row_scale, const OptionalTensor& col_scale,
                                            const Tensor& rows, const Tensor& x,
                                            const OptionalTensor& history, const OptionalTensor& history_sum,
                                            const OptionalTensor& second, int64_t fanout, int64_t seed,
                                            bool self_loops, const OptionalTensor& row_fanout,
                                            const OptionalTensor& edge_starts) {
  constexpr const char* kOp = "sample_aggregate";
  SampleAggregateParams p = sampling_params(kOp, indptr, indices, row_scale, col_scale, rows, x, fanout, seed,
                                            self_loops, row_fanout, edge_starts);
  p.history = optional_table(kOp, "history", history, p.csr.num_cols, x);
  p.history_sum = optional_table(kOp, "history_sum", history_sum, p.csr.num_rows, x);
  p.second = optional_table(kOp, "second", second, p.csr.num_cols, x);
  Tensor out = torch::stable::new_empty(x, {p.num_targets, p.dim});
  Tensor out_second = torch::stable::new_empty(x, {second ? p.num_targets : 0, p.dim});
  p.out = out.mutable_data_ptr();
  p.out_second = out_second.mutable_data_ptr();
  check_sampled_fault(kOp, p, LTGNN_RUN(kOp, sample_aggregate, x, p));
  return {out, out_second};
}

// The neighbours that sample_aggregate draws, as node numbers; -1 where a row has fewer than fanout.
Tensor sample_neighbors(const Tensor& indptr, const Tensor& indices, const Tensor& rows, int64_t num_cols,
                        int64_t fanout, int64_t seed, const OptionalTensor& row_fanout,
                        const OptionalTensor& edge_starts) {
  constexpr const char* kOp = "sample_neighbors";
  LTGNN_CHECK(kOp, fanout >= 0 && fanout <= kMaxFanout, "fanout must be in [0, ", kMaxFanout, "], got ",
              fanout);
  LTGNN_CHECK(kOp, num_cols >= 0, "num_cols must not be negative, got ", num_cols);
  SampleNeighborsParams p;
  p.csr = csr_view(kOp, indptr, indices, num_cols);
  p.rows = id_vector(kOp, "rows", rows, indptr);
  p.num_targets = rows.numel();
  p.fanout = static_cast<int>(fanout);
  p.seed = static_cast<uint64_t>(seed);
  p.row_fanout = row_fanout_of(kOp, row_fanout, p.csr, rows, "rows");
  p.edge_starts = edge_starts_of(kOp, edge_starts, p.csr, rows, "rows");
  Tensor out = torch::stable::new_empty(rows, {p.num_targets, fanout});
  p.out = out.mutable_data_ptr<int64_t>();
  check_sampled_fault(kOp, p, LTGNN_RUN(kOp, sample_neighbors, rows, p));
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("sample_aggregate", TORCH_BOX(&sample_aggregate));
  m.impl("sample_neighbors", TORCH_BOX(&sample_neighbors));
}

}  // namespace ltgnn
