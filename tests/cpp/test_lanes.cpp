// Register code below the kernels (group test_isa: built once for each instruction set): exp_lanes,
// MicroGemm, inner_product, and 16-bit types in registers against the scalar conversion.
#include "check.h"
#include "cpu/exp.h"
#include "cpu/gemm.h"
#include "cpu/inner_product.h"
#include "graphs.h"
#include "machine.h"

namespace ltgnn::test {
namespace {

using namespace ltgnn::LTGNN_ISA;

void test_exp() {
  constexpr int kLanes = sizeof(FloatLanes) / sizeof(float);
  double worst = 0.0;
  float x[kLanes], y[kLanes];
  for (int step = 0; step < 200000; step += kLanes) {
    for (int k = 0; k < kLanes; ++k) x[k] = -87.0f * static_cast<float>(step + k) / 200000.0f;
    store_lanes(y, exp_lanes(load_lanes(x)));
    for (int k = 0; k < kLanes; ++k) {
      const double exact = std::exp(static_cast<double>(x[k]));
      worst = std::fmax(worst, std::fabs(static_cast<double>(y[k]) - exact) / exact);
    }
  }
  std::printf("exp_lanes: largest relative error %.3g\n", worst);
  CHECK(worst < 3 * std::ldexp(1.0, -23));  // three units in the last place
  for (int k = 0; k < kLanes; ++k) x[k] = k % 2 ? -1e30f : 0.0f;
  store_lanes(y, exp_lanes(load_lanes(x)));
  for (int k = 0; k < kLanes; ++k) CHECK(k % 2 ? y[k] >= 0.0f && y[k] < 1e-37f : y[k] == 1.0f);
}

template <class T>
void test_gemm(bool adds, int64_t depth, Random& random) {
  using Gemm = MicroGemm<T>;
  constexpr int64_t kM = Gemm::kRows, kN = Gemm::kCols, kPad = 3;
  for (const bool transposed : {false, true}) {
    const int64_t a_row = transposed ? 1 : depth + kPad, a_col = transposed ? kM + kPad : 1;
    const auto a = random_values<T>((kM - 1) * a_row + (depth - 1) * a_col + 1, random);
    const auto b = random_values<T>((depth - 1) * (kN + kPad) + kN, random);
    auto c = random_values<T>((kM - 1) * (kN + kPad) + kN, random);
    const auto before = c;
    Gemm::run(adds, depth, a.data(), a_row, a_col, b.data(), kN + kPad, c.data(), kN + kPad);
    for (int64_t m = 0; m < kM; ++m) {
      for (int64_t n = 0; n < kN; ++n) {
        const auto place = static_cast<size_t>(m * (kN + kPad) + n);
        double sum = adds ? static_cast<double>(before[place]) : 0.0;
        for (int64_t k = 0; k < depth; ++k)
          sum += static_cast<double>(a[static_cast<size_t>(m * a_row + k * a_col)]) *
                 static_cast<double>(b[static_cast<size_t>(k * (kN + kPad) + n)]);
        CHECK(near(static_cast<double>(c[place]), sum, kTolerance<T>));
      }
    }
  }
}

template <class T>
void test_inner_product(Random& random) {
  using Acc = typename AccumulatorOf<T>::type;
  for (int64_t dim = 0; dim < 150; ++dim) {
    const auto a = random_values<T>(dim, random), b = random_values<T>(dim, random);
    double sum = 0.0;
    for (size_t i = 0; i < a.size(); ++i) sum += to_double(a[i]) * to_double(b[i]);
    CHECK(near(static_cast<double>(inner_product<Acc>(a.data(), b.data(), dim)), sum,
               std::is_same_v<T, double> ? 1e-12 : 2e-5));
  }
}

BFloat16 rounded(float x, BFloat16) { return to_bfloat16(x); }
Float16 rounded(float x, Float16) { return to_float16(x); }

// Register and scalar conversions give the same bits, for any float32 and any stored value.
template <class T>
void test_16_bits(Random& random) {
  constexpr int kLanes = sizeof(FloatLanes) / sizeof(float);
  float x[kLanes], back[kLanes];
  T stored[kLanes];
  for (int trial = 0; trial < 50000; ++trial) {
    for (float& value : x) {
      const auto bits = static_cast<uint32_t>(random());
      std::memcpy(&value, &bits, sizeof(value));
    }
    store_lanes(stored, load_lanes(x));
    store_lanes(back, load_lanes(stored));
    bool same = true;
    for (int k = 0; k < kLanes; ++k) {
      const float scalar = to_float(stored[k]);
      same = same && stored[k].bits == rounded(x[k], T{}).bits && std::memcmp(&back[k], &scalar, 4) == 0;
    }
    CHECK(same);
  }
  for (uint32_t first = 0; first < 0x10000u; first += kLanes) {
    for (int k = 0; k < kLanes; ++k) stored[k].bits = static_cast<uint16_t>(first + static_cast<uint32_t>(k));
    store_lanes(back, load_lanes(stored));
    bool same = true;
    for (int k = 0; k < kLanes; ++k) {
      const float scalar = to_float(stored[k]);
      same = same && std::memcmp(&back[k], &scalar, 4) == 0;
    }
    CHECK(same);
  }
}

template <class T>
void test_type(Random& random) {
  for (const int64_t depth : {1, 2, 17, 256}) {
    test_gemm<T>(false, depth, random);
    test_gemm<T>(true, depth, random);
  }
  test_inner_product<T>(random);
}

// Out of line: the program is compiled for one instruction set, and main must not use it before it has asked.
[[gnu::noinline]] int run() {
  Random random(5);
  test_exp();
  test_type<float>(random);
  test_type<double>(random);
  test_inner_product<BFloat16>(random);
  test_inner_product<Float16>(random);
  test_16_bits<BFloat16>(random);
  test_16_bits<Float16>(random);
  return finish();
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  constexpr int kCannotRun = 77;
  if ((LTGNN_VECTOR_BYTES == 32 && !has_avx2()) || (LTGNN_VECTOR_BYTES == 64 && !has_avx512())) {
    std::puts("this machine lacks the instruction set");
    return kCannotRun;
  }
  return run();
}
