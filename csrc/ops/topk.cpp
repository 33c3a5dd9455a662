// topk: front door for every backend. Mathematics: kernels/topk.h.
#include "kernels/topk.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/embedding_checks.h"

namespace ltgnn {
namespace {

std::tuple<Tensor, Tensor> topk(const Tensor& queries, const Tensor& items, int64_t k,
                                const OptionalTensor& indptr, const OptionalTensor& indices) {
  constexpr const char* kOp = "topk";
  TopkParams p;
  p.type = check_embeddings(kOp, queries, items);
  LTGNN_CHECK(kOp, k >= 1, "k must be at least 1, got ", k);
  p.num_queries = queries.size(0);
  p.num_items = items.size(0);
  LTGNN_CHECK(kOp, p.num_items <= INT32_MAX, "items must have at most ", INT32_MAX, " rows, got ",
              p.num_items);
  LTGNN_CHECK(kOp, indptr.has_value() == indices.has_value(),
              "indptr and indices must be given together, got ", indptr ? "indptr" : "indices", " alone");
  if (indptr) {
    p.seen = csr_view(kOp, *indptr, *indices, p.num_items);
    check_same_device(kOp, "indptr", *indptr, queries, "queries");
    check_size(kOp, "indptr", *indptr, 0, p.num_queries + 1);
  }
  p.queries = queries.const_data_ptr();
  p.items = items.const_data_ptr();
  p.dim = queries.size(1);
  p.k = k;
  Tensor scores = torch::stable::new_empty(queries, {p.num_queries, k});
  Tensor ids = torch::stable::new_empty(queries, {p.num_queries, k}, ScalarType::Long);
  p.scores = scores.mutable_data_ptr();
  p.ids = ids.mutable_data_ptr<int64_t>();
  check_fault(kOp, p.seen, LTGNN_RUN(kOp, topk, queries, p));
  return {scores, ids};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) { m.impl("topk", TORCH_BOX(&topk)); }

}  // namespace ltgnn
