// Numbers from text: runs of decimal digits eight bytes at a time, integers in canonical form and
// decimal fractions. Nothing here depends on the locale, allocates or reads past `end`.
#pragma once

#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

namespace ltgnn::io {

inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

struct Digits {
  int count = 0;  // 0 to 8
  std::uint32_t value = 0;
};

// The digits that the eight bytes at `p` start with.
inline Digits leading_digits(const char* p) {
  if constexpr (std::endian::native == std::endian::little) {
    // '0'..'9' become 0..9. Adding 0x76 sets the top bit of every byte above 9; a carry can only
    // spoil the bytes behind the first byte that is no digit, and those are not looked at.
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    word ^= 0x3030303030303030u;
    const std::uint64_t stops = ((word + 0x7676767676767676u) | word) & 0x8080808080808080u;
    const int count = std::countr_zero(stops) >> 3;
    if (count == 0) return {};
    word <<= 8 * (8 - count);  // the empty places in front count as zeros
    word = (word * 10 + (word >> 8)) & 0x00ff00ff00ff00ffu;
    word = (word * 100 + (word >> 16)) & 0x0000ffff0000ffffu;
    return {count, static_cast<std::uint32_t>(word * 10000 + (word >> 32))};
  }
  Digits out;
  for (; out.count < 8 && is_digit(p[out.count]); ++out.count) {
    out.value = out.value * 10 + static_cast<std::uint32_t>(p[out.count] - '0');
  }
  return out;
}

// Reads the digits at `p` and moves `p` behind them. The value saturates at UINT32_MAX: callers
// only need to know that it is larger than any id. No digit at `p`: returns 0 and leaves `p` alone.
inline std::uint32_t read_digits(const char*& p, const char* end) {
  std::uint64_t value = 0;
  if (end - p >= 8) {
    const Digits first = leading_digits(p);
    p += first.count;
    if (first.count < 8) return first.value;
    value = first.value;
  }
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint32_t>::max();
  for (; p != end && is_digit(*p); ++p) {
    value = value * 10 + static_cast<std::uint64_t>(*p - '0');
    if (value > kMax) value = kMax;
  }
  return static_cast<std::uint32_t>(value);
}

// Reads up to 16 digits at `p` as they would be printed (no zero in front) and moves `p` behind them; false,
// with `p` left alone, where there is none, a zero in front, or no 16 bytes left to look at.
inline bool read_short_integer(const char*& p, const char* end, std::uint64_t& value) {
  constexpr std::uint64_t kPowers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
  if (end - p < 16) return false;
  const Digits first = leading_digits(p);
  if (first.count == 0 || (*p == '0' && first.count > 1)) return false;
  value = first.value;
  if (first.count == 8) {
    const Digits more = leading_digits(p + 8);
    value = value * kPowers[more.count] + more.value;
    p += more.count;
  }
  p += first.count;
  return true;
}

// The whole of `text` as an int64 if it is written the one way a program would print it: "0", "42",
// "-7", but not "007", "+7" or "-0". Other spellings must stay text, or two ids could become one.
inline std::optional<std::int64_t> canonical_int64(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || digits.size() > 19) return std::nullopt;
  if (digits[0] == '0' && (digits.size() > 1 || negative)) return std::nullopt;
  std::uint64_t value = 0;  // 19 digits always fit
  for (const char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value > kMax) return std::nullopt;  // INT64_MIN is given up: it stays text
  const auto magnitude = static_cast<std::int64_t>(value);
  return negative ? -magnitude : magnitude;
}

// The whole of `text` as a finite double, correctly rounded, or nothing.
inline std::optional<double> finite_double(std::string_view text) {
  // Fast path: at most 15 digits with at most one point. Mantissa and power of ten are then exact
  // doubles, so that one division rounds correctly.
  static constexpr double kPowers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  if (!text.empty() && text.size() <= 16) {
    std::uint64_t mantissa = 0;
    std::size_t digits = 0;
    std::size_t behind_point = 0;
    bool point = false;
    bool simple = true;
    for (const char c : text) {
      if (is_digit(c)) {
        mantissa = mantissa * 10 + static_cast<std::uint64_t>(c - '0');
        ++digits;
        behind_point += point ? 1 : 0;
      } else if (c == '.' && !point) {
        point = true;
      } else {
        simple = false;
        break;
      }
    }
    if (simple && digits >= 1 && digits <= 15) {
      return static_cast<double>(mantissa) / kPowers[behind_point];
    }
  }
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace ltgnn::io
