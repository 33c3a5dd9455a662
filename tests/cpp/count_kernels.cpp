// Runs one hot CPU kernel on a fixed input with one thread, for build_tools/instruction_counts.py to count
// its instructions:
//
//   count_kernels            prints the names of the kernels, one a line
//   count_kernels NAME       runs it, and fails where the kernel refuses its input
//
// Inputs come from std::mt19937_64 without a standard distribution, so that they are the same with every
// library. What is counted is the inside of `counted`: callgrind is told to collect in that function alone.
#include <cstdio>
#include <cstring>
#include <vector>

#include "cpu/kernels.h"
#include "graphs.h"

namespace ltgnn {

// With C linkage, and neither inlined nor cloned: callgrind finds it by its name.
#if defined(__clang__)
#define LTGNN_OWN_NAME __attribute__((noinline))
#else
#define LTGNN_OWN_NAME __attribute__((noinline, noclone, noipa))
#endif
extern "C" LTGNN_OWN_NAME void counted(int64_t (*kernel)(void*), void* context, int64_t* result) {
  *result = kernel(context);
}

namespace {

using test::Random;

constexpr int64_t kUsers = 2000, kItems = 1000, kNodes = kUsers + kItems, kDim = 64, kBatch = 512;
constexpr int kFanout = 15;

template <class T = float>
std::vector<T> values(int64_t count, Random& random) {
  std::vector<T> result(static_cast<size_t>(count));
  for (T& value : result)
    value = test::from_double<T>(static_cast<double>(random() >> 40) / static_cast<double>(1 << 23) - 1.0);
  return result;
}

std::vector<int64_t> ids(int64_t count, int64_t first, int64_t bound, Random& random) {
  std::vector<int64_t> result(static_cast<size_t>(count));
  for (int64_t& id : result) id = first + test::below(random, bound);
  return result;
}

std::vector<int64_t> every(int64_t step) {
  std::vector<int64_t> result;
  for (int64_t i = 0; i < kNodes; i += step) result.push_back(i);
  return result;
}

template <class Params>
int64_t count(int64_t (*kernel)(const Params&, const Parallel&), const Params& params) {
  struct Call {
    int64_t (*kernel)(const Params&, const Parallel&);
    const Params* params;
  } call{kernel, &params};
  int64_t result = 0;
  counted(
      [](void* context) {
        const auto* c = static_cast<Call*>(context);
        return c->kernel(*c->params, Parallel{});
      },
      &call, &result);
  return result;
}

template <class T>
int64_t propagate(const CpuKernels& kernels, DType type, Random& random) {
  const test::Graph graph = test::random_graph(kNodes, kNodes, 40, random);
  const auto scale = values(kNodes, random);
  const auto x = values<T>(kNodes * kDim, random);
  std::vector<T> out(x.size());
  PropagateParams p;
  p.csr = graph.view(DType::kInt32);
  p.row_scale = p.col_scale = scale.data();
  p.x = x.data();
  p.out = out.data();
  p.x_stride = p.out_stride = p.dim = kDim;
  p.type = type;
  return count(kernels.propagate, p);
}

SampleAggregateParams sample(const test::Graph& graph, const std::vector<float>& scale,
                             const std::vector<float>& x, const std::vector<float>& sum) {
  SampleAggregateParams p;
  p.csr = graph.view(DType::kInt32);
  p.row_scale = p.col_scale = scale.data();
  p.x = x.data();
  p.history_sum = sum.data();
  p.dim = kDim;
  p.fanout = kFanout;
  p.seed = 7;
  return p;
}

int64_t sample_aggregate(const CpuKernels& kernels, Random& random) {
  const test::Graph graph = test::random_graph(kNodes, kNodes, 40, random);
  const auto scale = values(kNodes, random), x = values(kNodes * kDim, random);
  const auto rows = every(3);
  std::vector<float> out(rows.size() * kDim);
  SampleAggregateParams p = sample(graph, scale, x, x);
  p.rows = rows.data();
  p.num_targets = static_cast<int64_t>(rows.size());
  p.out = out.data();
  return count(kernels.sample_aggregate, p);
}

// One-hop, without the gradient memory: what the default settings run.
int64_t ltgnn_bpr_step(const CpuKernels& kernels, Random& random) {
  const test::Graph graph = test::random_graph(kNodes, kNodes, 40, random);
  const auto scale = values(kNodes, random), sum = values(kNodes * kDim, random);
  auto e0 = values(kNodes * kDim, random), delta = values(kNodes * kDim, random);
  std::vector<float> m(e0.size()), v(e0.size());
  const auto users = ids(kBatch, 0, kUsers, random), items = ids(kBatch, kUsers, kItems, random),
             negatives = ids(kBatch, kUsers, kItems, random);
  int64_t counter = 0;
  double loss = 0.0;
  LtgnnBprStepParams p;
  p.forward.sample = sample(graph, scale, delta, sum);
  p.forward.e0 = e0.data();
  p.forward.delta = p.update.adam.delta = delta.data();
  p.update.adam.param = e0.data();
  p.update.adam.m = m.data();
  p.update.adam.v = v.data();
  p.update.adam.table_rows = kNodes;
  p.update.adam.dim = kDim;
  p.users = users.data();
  p.items = items.data();
  p.negatives = negatives.data();
  p.batch = kBatch;
  p.counter = &counter;
  p.l2 = 1e-4;
  p.lr = 1e-3;
  p.seed = 3;
  p.loss = &loss;
  return count(kernels.ltgnn_bpr_step, p);
}

int64_t loss(int64_t (*kernel)(const LossParams&, const Parallel&), Random& random) {
  const auto x = values(kNodes * kDim, random);
  std::vector<float> grad(x.size());
  const auto users = ids(kBatch, 0, kUsers, random), items = ids(kBatch, kUsers, kItems, random),
             negatives = ids(kBatch, kUsers, kItems, random);
  double value = 0.0;
  LossParams p;
  p.x = x.data();
  p.num_rows = kNodes;
  p.dim = kDim;
  p.users = users.data();
  p.items = items.data();
  p.negatives = negatives.data();
  p.batch = kBatch;
  p.grad = grad.data();
  p.loss = &value;
  return count(kernel, p);
}

int64_t topk(const CpuKernels& kernels, Random& random) {
  constexpr int64_t kQueries = 128, kResults = 20;
  const auto queries = values(kQueries * kDim, random), items = values(kItems * kDim, random);
  const test::Graph seen = test::random_graph(kQueries, kItems, 40, random);
  std::vector<float> scores(kQueries * kResults);
  std::vector<int64_t> best(kQueries * kResults);
  TopkParams p;
  p.queries = queries.data();
  p.items = items.data();
  p.num_queries = kQueries;
  p.num_items = kItems;
  p.dim = kDim;
  p.k = kResults;
  p.seen = seen.view(DType::kInt32);
  p.scores = scores.data();
  p.ids = best.data();
  return count(kernels.topk, p);
}

int64_t negative_sample(const CpuKernels& kernels, Random& random) {
  const test::Graph graph = test::random_graph(kUsers, kItems, 40, random);
  const auto users = ids(8 * kBatch, 0, kUsers, random);
  std::vector<int64_t> out(users.size());
  NegativeSampleParams p;
  p.csr = graph.view(DType::kInt32);
  p.users = users.data();
  p.num_draws = static_cast<int64_t>(users.size());
  p.seed = 5;
  p.out = out.data();
  return count(kernels.negative_sample, p);
}

int64_t accidental_hits(const CpuKernels& kernels, Random& random) {
  const test::Graph graph = test::random_graph(kUsers, kItems, 40, random);
  const auto users = ids(kBatch, 0, kUsers, random), items = ids(kBatch, 0, kItems, random);
  std::vector<uint32_t> out(static_cast<size_t>(kBatch * hit_words(kBatch)));
  AccidentalHitsParams p;
  p.csr = graph.view(DType::kInt32);
  p.users = users.data();
  p.items = items.data();
  p.batch = kBatch;
  p.out = out.data();
  return count(kernels.accidental_hits, p);
}

int64_t weighted_softplus(const CpuKernels& kernels, Random& random) {
  auto scores = values(kBatch * kItems, random);
  const auto of_row = values(kBatch, random), of_column = values(kItems, random);
  std::vector<double> sums(kBatch);
  WeightedSoftplusParams p;
  p.scores = scores.data();
  p.of_row = of_row.data();
  p.of_column = p.of_all = of_column.data();
  p.num_rows = kBatch;
  p.num_columns = kItems;
  p.loss = sums.data();
  return count(kernels.weighted_softplus, p);
}

struct Kernel {
  const char* name;
  int64_t (*run)(const CpuKernels&, Random&);
};

constexpr Kernel kKernels[] = {
    {"propagate_fp32",
     [](const CpuKernels& k, Random& r) { return propagate<float>(k, DType::kFloat32, r); }},
    {"propagate_bf16",
     [](const CpuKernels& k, Random& r) { return propagate<BFloat16>(k, DType::kBFloat16, r); }},
    {"sample_aggregate", sample_aggregate},
    {"ltgnn_bpr_step", ltgnn_bpr_step},
    {"bpr_loss", [](const CpuKernels& k, Random& r) { return loss(k.bpr_loss, r); }},
    {"in_batch_softmax_loss",
     [](const CpuKernels& k, Random& r) { return loss(k.in_batch_softmax_loss, r); }},
    {"topk", topk},
    {"negative_sample", negative_sample},
    {"accidental_hits", accidental_hits},
    {"weighted_softplus", weighted_softplus},
};

}  // namespace
}  // namespace ltgnn

int main(int argc, char** argv) {
  using namespace ltgnn;
  if (argc < 2) {
    std::printf("%s\n", cpu_kernels().name);
    for (const Kernel& kernel : kKernels) std::printf("%s\n", kernel.name);
    return 0;
  }
  for (const Kernel& kernel : kKernels) {
    if (std::strcmp(kernel.name, argv[1]) != 0) continue;
    Random random(1);
    const int64_t bad = kernel.run(cpu_kernels(), random);
    if (bad >= 0)
      std::fprintf(stderr, "%s: refuses position %lld\n", kernel.name, static_cast<long long>(bad));
    return bad >= 0;
  }
  std::fprintf(stderr, "no kernel %s\n", argv[1]);
  return 2;
}
