// push_residual_ and push_: front doors for every backend. Mathematics: kernels/push.h.
#include "kernels/push.h"

#include <torch/csrc/stable/library.h>

#include "ops/backend.h"
#include "ops/sampling_checks.h"

namespace ltgnn {
namespace {

SlackRowsView slack_rows(const char* op, const Tensor& row_begin, const Tensor& degree, const Tensor& indices,
                         const Tensor& y) {
  SlackRowsView graph;
  graph.begin = id_vector(op, "row_begin", row_begin, y, "y");
  graph.degree = id_vector(op, "degree", degree, y, "y");
  graph.num_rows = row_begin.numel();
  check_size(op, "degree", degree, 0, graph.num_rows);
  check_dim(op, "indices", indices, 1, "[pool]");
  const ScalarType index_type = indices.scalar_type();
  LTGNN_CHECK(op, index_type == ScalarType::Int || index_type == ScalarType::Long,
              "indices must be int32 or int64, got ", dtype_name(index_type));
  LTGNN_CHECK(op, indices.is_contiguous(), "indices must be contiguous");
  check_same_device(op, "indices", indices, y, "y");
  graph.indices = indices.const_data_ptr();
  graph.index_type = index_type == ScalarType::Int ? DType::kInt32 : DType::kInt64;
  graph.capacity = indices.numel();
  // The CUDA kernels sort row numbers of 32 bits, one of them free.
  LTGNN_CHECK(op, graph.num_rows < int64_t{UINT32_MAX}, "at most 2^32 - 2 nodes are possible, got ",
              graph.num_rows);
  return graph;
}

// y and what follows from it, for a graph whose number of rows is known.
DType check_tables(const char* op, const Tensor& y, const Tensor& residual, int64_t num_rows) {
  const DType type = dtype_code(op, "y", y);
  check_size(op, "y", y, 0, num_rows);
  LTGNN_CHECK(op, y.is_contiguous(), "y must be contiguous");
  check_table(op, "residual", residual, num_rows, y, "y");
  const auto a = reinterpret_cast<uintptr_t>(y.const_data_ptr());
  const auto b = reinterpret_cast<uintptr_t>(residual.const_data_ptr());
  const auto bytes = static_cast<uintptr_t>(y.numel()) * y.element_size();
  LTGNN_CHECK(op, bytes == 0 || a + bytes <= b || b + bytes <= a, "y and residual must not share memory");
  return type;
}

void check_alpha(const char* op, double alpha) {
  LTGNN_CHECK(op, alpha >= 0.0 && alpha <= 1.0, "alpha must be in [0, 1], got ", alpha);
}

[[noreturn]] void fail_row(const char* op, const SlackRowsView& graph, int64_t row) {
  FaultRecord fault{};
  fault.op = op;
  if (!valid_row(graph, row)) {
    fault.kind = FaultKind::kRowRange;
    fault.position = row;
    fault.value = graph.begin[row];
    fault.other = graph.degree[row];
    fault.bound = graph.capacity;
    fail_fault(fault);
  }
  fault.other = row;
  int64_t before = 0;
  for (int64_t e = graph.begin[row]; e < graph.begin[row] + graph.degree[row]; ++e) {
    const int64_t c = graph.index_type == DType::kInt32 ? static_cast<const int32_t*>(graph.indices)[e]
                                                        : static_cast<const int64_t*>(graph.indices)[e];
    const bool inside = c >= 0 && c < graph.num_rows;
    fault.kind = inside ? FaultKind::kOrder : FaultKind::kIndex;
    fault.position = e;
    fault.value = c;
    fault.bound = inside ? before : graph.num_rows;
    if (!inside || c < before) fail_fault(fault);
    before = c;
  }
  fail_value(op, "the graph was changed while it was in use (row ", row, ")");
}

void check_id(const char* op, const SlackRowsView& graph, const int64_t* rows, int64_t k) {
  if (rows != nullptr && (rows[k] < 0 || rows[k] >= graph.num_rows))
    fail_index(op, "rows must be in [0, ", graph.num_rows, "), got rows[", k, "] = ", rows[k]);
}

void push_residual(const Tensor& row_begin, const Tensor& degree, const Tensor& indices, const Tensor& e0,
                   const Tensor& y, Tensor residual, const OptionalTensor& rows, double alpha,
                   bool self_loops) {
  constexpr const char* kOp = "push_residual_";
  check_dim(kOp, "y", y, 2, "[num_nodes, dim]");
  check_alpha(kOp, alpha);
  PushResidualParams p;
  p.graph = slack_rows(kOp, row_begin, degree, indices, y);
  p.type = check_tables(kOp, y, residual, p.graph.num_rows);
  check_table(kOp, "e0", e0, p.graph.num_rows, y, "y");
  p.rows = rows ? id_vector(kOp, "rows", *rows, y, "y") : nullptr;
  p.num_targets = rows ? rows->numel() : p.graph.num_rows;
  p.e0 = e0.const_data_ptr();
  p.y = y.const_data_ptr();
  p.residual = residual.mutable_data_ptr();
  p.dim = y.size(1);
  p.alpha = alpha;
  p.self_loops = self_loops;
  const int64_t fault = LTGNN_RUN(kOp, push_residual, y, p);
  if (fault < 0) return;
  check_id(kOp, p.graph, p.rows, fault);
  fail_row(kOp, p.graph, p.rows ? p.rows[fault] : fault);
}

// The lists that the kernel allocates once it knows how long they are.
struct RowLists {
  const Tensor& like;
  Tensor list[2];

