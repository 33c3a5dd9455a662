// propagate on CUDA, under emulation: against the same sum in double.
#include "check.h"
#include "cuda/kernels.h"
#include "emu.h"
#include "propagate_case.h"

namespace ltgnn::test {
namespace {

template <class T>
void test_propagate(int64_t dim, Random& random) {
  PropagateCase<T> test(random_graph(40, 40, 9, random), dim, 0, DType::kInt32, random);
  std::vector<T> first;
  for_each_schedule([&] {
    EmuLaunch launch;
    cuda::propagate(test.params, launch.at());
    int wrong = 0;
    for (int64_t row = 0; row < 40; ++row)
      for (int64_t i = 0; i < dim; ++i)
        wrong += !near(test.result(row, i), test.expected(row, i), 4 * kTolerance<T>);
    CHECK(wrong == 0);
    if (first.empty()) first = test.out;
    CHECK(same_bits(first, test.out));
  });
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  Random random(5);
  for (const int64_t dim : {1, 3, 8, 33, 64, 200}) {
    test_propagate<float>(dim, random);
    test_propagate<double>(dim, random);
    test_propagate<ltgnn::BFloat16>(dim, random);
  }
  return finish();
}
