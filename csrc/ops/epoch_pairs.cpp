// epoch_pairs: front door for every backend. Mathematics: kernels/epoch_pairs.h.
#include "kernels/epoch_pairs.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/sampling_checks.h"

namespace ltgnn {
namespace {

constexpr const char* kOp = "epoch_pairs";

// Raises for the pair that a CPU kernel reported. Returns for -1.
void check_pair_fault(const EpochPairsParams& p, int64_t k) {
  if (k < 0) return;
  if (p.rows) {
    PhiloxStream random(p.seed, static_cast<uint64_t>(p.begin + k));
    return check_target_fault(kOp, p.csr, p.rows, "rows", drawn_place(p, random));
  }
  // A wrong row pointer anywhere may have misled the search.
  for (int64_t row = 0; row < p.csr.num_rows; ++row) {
    if (!valid_row(p.csr, row)) check_fault(kOp, p.csr, row);
  }
  check_fault(kOp, p.csr, p.out_rows[k]);
}

std::tuple<Tensor, Tensor> epoch_pairs(const Tensor& indptr, const Tensor& indices,
                                       const OptionalTensor& rows, int64_t num_cols, int64_t begin,
                                       int64_t count, int64_t seed) {
  LTGNN_CHECK(kOp, num_cols >= 0, "num_cols must not be negative, got ", num_cols);
  EpochPairsParams p;
  p.csr = csr_view(kOp, indptr, indices, num_cols);
  const int64_t num_edges = p.csr.num_edges;
  LTGNN_CHECK(kOp, begin >= 0 && begin <= num_edges, "begin must be in [0, ", num_edges, "], got ", begin);
  LTGNN_CHECK(kOp, count >= 0 && count <= num_edges - begin, "count must be in [0, ", num_edges - begin,
              "], got ", count);
  // Without a row, no entry can be anybody's; on CUDA nobody has looked at indptr yet.
  LTGNN_CHECK(kOp, count == 0 || p.csr.num_rows > 0,
              "indptr must have a row where there are indices, got none");
  p.order = entry_order(num_edges, static_cast<uint64_t>(seed));
  if (rows) {
    p.rows = id_vector(kOp, "rows", *rows, indptr, "indptr");
    p.num_rows = rows->numel();
    LTGNN_CHECK(kOp, count == 0 || (p.num_rows > 0 && p.num_rows <= int64_t{1} << 32),
                "rows must have 1 to 2^32 elements, got ", p.num_rows);
  }
  p.begin = begin;
  p.count = count;
  p.seed = static_cast<uint64_t>(seed);
  Tensor out_rows = torch::stable::new_empty(indptr, {count});
  Tensor out_columns = torch::stable::new_empty(indptr, {count});
  p.out_rows = out_rows.mutable_data_ptr<int64_t>();
  p.out_columns = out_columns.mutable_data_ptr<int64_t>();
  if (count > 0) check_pair_fault(p, LTGNN_RUN(kOp, epoch_pairs, indptr, p));
  return {out_rows, out_columns};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("epoch_pairs", TORCH_BOX(&epoch_pairs));
}

}  // namespace ltgnn
