// The record that all kernels report to: mapped host memory, so that the host reads it without a copy.
#include "cuda/kernels.h"
#include "cuda/launch.cuh"

namespace ltgnn::cuda {

FaultRecord* fault_record() {
  static FaultRecord* const record = [] {
    void* memory = nullptr;
    check("fault_record",
          cudaHostAlloc(&memory, sizeof(FaultRecord), cudaHostAllocMapped | cudaHostAllocPortable));
    auto* made = static_cast<FaultRecord*>(memory);
    *made = FaultRecord{};
    return made;
  }();
  return record;
}

void synchronize(void* stream_handle) {
  const auto stream = static_cast<cudaStream_t>(stream_handle);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check("synchronize", cudaStreamIsCapturing(stream, &status));
  if (status == cudaStreamCaptureStatusNone) check("synchronize", cudaStreamSynchronize(stream));
}

}  // namespace ltgnn::cuda
