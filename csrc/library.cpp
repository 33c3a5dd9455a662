// Every operator of ltgnn, on one page. R rows, C columns, E edges, D dim, B batch, N nodes; `?` may be None.
// Kernels are registered by csrc/ops/<op>.cpp; fake and autograd by ltgnn/ops/<op>.py.
#include <torch/csrc/stable/library.h>

#include "ops/backend.h"

STABLE_TORCH_LIBRARY(LTGNN_LIBRARY, m) {
  // out[r] = (1 - alpha) row_scale[r] (sum_e weight[e] col_scale[c_e] x[c_e] + [self_loops] col_scale[r]
  // x[r]) + alpha x0[r]
  //   indptr [R+1] int64, indices [E] int32|int64, weight [E]?, row_scale [R]?, col_scale [C]?, x [C, D], x0
  //   [R, D]? t_indptr [C+1], t_indices [E], t_perm [E]: the transposed structure (transposed edge k is edge
  //   t_perm[k]); read by the backward only -> [R, D]
  //   rows [R] int64?, a permutation: row k of indptr is row rows[k] of everything else; t_rows [C]: the same
  //   of t_indptr. Not with weight.
  m.def(
      "propagate(Tensor indptr, Tensor indices, Tensor? weight, Tensor? row_scale, Tensor? col_scale, Tensor "
      "x, "
      "Tensor? x0, float alpha, bool self_loops, Tensor? t_indptr, Tensor? t_indices, Tensor? t_perm, "
      "Tensor? rows=None, Tensor? t_rows=None) -> Tensor");
  // The same into out [R, D]; no autograd.
  m.def(
      "propagate_out(Tensor indptr, Tensor indices, Tensor? weight, Tensor? row_scale, Tensor? col_scale, "
      "Tensor x, "
      "Tensor? x0, float alpha, bool self_loops, Tensor(a!) out, Tensor? rows=None) -> ()");
  // (1 - alpha) A x + alpha x0 by cuSPARSE, CUDA only; weight [E], dtype of x; t_*: the transposed matrix,
  // read by the backward only; plan and t_plan: numbers of plans for the two, or 0: checked and not prepared
  // -> [R, D]
  m.def(
      "propagate_cusparse(Tensor indptr, Tensor indices, Tensor weight, Tensor x, Tensor? x0, float alpha, "
      "Tensor? t_indptr, Tensor? t_indices, Tensor? t_weight, int plan, int t_plan) -> Tensor");
  // A plan for this matrix, checked; it holds the tensors until it is freed -> its number
  m.def("cusparse_plan(Tensor indptr, Tensor indices, Tensor weight, int num_cols) -> int");
  m.def("cusparse_plan_free(int plan) -> ()");
  // out[e] = factor row_scale[r] col_scale[c] <g[r], x[c]> for edge e from row r to column c; g [R, D], x [C,
  // D] -> [E]
  m.def(
      "edge_dot(Tensor indptr, Tensor indices, Tensor? row_scale, Tensor? col_scale, Tensor g, Tensor x, "
      "float factor) -> Tensor");
  // Variance-reduced sampled aggregate of target rows [B] int64, and of `second` over the same neighbours.
  //   x, history?, second? [C, D], history_sum? [R, D]; row_fanout [R] int16?: each row's own fanout, in [0,
  //   fanout]; edge_starts [E] int32?: draw by importance (csrc/kernels/sample.h); these two also below
  //   -> ([B, D], [B, D] or [0, D])
  m.def(
      "sample_aggregate(Tensor indptr, Tensor indices, Tensor? row_scale, Tensor? col_scale, Tensor rows, "
      "Tensor x, "
      "Tensor? history, Tensor? history_sum, Tensor? second, int fanout, int seed, bool self_loops, "
      "Tensor? row_fanout=None, Tensor? edge_starts=None) -> (Tensor, Tensor)");
  // The neighbours that sample_aggregate draws for rows [B], -1 where there are fewer -> [B, S] int64
  m.def(
      "sample_neighbors(Tensor indptr, Tensor indices, Tensor rows, int num_cols, int fanout, int seed, "
      "Tensor? row_fanout=None, Tensor? edge_starts=None) -> Tensor");
  // An item that each of users [B] lacks, or -1; indptr [U+1], indices [E] item numbers plus first_item,
  // sorted
  //   -> [B] int64
  m.def(
      "negative_sample(Tensor indptr, Tensor indices, Tensor users, int num_items, int seed, "
      "int first_item=0) -> Tensor");
  // Which of items [B] each of users [B] has; lists as for negative_sample -> [B, ceil(B / 32)] int32, a bit
  // for each pair
  m.def(
      "accidental_hits(Tensor indptr, Tensor indices, Tensor users, Tensor items, int num_items, "
      "int first_item=0) -> Tensor");
  // Entries at positions [begin, begin + count) of the permutation of all E that belongs to seed; or, given
  // rows [A] int64, so many uniform entries of uniform rows of that list -> (row [count], column [count])
  // int64
  m.def(
      "epoch_pairs(Tensor indptr, Tensor indices, Tensor? rows, int num_cols, int begin, int count, int "
      "seed) "
      "-> (Tensor, Tensor)");
  // Sampled fixed-point step of distinct rows [T] int64; scale [N]?, all tables [N, D]; z None: one hop over
  // e0.
  //   -> (out [T, D], aggregated g [T, D] or [0, D])
  m.def(
      "ltgnn_forward_(Tensor indptr, Tensor indices, Tensor? scale, Tensor rows, Tensor e0, Tensor(a!)? z, "
      "Tensor(b!) delta, Tensor history_sum, Tensor? g, float alpha, float c0, int fanout, int seed, "
      "bool self_loops, Tensor? row_fanout=None, Tensor? edge_starts=None) -> (Tensor, Tensor)");
  // Implicit gradient from grad = dL/dout [T, D] and h [T, D]?, then Adam on the rows; l2 [T]?, tables [N,
  // D].
  m.def(
      "ltgnn_update_(Tensor rows, Tensor grad, Tensor? h, Tensor(a!) e0, Tensor(b!) m, Tensor(c!) v, "
      "Tensor(d!)? g, "
      "Tensor(e!)? delta, Tensor? l2, float alpha, float c0, bool faithful, int step, float lr, float beta1, "
      "float beta2, float eps) -> ()");
  // One training step with BPR on triples of nodes [B] int64: forward, loss and update of their distinct
  // rows, tables [N, D]. counter [1] int64: steps done; with `seed` it seeds the sampling -> loss [] float64
  m.def(
      "ltgnn_bpr_step_(Tensor indptr, Tensor indices, Tensor? scale, Tensor users, Tensor items, Tensor "
      "negatives, Tensor(a!) e0, Tensor(b!)? z, Tensor(c!) delta, Tensor history_sum, Tensor(d!)? g, "
      "Tensor(e!) m, Tensor(f!) v, Tensor(g!) counter, float alpha, float c0, int fanout, int seed, "
      "bool self_loops, float l2, bool faithful, float lr, float beta1, float beta2, float eps, "
      "Tensor? row_fanout=None, Tensor? edge_starts=None) -> Tensor");
  // Adam on distinct rows [T] int64 of param [N, D] (None: on all), grad [T, D], l2 [T]?
  m.def(
      "adam_(Tensor(a!) param, Tensor(b!) m, Tensor(c!) v, Tensor grad, Tensor? rows, Tensor? l2, int step, "
      "float lr, "
      "float beta1, float beta2, float eps) -> ()");
  // Incremental solution of Z = (1 - alpha) A Z + alpha E0 in y = D^-1/2 Z (csrc/kernels/push.h). row_begin,
  // degree [N] int64 and indices [pool] describe the rows of a symmetric graph, each sorted; tables [N, D].
  // The residual of y, exactly, in rows [T] int64 (None: in all).
  m.def(
      "push_residual_(Tensor row_begin, Tensor degree, Tensor indices, Tensor e0, Tensor y, Tensor(a!) "
      "residual, "
      "Tensor? rows, float alpha, bool self_loops) -> ()");
  // Rounds of pushes from those of rows [T] int64 whose residual is above tol
  //   -> (rows pushed, sorted [P] int64; rows still above tol, sorted [Q] int64; on the CPU: rounds, pushes
  //   and whether it converged [3] int64)
  m.def(
      "push_(Tensor row_begin, Tensor degree, Tensor indices, Tensor(a!) y, Tensor(b!) residual, Tensor "
      "rows, "
      "float alpha, float tol, int max_rounds, int max_pushes, bool self_loops) -> (Tensor, Tensor, Tensor)");
  // Mean loss over the batch and its gradient for x [R, D]; users, items, negatives [B] int64 row numbers of
  // x; skip [B, ceil(B / 32)] int32: bits of pairs that are left out of the softmax
  //   -> (loss [] float64, dL/dx [R, D])
  m.def("bpr_loss(Tensor x, Tensor users, Tensor items, Tensor negatives) -> (Tensor, Tensor)");
  m.def(
      "in_batch_softmax_loss(Tensor x, Tensor users, Tensor items, float tau, float exponent, bool "
      "allow_bf16, Tensor? skip=None) -> (Tensor, Tensor)");
  // scores [R, C] become w * sigmoid(scores), w = of_row [R] * of_column [C] + of_all [C]
  //   -> sums of w * softplus(scores) over each row [R] float64
  m.def("weighted_softplus_(Tensor(a!) scores, Tensor of_row, Tensor of_column, Tensor of_all) -> Tensor");
  // Inner products of queries [Q, D] and the items [N, D] that ids [Q, L] int64 names, in float64, rounded
  // once; -inf for what is no item -> [Q, L]
  m.def("pair_scores(Tensor queries, Tensor items, Tensor ids) -> Tensor");
  // The k items [N, D] with the largest inner product for each of queries [Q, D], ordered by (-score, id);
  // not those in its row of the CSR pair: indptr [Q+1] int64, indices [P] int32|int64, sorted in each row.
  //   -> (scores [Q, k], -inf past the end; ids [Q, k] int64, -1 past the end)
  m.def("topk(Tensor queries, Tensor items, int k, Tensor? indptr, Tensor? indices) -> (Tensor, Tensor)");
}
