#include "cpu/huge_pages.h"

#include <cstdint>
#include <cstdlib>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ltgnn {
namespace {

constexpr uintptr_t kHugePage = uintptr_t{2} << 20;

uintptr_t round_up(uintptr_t value, uintptr_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

void advise_huge_pages(void* data, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // Whole huge pages inside the range only: the rest of the first and the last is another's.
  const auto begin = reinterpret_cast<uintptr_t>(data), end = begin + bytes;
  const uintptr_t first = round_up(begin, kHugePage), last = end / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  static_cast<void>(data);
  static_cast<void>(bytes);
#endif
}

void* allocate_large(size_t bytes) {
  const size_t unit = bytes >= kHugePage ? kHugePage : 64;
  void* data = std::aligned_alloc(unit, round_up(bytes > 0 ? bytes : 1, unit));
  if (data != nullptr && unit == kHugePage) advise_huge_pages(data, round_up(bytes, unit));
  return data;
}

}  // namespace ltgnn
