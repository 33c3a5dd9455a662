// What a CUDA kernel found wrong in its input, written where the host can read it without waiting for the
// device. One record serves all launches: the first fault is kept until it has been raised
// (ops/cuda_launch.h).
#pragma once

#include <cstdint>

namespace ltgnn {

enum class FaultKind : int32_t {
  kFirstPointer,  // indptr[0] is not 0
  kLastPointer,   // indptr[num_rows] is not the number of indices
  kRowPointers,   // a row's edge range is not usable
  kIndex,         // an index is no column
  kId,            // a row number given by the caller is no row
  kRowRange,      // a row's begin and degree are no range of the pool of indices
  kOrder,         // an index is below the one before it in its row
  kFanout,        // a row's own fanout is negative or above the fanout
};

enum class IdName : int32_t { kRows, kUsers, kItems, kNegatives };

struct FaultRecord {
  static constexpr uint32_t kFree = 0, kBusy = 1, kComplete = 2;
  uint32_t state;
  FaultKind kind;
  IdName name;
  const char* op;    // the host's text
  int64_t position;  // row, edge or place in the list of ids
  int64_t value;     // what was found there
  int64_t other;     // kRowPointers: the row's end; kRowRange: its degree; kIndex, kOrder: the row
  int64_t bound;     // first value too large; kOrder: the index before
};

// What a launch gives its kernels to report to.
struct FaultSink {
  FaultRecord* record = nullptr;
  const char* op = nullptr;
};

}  // namespace ltgnn
