// The fused losses and their gradients against plain loops that keep the whole batch-by-batch matrix.
#include "check.h"
#include "graphs.h"
#include "loss_case.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

// The gradient as a whole is good to `tolerance`.
void compare_rounded(Batch<float>& b, const CpuKernels& kernels, double tolerance) {
  const Expected expected = expected_softmax(b);
  std::vector<float> first;
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    std::fill(b.grad.begin(), b.grad.end(), 3.0f);
    CHECK(kernels.in_batch_softmax_loss(b.params, parallel(threads)) == -1);
    if (threads == 1) first = b.grad;
    CHECK(same_bits(b.grad, first));
  }
  double error = 0.0, square = 0.0;
  for (size_t i = 0; i < b.grad.size(); ++i) {
    const double off = static_cast<double>(b.grad[i]) - expected.grad[i];
    error += off * off;
    square += expected.grad[i] * expected.grad[i];
  }
  CHECK(near(b.loss, expected.loss, tolerance));
  CHECK(error <= tolerance * tolerance * square + 1e-10);
}

// Sizes on both sides of tiles of 32, blocks of 96 and 128, and chunks of 256.
void test_rounded_factors(const CpuKernels& kernels, Random& random) {
  for (const int64_t size : {1, 2, 31, 33, 96, 127, 129, 257, 300}) {
    for (const int64_t dim : {1, 16, 33, 64}) {
      Batch<float> b(size, dim, random);
      b.params.allow_bf16 = true;
      compare_rounded(b, kernels, 1e-2);
      b.skip_some(random);
      compare_rounded(b, kernels, 1e-2);
    }
  }
}

template <class T, class Kernel>
void compare(Batch<T>& b, const Expected& expected, Kernel kernel) {
  std::vector<T> first;
  double first_loss = 0.0;
  for (int threads = 1; threads <= kMaxThreads; ++threads) {
    std::fill(b.grad.begin(), b.grad.end(), T(3));
    CHECK(kernel(b.params, parallel(threads)) == -1);
    if (threads == 1) {
      first = b.grad;
      first_loss = b.loss;
    }
    CHECK(same_bits(b.grad, first) && b.loss == first_loss);
  }
  CHECK(near(b.loss, expected.loss, kTolerance<T>));
  int wrong = 0;
  for (size_t i = 0; i < b.grad.size(); ++i)
    wrong += !near(static_cast<double>(b.grad[i]), expected.grad[i], 4 * kTolerance<T>);
  CHECK(wrong == 0);
}

template <class T>
void test_type(const CpuKernels& kernels, Random& random) {
  // One block, several blocks and several groups of cpu/in_batch_softmax.h; dims with and without padding.
  for (const int64_t size : {1, 2, 47, 130, 300}) {
    for (const int64_t dim : {1, 16, 33}) {
      Batch<T> b(size, dim, random);
      compare(b, expected_bpr(b), kernels.bpr_loss);
      compare(b, expected_softmax(b), kernels.in_batch_softmax_loss);
      b.skip_some(random);
      compare(b, expected_softmax(b), kernels.in_batch_softmax_loss);
    }
  }
  for (const int64_t bad : {int64_t{-1}, int64_t{135}, INT64_MAX}) {
    Batch<T> b(130, 8, random);
    b.items[100] = bad;
    b.users[110] = bad;
    for (const int threads : {1, kMaxThreads}) {
      CHECK(kernels.bpr_loss(b.params, parallel(threads)) == 100);
      CHECK(kernels.in_batch_softmax_loss(b.params, parallel(threads)) == 100);
    }
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(8);
  for (const ltgnn::CpuKernels* kernels : kernel_tables()) {
    test_type<float>(*kernels, random);
    test_type<double>(*kernels, random);
  }
  for (const ltgnn::CpuKernels* kernels : rounding_tables()) test_rounded_factors(*kernels, random);
  return finish();
}
