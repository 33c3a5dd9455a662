// Adam against the textbook's loop in double, dense and on touched rows.
#include <numeric>

#include "check.h"
#include "graphs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

constexpr int64_t kRows = 300, kDim = 21, kSteps = 4;
constexpr double kLr = 0.01, kBeta1 = 0.9, kBeta2 = 0.99, kEps = 1e-8;

struct Model {
  std::vector<double> param, m, v, delta;

  void step(size_t i, double g, double l2, int64_t t) {
    g += l2 * param[i];
    m[i] = kBeta1 * m[i] + (1 - kBeta1) * g;
    v[i] = kBeta2 * v[i] + (1 - kBeta2) * g * g;
    const double m_hat = m[i] / (1 - std::pow(kBeta1, static_cast<double>(t)));
    const double v_hat = v[i] / (1 - std::pow(kBeta2, static_cast<double>(t)));
    const double change = -kLr * m_hat / (std::sqrt(v_hat) + kEps);
    param[i] += change;
    delta[i] += change;
  }
};

template <class T>
void test_adam(const CpuKernels& kernels, bool sparse, int threads, Random& random, std::vector<T>& result) {
  auto param = random_values<T>(kRows * kDim, random);
  std::vector<T> m(param.size(), 0), v(param.size(), 0), delta(param.size(), 0);
  Model model{{param.begin(), param.end()}, {m.begin(), m.end()}, {v.begin(), v.end()}, {v.begin(), v.end()}};
  std::vector<int64_t> all(kRows);
  std::iota(all.begin(), all.end(), 0);
  for (int64_t t = 1; t <= kSteps; ++t) {
    std::shuffle(all.begin(), all.end(), random);
    std::vector<int64_t> rows(all.begin(), all.begin() + (sparse ? kRows / 3 : kRows));
    if (!sparse) std::sort(rows.begin(), rows.end());
    const auto num_rows = static_cast<int64_t>(rows.size());
    const auto grad = random_values<T>(num_rows * kDim, random), l2 = random_values<T>(num_rows, random);
    AdamParams p;
    p.rows = sparse ? rows.data() : nullptr;
    p.num_rows = num_rows;
    p.table_rows = kRows;
    p.dim = kDim;
    p.grad = grad.data();
    p.l2 = sparse ? l2.data() : nullptr;
    p.param = param.data();
    p.m = m.data();
    p.v = v.data();
    p.delta = delta.data();
    p.constants = adam_constants(kLr, kBeta1, kBeta2, kEps, t);
    p.type = kTypeOf<T>;
    CHECK(kernels.adam(p, parallel(threads)) == -1);
    for (size_t k = 0; k < rows.size(); ++k)
      for (size_t i = 0; i < kDim; ++i)
        model.step(static_cast<size_t>(rows[k]) * kDim + i, static_cast<double>(grad[k * kDim + i]),
                   sparse ? static_cast<double>(l2[k]) : 0.0, t);
  }
  int wrong = 0;
  for (size_t i = 0; i < param.size(); ++i) {
    wrong += !near(static_cast<double>(param[i]), model.param[i], kTolerance<T>);
    wrong += !near(static_cast<double>(m[i]), model.m[i], kTolerance<T>);
    wrong += !near(static_cast<double>(v[i]), model.v[i], kTolerance<T>);
    wrong += !near(static_cast<double>(delta[i]), model.delta[i], kTolerance<T>);
  }
  CHECK(wrong == 0);
  result = param;
}

template <class T>
void test_type(const CpuKernels& kernels) {
  for (const bool sparse : {false, true}) {
    std::vector<T> first, other;
    for (int threads = 1; threads <= kMaxThreads; ++threads) {
      Random random(7);  // the same data for any number of threads
      test_adam<T>(kernels, sparse, threads, random, threads == 1 ? first : other);
      CHECK(threads == 1 || same_bits(first, other));
    }
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  for (const ltgnn::CpuKernels* kernels : ltgnn::test::kernel_tables()) {
    ltgnn::test::test_type<float>(*kernels);
    ltgnn::test::test_type<double>(*kernels);
  }
  return ltgnn::test::finish();
}
