// bfloat16 rounding against a model that knows nothing of bits: of all stored values the nearest, and of two
// that are equally near the one whose last bit is 0.
#include "check.h"
#include "graphs.h"

namespace ltgnn::test {
namespace {

double value_of(uint16_t bits) { return static_cast<double>(to_float({bits})); }

float from_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// For finite x >= 0: walks up from the largest stored value that is not above x.
uint16_t model(float x) {
  uint16_t low = 0, high = 0x7F80;  // infinity is stored too
  while (high - low > 1) {          // stored values of one sign are in order of their bits
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (value_of(middle) <= static_cast<double>(x) ? low : high) = middle;
  }
  // Infinity takes the place of the next power of two.
  const double above = high == 0x7F80 ? std::ldexp(1.0, 128) : value_of(high);
  const double to_low = static_cast<double>(x) - value_of(low), to_high = above - static_cast<double>(x);
  if (to_low != to_high) return to_low < to_high ? low : high;
  return low % 2 == 0 ? low : high;
}

void test_pattern(uint32_t bits) {
  const float x = from_bits(bits & 0x7FFFFFFFu);
  const uint16_t positive = to_bfloat16(x).bits, negative = to_bfloat16(-x).bits;
  CHECK(negative == (positive | 0x8000));
  if (std::isnan(x)) {
    CHECK(std::isnan(to_float({positive})));
  } else if (std::isinf(x)) {
    CHECK(positive == 0x7F80);
  } else {
    CHECK(positive == model(x));
  }
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  // Every upper half with the lower halves at and around the borders of rounding, then any pattern.
  for (uint32_t upper = 0; upper < 0x8000u; ++upper)
    for (const uint32_t lower : {0x0000u, 0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu})
      test_pattern(upper << 16 | lower);
  Random random(4);
  for (int i = 0; i < 200000; ++i) test_pattern(static_cast<uint32_t>(random()));
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float x = ltgnn::to_float({static_cast<uint16_t>(bits)});
    if (!std::isnan(x)) CHECK(ltgnn::to_bfloat16(x).bits == bits);  // stored values come back
  }
  return finish();
}