  static int64_t* allocate(void* self, PushOutput::List which, int64_t count) {
    auto* lists = static_cast<RowLists*>(self);
    lists->list[which] = torch::stable::new_empty(lists->like, {count});
    return lists->list[which].mutable_data_ptr<int64_t>();
  }
};

std::tuple<Tensor, Tensor, Tensor> push(const Tensor& row_begin, const Tensor& degree, const Tensor& indices,
                                        Tensor y, Tensor residual, const Tensor& rows, double alpha,
                                        double tol, int64_t max_rounds, int64_t max_pushes, bool self_loops) {
  constexpr const char* kOp = "push_";
  check_dim(kOp, "y", y, 2, "[num_nodes, dim]");
  check_alpha(kOp, alpha);
  LTGNN_CHECK(kOp, tol > 0.0 && tol <= std::numeric_limits<double>::max(),
              "tol must be positive and finite, got ", tol);
  LTGNN_CHECK(kOp, max_rounds >= 0, "max_rounds must not be negative, got ", max_rounds);
  LTGNN_CHECK(kOp, max_pushes >= 0, "max_pushes must not be negative, got ", max_pushes);
  PushParams p;
  p.graph = slack_rows(kOp, row_begin, degree, indices, y);
  p.type = check_tables(kOp, y, residual, p.graph.num_rows);
  p.rows = id_vector(kOp, "rows", rows, y, "y");
  p.num_candidates = rows.numel();
  p.y = y.mutable_data_ptr();
  p.residual = residual.mutable_data_ptr();
  p.dim = y.size(1);
  p.alpha = alpha;
  p.tol = tol;
  p.max_rounds = max_rounds;
  p.max_pushes = max_pushes;
  p.self_loops = self_loops;
  const Tensor none = torch::stable::new_empty(rows, {0});
  RowLists lists{rows, {none, none}};
  PushOutput out;
  out.allocate = &RowLists::allocate;
  out.owner = &lists;
  p.out = &out;
  const int64_t fault = LTGNN_RUN(kOp, push, y, p);
  if (fault >= p.num_candidates) fail_row(kOp, p.graph, fault - p.num_candidates);
  if (fault >= 0) check_id(kOp, p.graph, p.rows, fault);
  Tensor numbers = torch::stable::empty({3}, ScalarType::Long, std::nullopt,
                                        torch::stable::Device(torch::headeronly::DeviceType::CPU));
  auto* written = numbers.mutable_data_ptr<int64_t>();
  written[0] = out.rounds;
  written[1] = out.pushes;
  written[2] = out.converged;
  return {lists.list[PushOutput::kTouched], lists.list[PushOutput::kPending], numbers};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(LTGNN_LIBRARY, LTGNN_DISPATCH_KEY, m) {
  m.impl("push_residual_", TORCH_BOX(&push_residual));
  m.impl("push_", TORCH_BOX(&push));
}

}  // namespace ltgnn
