// edge_dot on CUDA, under emulation: against the same product in double; hubs over several chunks; faults.
#include "check.h"
#include "cuda/hubs.h"
#include "cuda/kernels.h"
#include "emu.h"
#include "faults.h"

namespace ltgnn::test {
namespace {

constexpr int64_t kHub = cuda::kSmallestHub;

template <class T>
struct EdgeDotCase {
  using Acc = typename AccumulatorOf<T>::type;
  Graph graph;
  std::vector<T> g, x;
  std::vector<Acc> row_scale, col_scale, out;
  EdgeDotParams params;

  EdgeDotCase(Graph made, int64_t dim, int64_t padding, DType index, Random& random)
      : graph(std::move(made)) {
    const int64_t stride = dim + padding;
    const auto filled = [&](int64_t rows) { return rows > 0 ? (rows - 1) * stride + dim : 0; };
    g = random_values<T>(filled(graph.num_rows()), random);
    x = random_values<T>(filled(graph.num_cols), random);
    row_scale = random_values<Acc>(graph.num_rows(), random);
    col_scale = random_values<Acc>(graph.num_cols, random);
    out.assign(static_cast<size_t>(graph.num_edges()), Acc(-7));
    params.type = kTypeOf<T>;
    params.row_scale = random() % 2 ? row_scale.data() : nullptr;
    params.col_scale = random() % 2 ? col_scale.data() : nullptr;
    params.g = g.data();
    params.x = x.data();
    params.g_stride = params.x_stride = stride;
    params.dim = dim;
    params.factor = 0.75;
    params.out = out.data();
    params.csr = graph.view(index);
  }

  double expected(int64_t row, int64_t edge) const {
    const int64_t c = graph.wide[static_cast<size_t>(edge)];
    double sum = 0.0;
    for (int64_t i = 0; i < params.dim; ++i)
      sum += to_double(g[static_cast<size_t>(row * params.g_stride + i)]) *
             to_double(x[static_cast<size_t>(c * params.x_stride + i)]);
    if (params.row_scale) sum *= static_cast<double>(row_scale[static_cast<size_t>(row)]);
    if (params.col_scale) sum *= static_cast<double>(col_scale[static_cast<size_t>(c)]);
    return sum * params.factor;
  }

  bool right(int64_t row, int64_t edge) const {
    const double tolerance = std::is_same_v<T, double> ? kTolerance<double> : kTolerance<float>;
    return near(static_cast<double>(out[static_cast<size_t>(edge)]), expected(row, edge), tolerance);
  }

  int count_wrong() const {
    int wrong = 0;
    for (int64_t row = 0; row < graph.num_rows(); ++row)
      for (int64_t e = graph.indptr[static_cast<size_t>(row)]; e < graph.indptr[static_cast<size_t>(row) + 1];
           ++e)
        wrong += !right(row, e);
    return wrong;
  }
};

template <class T>
void run(EdgeDotCase<T>& test) {
  auto first = test.out;
  bool ran = false;
  for_each_schedule([&] {
    EmuLaunch launch;
    cuda::edge_dot(test.params, launch.at());
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
    CHECK(test.count_wrong() == 0);
    if (!ran) first = test.out;
    ran = true;
    CHECK(same_bits(first, test.out));
  });
}

std::vector<int64_t> hub_degrees() {
  return {kHub, 700, 3, kHub + 1, kHub, 0, 900, 2, 4 * kHub - 2, kHub + 5};
}

template <class T>
void test_type(Random& random) {
  constexpr int kWide = 16 / static_cast<int>(sizeof(T));
  int64_t trial = 0;
  for (const int64_t dim : {1, 2, 31, 33, 64, 129}) {
    const DType index = trial++ % 2 ? DType::kInt32 : DType::kInt64;
    EdgeDotCase<T> test(random_graph(25, 25, 9, random), dim, dim % 3, index, random);
    run(test);
  }
  for (const int64_t dim : {1, 7}) {
    EdgeDotCase<T> hubs(graph_of_degrees(hub_degrees(), 30, random), dim, 0, DType::kInt64, random);
    run(hubs);
  }
  for (const int64_t packs : {1, 2, 33}) {
    EdgeDotCase<T> wide(graph_of_degrees({5, kHub + 30, 9}, 10, random), packs * kWide, kWide, DType::kInt32,
                        random);
    run(wide);
  }
}

void test_empty(Random& random) {
  for (const std::vector<int64_t>& degrees : {std::vector<int64_t>{}, std::vector<int64_t>(300, 0)}) {
    EdgeDotCase<float> test(graph_of_degrees(degrees, 4, random), 5, 0, DType::kInt64, random);
    run(test);
  }
  EdgeDotCase<float> without_columns(graph_of_degrees({300, 2}, 4, random), 0, 0, DType::kInt64, random);
  run(without_columns);
}

// Edges of rows that cannot be read, and of a row from its bad index on (in a hub: to the end of the piece)
// are NaN, others right. Where pointers are wrong a piece of a hub may not be found, and is NaN then; where
// rows overlap an edge has two owners, and is either's.
void test_faults(Damage damage, Random& random) {
  std::vector<int64_t> degrees = below(random, 2) ? hub_degrees() : std::vector<int64_t>(12, 5);
  EdgeDotCase<float> test(graph_of_degrees(degrees, 20, random), 1 + below(random, 9), 0, DType::kInt32,
                          random);
  damage_one(test.graph, damage, random);
  test.params.csr = test.graph.view(DType::kInt32);
  for_each_schedule([&] {
    test.out.assign(test.out.size(), -7.0f);
    EmuLaunch launch;
    cuda::edge_dot(test.params, launch.at());
    CHECK(right_report(test.graph, EmuLaunch::take_fault()));
    if (damage == Damage::kOverlap) return;
    std::vector<char> owned(test.out.size(), 0);
    int wrong = 0;
    for (int64_t row = 0; row < test.graph.num_rows(); ++row) {
      if (!valid_row(test.params.csr, row)) continue;
      const auto r = static_cast<size_t>(row);
      const int64_t bad = bad_edge(test.graph, row);
      for (int64_t e = test.graph.indptr[r]; e < test.graph.indptr[r + 1]; ++e) {
        const auto at = static_cast<size_t>(e);
        owned[at] = 1;
        const bool lost = cuda::is_hub(test.params.csr, row, kHub) && damage != Damage::kIndex;
        const bool spoilt = ((bad >= 0 && e >= bad) || lost) && std::isnan(test.out[at]);
        wrong += e == bad ? !spoilt : !spoilt && !test.right(row, e);
      }
    }
    for (size_t e = 0; e < owned.size(); ++e) wrong += !owned[e] && !std::isnan(test.out[e]);
    CHECK(wrong == 0);
  });
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(6);
  test_type<float>(random);
  test_type<double>(random);
  test_type<ltgnn::BFloat16>(random);
  test_type<ltgnn::Float16>(random);
  test_empty(random);
  for (int trial = 0; trial < 4; ++trial) {
    for (const Damage damage :
         {Damage::kNothing, Damage::kFirst, Damage::kLast, Damage::kPointer, Damage::kIndex})
      test_faults(damage, random);
#if !defined(__SANITIZE_THREAD__)  // two owners of an edge are a race by the letter
    test_faults(Damage::kOverlap, random);
#endif
  }
  return finish();
}
