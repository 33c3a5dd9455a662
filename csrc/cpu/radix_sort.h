// A stable sort of small non-negative numbers with their places. (Not std::sort: see cpu/variant.h.)
#pragma once

#include "cpu/buffer.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Sorts `count` numbers, each in [0, bound), and moves `places` along; equal numbers stay in order.
inline void sort_with_places(int64_t* numbers, int64_t* places, int64_t count, int64_t bound) {
  constexpr int kBits = 11;
  constexpr int64_t kDigits = int64_t{1} << kBits;
  const Buffer<int64_t> begin(kDigits), numbers_out(count), places_out(count);
  const auto bytes = static_cast<size_t>(count) * sizeof(int64_t);
  for (int shift = 0; shift < 63 && (bound - 1) >> shift > 0; shift += kBits) {
    const auto digit = [&](int64_t i) { return (numbers[i] >> shift) & (kDigits - 1); };
    std::memset(begin.get(), 0, kDigits * sizeof(int64_t));
    for (int64_t i = 0; i < count; ++i) ++begin.get()[digit(i)];
    int64_t before = 0;
    for (int64_t d = 0; d < kDigits; ++d) {
      const int64_t here = begin.get()[d];
      begin.get()[d] = before;
      before += here;
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t to = begin.get()[digit(i)]++;
      numbers_out.get()[to] = numbers[i];
      places_out.get()[to] = places[i];
    }
    std::memcpy(numbers, numbers_out.get(), bytes);
    std::memcpy(places, places_out.get(), bytes);
  }
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
