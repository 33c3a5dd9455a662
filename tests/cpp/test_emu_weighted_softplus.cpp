// weighted_softplus_ on CUDA, under emulation, and on the CPU, against the formulas in double.
#include "check.h"
#include "emu.h"
#include "graphs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

template <class T>
struct Case {
  int64_t num_rows, num_columns;
  std::vector<T> start, scores, of_row, of_column, of_all;
  std::vector<double> loss;

  Case(int64_t rows, int64_t columns, Random& random)
      : num_rows(rows),
        num_columns(columns),
        start(random_values<T>(rows * columns, random)),
        of_row(random_values<T>(rows, random)),
        of_column(random_values<T>(columns, random)),
        of_all(random_values<T>(columns, random)),
        loss(static_cast<size_t>(rows)) {
    // Of every size, and some beyond where an exponential overflows.
    for (size_t i = 0; i < start.size(); ++i) {
      constexpr double kSizes[] = {1e-3, 1.0, 5.0, 30.0, 2000.0};
      start[i] *= static_cast<T>(kSizes[static_cast<size_t>(below(random, 5))]);
    }
  }

  WeightedSoftplusParams params() {
    scores = start;
    WeightedSoftplusParams p;
    p.scores = scores.data();
    p.of_row = of_row.data();
    p.of_column = of_column.data();
    p.of_all = of_all.data();
    p.num_rows = num_rows;
    p.num_columns = num_columns;
    p.loss = loss.data();
    p.type = kTypeOf<T>;
    return p;
  }

  void check() const {
    const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-13;
    int wrong_slopes = 0, wrong_losses = 0;
    for (int64_t i = 0; i < num_rows; ++i) {
      double sum = 0.0, size = 0.0;
      for (int64_t j = 0; j < num_columns; ++j) {
        const auto row = static_cast<size_t>(i), column = static_cast<size_t>(j);
        const size_t at = static_cast<size_t>(i * num_columns + j);
        const double weight = static_cast<double>(of_row[row]) * static_cast<double>(of_column[column]) +
                              static_cast<double>(of_all[column]);
        const double s = static_cast<double>(start[at]), small = std::exp(-std::fabs(s));
        const double slope = (s < 0 ? small : 1.0) / (1.0 + small);
        const double cost = (s > 0 ? s : 0.0) + std::log1p(small);
        wrong_slopes += !near(static_cast<double>(scores[at]), weight * slope, tolerance);
        sum += weight * cost;
        size += (std::fabs(static_cast<double>(of_row[row]) * static_cast<double>(of_column[column])) +
                 std::fabs(static_cast<double>(of_all[column]))) *
                cost;
      }
      wrong_losses += std::fabs(loss[static_cast<size_t>(i)] - sum) > tolerance * (1.0 + size);
    }
    CHECK(wrong_slopes == 0);
    CHECK(wrong_losses == 0);
  }
};

template <class T>
void test_shape(int64_t num_rows, int64_t num_columns, Random& random) {
  Case<T> made(num_rows, num_columns, random);
  for_each_schedule([&] {
    EmuLaunch launch;
    cuda::weighted_softplus(made.params(), launch.at());
    CHECK(EmuLaunch::take_fault().state == FaultRecord::kFree);
    made.check();
  });
  for (const CpuKernels* kernels : kernel_tables()) {
    std::vector<T> first;
    std::vector<double> first_loss;
    for (const int threads : {1, kMaxThreads}) {
      CHECK(kernels->weighted_softplus(made.params(), parallel(threads)) == -1);
      made.check();
      if (first.empty()) first = made.scores, first_loss = made.loss;
      CHECK(same_bits(first, made.scores));
      CHECK(same_bits(first_loss, made.loss));
    }
  }
}

template <class T>
void test_type(Random& random) {
  for (const int64_t columns : {0, 1, 3, 15, 16, 17, 33, 256, 1000}) test_shape<T>(3, columns, random);
  test_shape<T>(300, 40, random);
  test_shape<T>(0, 40, random);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(16);
  test_type<float>(random);
  test_type<double>(random);
  return finish();
}
