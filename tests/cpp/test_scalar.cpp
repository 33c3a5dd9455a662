// 16-bit rounding against a model that knows nothing of bits: of all stored values the nearest, and of two
// that are equally near the one whose last bit is 0.
#include "check.h"
#include "graphs.h"

namespace ltgnn::test {
namespace {

// What tells the formats apart.
template <class T>
struct Format;
template <>
struct Format<BFloat16> {
  static constexpr uint16_t kInfinity = 0x7F80;
  static constexpr int kAboveLargest = 128;  // infinity takes the place of this power of two
  static BFloat16 round(float x) { return to_bfloat16(x); }
};
template <>
struct Format<Float16> {
  static constexpr uint16_t kInfinity = 0x7C00;
  static constexpr int kAboveLargest = 16;
  static Float16 round(float x) { return to_float16(x); }
};

template <class T>
double value_of(uint16_t bits) {
  return static_cast<double>(to_float(T{bits}));
}

// For finite x >= 0: walks up from the largest stored value that is not above x.
template <class T>
uint16_t model(float x) {
  constexpr uint16_t kInfinity = Format<T>::kInfinity;
  if (static_cast<double>(x) >= std::ldexp(1.0, Format<T>::kAboveLargest)) return kInfinity;
  uint16_t low = 0, high = kInfinity;
  while (high - low > 1) {  // stored values of one sign are in order of their bits
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (value_of<T>(middle) <= static_cast<double>(x) ? low : high) = middle;
  }
  const double above = high == kInfinity ? std::ldexp(1.0, Format<T>::kAboveLargest) : value_of<T>(high);
  const double to_low = static_cast<double>(x) - value_of<T>(low), to_high = above - static_cast<double>(x);
  if (to_low != to_high) return to_low < to_high ? low : high;
  return low % 2 == 0 ? low : high;
}

template <class T>
void test_pattern(uint32_t bits) {
  const float x = float_of_bits(bits & 0x7FFFFFFFu);
  const uint16_t positive = Format<T>::round(x).bits, negative = Format<T>::round(-x).bits;
  CHECK(negative == (positive | 0x8000));
  if (std::isnan(x)) {
    CHECK(std::isnan(to_float(T{positive})));
  } else if (std::isinf(x)) {
    CHECK(positive == Format<T>::kInfinity);
  } else {
    CHECK(positive == model<T>(x));
  }
}

// Every stored value comes back, NaNs as NaNs.
template <class T>
void test_round_trip() {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto stored = static_cast<uint16_t>(bits);
    const float x = to_float(T{stored});
    CHECK(std::isnan(x) == ((stored & 0x7FFF) > Format<T>::kInfinity));
    if (!std::isnan(x)) CHECK(Format<T>::round(x).bits == stored);
  }
}

void test_known_values() {
  const std::pair<uint16_t, double> known[] = {
      {0x0000, 0.0},
      {0x0001, std::ldexp(1.0, -24)},
      {0x03FF, std::ldexp(1023.0, -24)},
      {0x3C00, 1.0},
      {0x0400, std::ldexp(1.0, -14)},
      {0x3555, 0.333251953125},
      {0x7BFF, 65504.0},
      {0xC000, -2.0},
      {0x7C00, std::ldexp(1.0, 1000) * 1e300},
  };
  for (const auto& [bits, value] : known) CHECK(value_of<Float16>(bits) == value);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn;
  using namespace ltgnn::test;
  // bfloat16: every upper half with the lower halves at and around the borders of rounding.
  for (uint32_t upper = 0; upper < 0x8000u; ++upper)
    for (const uint32_t lower : {0x0000u, 0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu})
      test_pattern<BFloat16>(upper << 16 | lower);
  // float16: every stored value and every middle between two, with their neighbours in float32.
  for (uint32_t bits = 0; bits < 0x7C00u; ++bits) {
    const auto stored = static_cast<uint16_t>(bits);
    const uint32_t here = bits_of_float(to_float(Float16{stored}));
    const double next = bits + 1 == 0x7C00u ? 65536.0 : value_of<Float16>(static_cast<uint16_t>(bits + 1));
    const uint32_t middle = bits_of_float(static_cast<float>((value_of<Float16>(stored) + next) / 2));
    for (const uint32_t at : {here, here + 1, middle - 1, middle, middle + 1}) test_pattern<Float16>(at);
  }
  Random random(4);
  for (int i = 0; i < 200000; ++i) {
    const auto bits = static_cast<uint32_t>(random());
    test_pattern<BFloat16>(bits);
    test_pattern<Float16>(bits);
    test_pattern<Float16>((bits & 0x0FFFFFFFu) + 0x32000000u);  // where float16 has its values
  }
  test_round_trip<BFloat16>();
  test_round_trip<Float16>();
  test_known_values();
  return finish();
}
