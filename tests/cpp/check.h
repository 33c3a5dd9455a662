// All the harness that the C++ tests need: a failed CHECK is counted and printed, and the test goes on
// (unless a bug was planted).
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace ltgnn::test {

inline int num_checks = 0, num_failures = 0;

inline void check(bool good, const char* text, const char* file, int line) {
  ++num_checks;
  if (good) return;
  constexpr int kShown = 20;
  if (++num_failures <= kShown) std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, text);
  if (std::getenv("LTGNN_EMU_BUG")) std::_Exit(1);  // a planted bug: it has been found
}

// |a - b| <= tolerance * max(1, |b|); two NaNs are near each other.
inline bool near(double a, double b, double tolerance) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::fabs(a - b) <= tolerance * std::fmax(1.0, std::fabs(b));
}

// What main returns. A test that checked nothing has failed.
inline int finish() {
  std::printf("%d checks, %d failures\n", num_checks, num_failures);
  return num_failures == 0 && num_checks > 0 ? 0 : 1;
}

}  // namespace ltgnn::test

#define CHECK(condition) ::ltgnn::test::check((condition), #condition, __FILE__, __LINE__)
