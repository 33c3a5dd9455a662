// pair_scores: front door for every backend. Mathematics: kernels/pair_scores.h.
#include "kernels/pair_scores.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/embedding_checks.h"

namespace ltgnn {
namespace {

Tensor pair_scores(const Tensor& queries, const Tensor& items, const Tensor& ids) {
  constexpr const char* kOp = "pair_scores";
  PairScoresParams p;
  p.type = check_embeddings(kOp, queries, items);
  check_dim(kOp, "ids", ids, 2, "[num_queries, num_listed]");
  check_dtype(kOp, "ids", ids, ScalarType::Long);
  check_same_device(kOp, "ids", ids, queries, "queries");
  check_size(kOp, "ids", ids, 0, queries.size(0));
  LTGNN_CHECK(kOp, ids.is_contiguous(), "ids must be contiguous");
  p.queries = queries.const_data_ptr();
  p.items = items.const_data_ptr();
  p.ids = ids.const_data_ptr<int64_t>();
  p.num_queries = queries.size(0);
  p.num_items = items.size(0);
  p.num_listed = ids.size(1);
  p.dim = queries.size(1);
  Tensor scores = torch::stable::new_empty(queries, {p.num_queries, p.num_listed});
  p.scores = scores.mutable_data_ptr();
  LTGNN_RUN(kOp, pair_scores, queries, p);
  return scores;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("pair_scores", TORCH_BOX(&pair_scores));
}

}  // namespace ltgnn
