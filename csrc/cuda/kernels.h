// Starts the CUDA kernels. No CUDA header, so that csrc/ops compiles without a toolkit's include folder.
//
// Every launcher returns at once: the work is queued on the stream of the current device. A failure to queue
// it throws std::runtime_error. Malformed input (an index, an id or a row pointer out of range) is never
// followed: what depends on it comes out as NaN or -1, and the fault is reported to `faults`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/fault.h"
#include "cuda/spmm.h"
#include "kernels/edge_dot.h"
#include "kernels/propagate.h"

namespace ltgnn::cuda {

// What a launcher gets beside its parameters.
struct Launch {
  void* stream = nullptr;
  FaultSink faults;
  // Device memory (256-byte aligned, not zeroed) that stays until the kernels queued by this launcher have
  // run.
  void* (*allocate)(void* owner, size_t bytes) = nullptr;
  void* owner = nullptr;

  void* scratch(size_t bytes) const { return allocate(owner, bytes); }
};

// The record to report to (ops/faults.h reads it).
FaultRecord* fault_record();
// Waits for the stream, unless it is being captured into a CUDA graph.
void synchronize(void* stream);

void propagate(const PropagateParams& params, const Launch& at);
void edge_dot(const EdgeDotParams& params, const Launch& at);

}  // namespace ltgnn::cuda
