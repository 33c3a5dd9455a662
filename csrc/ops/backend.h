// The operators of csrc/ops are compiled once for each backend: into _C with LTGNN_BACKEND_CUDA 0 and into
// _C_cuda with 1. This header is all that differs: the dispatch key, and how a kernel is started.
#pragma once

#include "ops/checks.h"

#if LTGNN_BACKEND_CUDA

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include "cuda/kernels.h"
#define LTGNN_DISPATCH_KEY CUDA

namespace ltgnn {

// Queues a kernel on x's device, on the stream that torch would use now.
template <class Params>
void launch_beside(const Tensor& x, const Params& params, void (*launch)(const Params&, void*)) {
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(x.get_device_index(), &stream));
  launch(params, stream);
}

// Rows and indices are not looked at from the host (that would wait for the device): a graph checks them
// once when it is made, and CUDA kernels never follow one that is out of range (see cuda/kernels.h).
#define LTGNN_RUN(op, x, params) ::ltgnn::launch_beside(x, params, &::ltgnn::cuda::op)
#define LTGNN_RUN_CSR(op, x, params) LTGNN_RUN(op, x, params)

}  // namespace ltgnn

#else

#include "cpu/kernels.h"
#include "ops/torch_parallel.h"
#define LTGNN_DISPATCH_KEY CPU

#define LTGNN_RUN(op, x, params) ::ltgnn::cpu_kernels().op(params, ::ltgnn::torch_parallel())
// For kernels over params.csr: raises for a row that the kernel found malformed.
#define LTGNN_RUN_CSR(op, x, params) ::ltgnn::check_fault(#op, (params).csr, LTGNN_RUN(op, x, params))

#endif
