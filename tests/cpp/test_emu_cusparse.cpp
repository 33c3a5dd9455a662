// The cuSPARSE path over its emulated twin (emu/include/cusparse.h): products with and without a plan, plans
// of several shapes, streams and threads, and the check of a matrix that cuSPARSE would trust.
#include <thread>

#include "check.h"
#include "cuda/kernels.h"
#include "emu.h"
#include "faults.h"

namespace ltgnn::test {
namespace {

std::atomic<int> num_kept{0};

// The plan's memory: exactly as long as asked for, and counted.
std::shared_ptr<void> keep(void*, size_t bytes) {
  ++num_kept;
  return {new unsigned char[bytes], [](void* memory) {
            --num_kept;
            delete[] static_cast<unsigned char*>(memory);
          }};
}

template <class T>
struct SpmmCase {
  Graph graph;
  std::vector<int32_t> narrow_indptr;
  std::vector<T> weight, x, out, out_before;
  int64_t dim, x_stride;
  cuda::SpmmMatrix matrix;

  SpmmCase(Graph made, int64_t dim, int64_t padding, DType index, Random& random)
      : graph(std::move(made)), dim(dim), x_stride(dim + padding) {
    narrow_indptr.assign(graph.indptr.begin(), graph.indptr.end());
    weight = random_values<T>(graph.num_edges(), random);
    x = random_values<T>((graph.num_cols - 1) * x_stride + dim, random);
    out_before = random_values<T>(graph.num_rows() * dim, random);
    matrix.num_rows = graph.num_rows();
    matrix.num_cols = graph.num_cols;
    matrix.num_edges = graph.num_edges();
    matrix.weight = weight.data();
    matrix.index_type = index;
    matrix.type = kTypeOf<T>;
    if (index == DType::kInt32) {
      matrix.indptr = narrow_indptr.data();
      matrix.indices = graph.narrow.data();
    } else {
      matrix.indptr = graph.indptr.data();
      matrix.indices = graph.wide.data();
    }
  }

  cuda::SpmmParams product(cuda::SpmmPlan* plan) {
    out = out_before;
    cuda::SpmmParams p;
    p.matrix = matrix;
    p.plan = plan;
    p.x = x.data();
    p.out = out.data();
    p.x_stride = x_stride;
    p.dim = dim;
    p.scale = 0.75;
    p.beta = 0.25;
    p.keep = &keep;
    return p;
  }

  int count_wrong() const {
    int wrong = 0;
    for (int64_t row = 0; row < graph.num_rows(); ++row) {
      for (int64_t i = 0; i < dim; ++i) {
        double sum = 0.0;
        for (int64_t e = graph.indptr[static_cast<size_t>(row)];
             e < graph.indptr[static_cast<size_t>(row) + 1]; ++e)
          sum += to_double(weight[static_cast<size_t>(e)]) *
                 to_double(x[static_cast<size_t>(graph.wide[static_cast<size_t>(e)] * x_stride + i)]);
        const auto at = static_cast<size_t>(row * dim + i);
        wrong += !near(to_double(out[at]), 0.75 * sum + 0.25 * to_double(out_before[at]), 4 * kTolerance<T>);
      }
    }
    return wrong;
  }
};

template <class T>
void test_products(DType index, Random& random) {
  for (const int64_t dim : {1, 7, 64}) {
    SpmmCase<T> test(random_graph(30, 30, 9, random), dim, dim % 3, index, random);
    EmuLaunch launch;
    cuda::spmm(test.product(nullptr), launch.at());
    CHECK(test.count_wrong() == 0);
    const auto plan = cuda::make_spmm_plan(test.matrix);
    for (int call = 0; call < 3; ++call) {
      cuda::spmm(test.product(plan.get()), launch.at());
      CHECK(test.count_wrong() == 0);
      CHECK(cuda::num_prepared(*plan) == 1);
    }
  }
  CHECK(num_kept == 0);
}

// One plan, several dims, row strides and streams: each is prepared once, and the longest unused goes.
void test_shapes(Random& random) {
  SpmmCase<float> first(random_graph(20, 20, 9, random), 3, 0, DType::kInt32, random);
  const auto plan = cuda::make_spmm_plan(first.matrix);
  EmuLaunch launch;
  const auto run = [&](int64_t dim, int64_t padding, size_t stream) {
    SpmmCase<float> test(first.graph, dim, padding, DType::kInt32, random);
    test.weight = first.weight;
    cuda::Launch at = launch.at();
    at.stream = reinterpret_cast<void*>(stream);
    cuda::spmm(test.product(plan.get()), at);
    CHECK(test.count_wrong() == 0);
  };
  run(3, 0, 0);
  run(3, 0, 0);
  CHECK(cuda::num_prepared(*plan) == 1 && num_kept == 1);
  run(3, 1, 0);
  run(5, 0, 0);
  run(5, 0, 1);
  CHECK(cuda::num_prepared(*plan) == 4 && num_kept == 4);
  for (int64_t dim = 10; dim < 25; ++dim) {
    run(3, 0, 0);  // in use all the time: it stays
    run(dim, 0, 0);
  }
  CHECK(cuda::num_prepared(*plan) == cuda::kMaxPrepared);
  const int kept = num_kept;
  run(3, 0, 0);
  CHECK(num_kept == kept);
}

void test_threads(Random& random) {
  SpmmCase<double> source(random_graph(20, 20, 9, random), 4, 0, DType::kInt64, random);
  const auto plan = cuda::make_spmm_plan(source.matrix);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([&, k] {
      Random own(static_cast<uint64_t>(k));
      for (int call = 0; call < 20; ++call) {
        SpmmCase<double> test(source.graph, 4 + k % 2, 0, DType::kInt64, own);
        test.weight = source.weight;
        EmuLaunch launch;
        cuda::spmm(test.product(plan.get()), launch.at());
        wrong += test.count_wrong();
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

void test_check(Random& random) {
  for (const Damage damage : {Damage::kNothing, Damage::kFirst, Damage::kLast, Damage::kPointer,
                              Damage::kOverlap, Damage::kIndex}) {
    for (int trial = 0; trial < 6; ++trial) {
      Graph graph = random_graph(trial % 2 ? 30 : 300, 30, 9, random);
      damage_one(graph, damage, random);
      for (const DType index : {DType::kInt32, DType::kInt64}) {
        for_each_schedule([&] {
          EmuLaunch launch;
          cuda::check_csr(graph.view(index), launch.at());
          CHECK(right_report(graph, EmuLaunch::take_fault()));
        });
      }
    }
  }
}

void test_all() {
  Random random(8);
  for (const DType index : {DType::kInt32, DType::kInt64}) {
    test_products<float>(index, random);
    test_products<double>(index, random);
    test_products<BFloat16>(index, random);
    test_products<Float16>(index, random);
  }
  test_shapes(random);
  CHECK(num_kept == 0);
  test_threads(random);
  test_check(random);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  try {
    test_all();
  } catch (const std::exception& problem) {  // what cuSPARSE refused
    check(false, problem.what(), __FILE__, __LINE__);
  }
  return finish();
}
