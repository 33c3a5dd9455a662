// How an operator's front door starts CUDA kernels, and how their faults become exceptions.
//
// Waiting for each kernel to learn whether its input was sound would cost more than the kernel. So a fault is
// raised by the next ltgnn operator that runs after it was found, or by `check_faults`; with
// LTGNN_CUDA_CHECK=1 in the environment every operator waits and raises its own. Under emulation kernels have
// run when the launcher returns.
#pragma once

#include <cstdlib>
#include <cstring>
#include <vector>

#include "cuda/kernels.h"
#include "ops/checks.h"

#if LTGNN_BACKEND == LTGNN_CUDA
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#endif

namespace ltgnn {

inline bool waits_for_faults() {
#if LTGNN_BACKEND == LTGNN_EMU
  return true;
#else
  static const bool wanted = [] {
    const char* text = std::getenv("LTGNN_CUDA_CHECK");
    return text != nullptr && *text != '\0' && std::strcmp(text, "0") != 0;
  }();
  return wanted;
#endif
}

// Raises the fault that a kernel has reported, if there is one, and frees the record.
inline void raise_fault(const char* note) {
  FaultRecord* record = cuda::fault_record();
  if (__atomic_load_n(&record->state, __ATOMIC_ACQUIRE) != FaultRecord::kComplete) return;
  const FaultRecord fault = *record;
  __atomic_store_n(&record->state, FaultRecord::kFree, __ATOMIC_RELEASE);
  fail_fault(fault, note);
}

// Memory of torch's allocator: it is reused only by later work of the same stream, so it may be let go as
// soon as the kernels are queued.
struct Scratch {
  const Tensor& like;
  std::vector<Tensor> memory;

  static void* allocate(void* self, size_t bytes) {
    auto* scratch = static_cast<Scratch*>(self);
    scratch->memory.push_back(
        torch::stable::new_empty(scratch->like, {static_cast<int64_t>(bytes)}, ScalarType::Byte));
    return scratch->memory.back().mutable_data_ptr();
  }
};

// Queues a kernel on x's device, on the stream that torch would use now, and waits for it where asked to. -1,
// as a CPU kernel that met no fault.
template <class Params>
int64_t launch_beside(const char* op, const Tensor& x, const Params& params,
                      void (*launcher)(const Params&, const cuda::Launch&), bool wait = waits_for_faults()) {
#if LTGNN_BACKEND == LTGNN_CUDA
  LTGNN_CHECK(op, x.is_cuda(), "its tensors must be on a CUDA device, got cpu");
#endif
  raise_fault(" (found by an earlier call: LTGNN_CUDA_CHECK=1 raises it there)");
  Scratch scratch{x, {}};
  cuda::Launch at{nullptr, {cuda::fault_record(), op}, &Scratch::allocate, &scratch};
#if LTGNN_BACKEND == LTGNN_CUDA
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(x.get_device_index(), &at.stream));
#endif
  launcher(params, at);
  if (wait) {
    cuda::synchronize(at.stream);
    raise_fault("");
  }
  return -1;
}

}  // namespace ltgnn
