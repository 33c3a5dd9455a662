// Asking for a row of a table before it is needed.
#pragma once

#include <cstdint>

#include "core/macros.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Asks for the cache line of an address. The empty statement is for GCC, which takes a function that only
// prefetches for one without effect, and drops its calls.
LTGNN_HD void prefetch_line(const void* address) {
  __builtin_prefetch(address);
  asm volatile("");
}

// Asks for `bytes` of row `row` of a table whose rows are `pitch` bytes apart; null is no table. Unsigned
// address arithmetic: nothing has tested the row.
LTGNN_HD void prefetch_row(const void* table, int64_t row, int64_t pitch, int64_t bytes) {
  if (table == nullptr) return;
  const uint64_t first =
      reinterpret_cast<uint64_t>(table) + static_cast<uint64_t>(row) * static_cast<uint64_t>(pitch);
  for (int64_t byte = 0; byte < bytes; byte += 64)
    prefetch_line(reinterpret_cast<const void*>(first + static_cast<uint64_t>(byte)));
}

// The same where rows lie side by side.
LTGNN_HD void prefetch_row(const void* table, int64_t row, int64_t row_bytes) {
  prefetch_row(table, row, row_bytes, row_bytes);
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
