// The operators of csrc/ops are compiled once for each backend (LTGNN_BACKEND): into _C for the CPU, into
// _C_cuda for CUDA, and for the tests into a library of operators `ltgnn_emu`, which run the CUDA kernels on
// CPU memory (csrc/emu). This header is all that differs: the library and dispatch key, and how a kernel is
// started.
#pragma once

#include "ops/checks.h"

#define LTGNN_CPU 0
#define LTGNN_CUDA 1
#define LTGNN_EMU 2

#if LTGNN_BACKEND == LTGNN_CPU

#include "cpu/kernels.h"
#include "ops/torch_parallel.h"
#define LTGNN_LIBRARY ltgnn
#define LTGNN_DISPATCH_KEY CPU

// Runs a kernel: -1, or the lowest position at which the input is malformed. `op` is the operator's name.
#define LTGNN_RUN(op, kernel, x, params) ::ltgnn::cpu_kernels().kernel(params, ::ltgnn::torch_parallel())
// For kernels over params.csr: raises for a row that the kernel found malformed.
#define LTGNN_RUN_CSR(op, kernel, x, params) \
  ::ltgnn::check_fault(op, (params).csr, LTGNN_RUN(op, kernel, x, params))

#else

#include "cuda/kernels.h"
#include "ops/cuda_launch.h"
#if LTGNN_BACKEND == LTGNN_CUDA
#define LTGNN_LIBRARY ltgnn
#define LTGNN_DISPATCH_KEY CUDA
#else
#define LTGNN_LIBRARY ltgnn_emu
#define LTGNN_DISPATCH_KEY CPU
#endif

// Queues a kernel. What it finds malformed is raised by a later call (ops/cuda_launch.h).
#define LTGNN_RUN(op, kernel, x, params) ::ltgnn::launch_beside(op, x, params, &::ltgnn::cuda::kernel)
#define LTGNN_RUN_CSR(op, kernel, x, params) static_cast<void>(LTGNN_RUN(op, kernel, x, params))

#endif
