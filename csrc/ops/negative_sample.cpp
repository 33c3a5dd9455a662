// negative_sample: front door for every backend. Mathematics: kernels/negative_sample.h.
#include "kernels/negative_sample.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/sampling_checks.h"

namespace ltgnn {
namespace {

Tensor negative_sample(const Tensor& indptr, const Tensor& indices, const Tensor& users, int64_t num_items,
                       int64_t seed, int64_t first_item) {
  constexpr const char* kOp = "negative_sample";
  LTGNN_CHECK(kOp, num_items >= 0 && num_items <= INT32_MAX, "num_items must be in [0, ", INT32_MAX,
              "], got ", num_items);
  LTGNN_CHECK(kOp, first_item >= 0 && first_item <= INT32_MAX, "first_item must be in [0, ", INT32_MAX,
              "], got ", first_item);
  NegativeSampleParams p;
  p.csr = csr_view(kOp, indptr, indices, num_items);
  p.users = id_vector(kOp, "users", users, indptr);
  p.num_draws = users.numel();
  p.seed = static_cast<uint64_t>(seed);
  p.first_item = first_item;
  Tensor out = torch::stable::new_empty(users, {p.num_draws});
  p.out = out.mutable_data_ptr<int64_t>();
  check_target_fault(kOp, p.csr, p.users, "users", LTGNN_RUN(kOp, negative_sample, users, p));
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("negative_sample", TORCH_BOX(&negative_sample));
}

}  // namespace ltgnn
