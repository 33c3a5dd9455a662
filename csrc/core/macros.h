// Function annotations shared by host and device code. No torch, no CUDA runtime.
#pragma once

#if defined(__CUDACC__)
#define LTGNN_HD __host__ __device__ __forceinline__
#else
#define LTGNN_HD inline __attribute__((always_inline))
#endif

#define LTGNN_RESTRICT __restrict__
