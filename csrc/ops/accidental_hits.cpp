// accidental_hits: front door for every backend. Mathematics: kernels/accidental_hits.h.
#include "kernels/accidental_hits.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/sampling_checks.h"

namespace ltgnn {
namespace {

constexpr const char* kOp = "accidental_hits";

// Raises for the place of the batch that a CPU kernel reported. Returns for -1.
void check_hits_fault(const AccidentalHitsParams& p, int64_t b) {
  if (b < 0) return;
  if (p.items[b] < 0 || p.items[b] >= p.csr.num_cols)
    fail_index(kOp, "items must be in [0, ", p.csr.num_cols, "), got items[", b, "] = ", p.items[b]);
  check_target_fault(kOp, p.csr, p.users, "users", b);
}

Tensor accidental_hits(const Tensor& indptr, const Tensor& indices, const Tensor& users, const Tensor& items,
                       int64_t num_items, int64_t first_item) {
  LTGNN_CHECK(kOp, num_items >= 0 && num_items <= INT32_MAX, "num_items must be in [0, ", INT32_MAX,
              "], got ", num_items);
  LTGNN_CHECK(kOp, first_item >= 0 && first_item <= INT32_MAX, "first_item must be in [0, ", INT32_MAX,
              "], got ", first_item);
  AccidentalHitsParams p;
  p.csr = csr_view(kOp, indptr, indices, num_items);
  p.users = id_vector(kOp, "users", users, indptr, "indptr");
  p.items = id_vector(kOp, "items", items, indptr, "indptr");
  p.batch = users.numel();
  check_size(kOp, "items", items, 0, p.batch);
  LTGNN_CHECK(kOp, p.batch <= INT32_MAX, "users must have at most ", INT32_MAX, " elements, got ", p.batch);
  p.first_item = first_item;
  Tensor out = torch::stable::new_empty(users, {p.batch, hit_words(p.batch)}, ScalarType::Int);
  p.out = reinterpret_cast<uint32_t*>(out.mutable_data_ptr<int32_t>());
  check_hits_fault(p, LTGNN_RUN(kOp, accidental_hits, users, p));
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("accidental_hits", TORCH_BOX(&accidental_hits));
}

}  // namespace ltgnn
