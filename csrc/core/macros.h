// Function annotations shared by host and device code. No torch, no CUDA runtime.
#pragma once

#define LTGNN_PRAGMA(text) _Pragma(#text)
#if defined(__CUDACC__)
#define LTGNN_HD __host__ __device__ __forceinline__
#define LTGNN_UNROLL(count) LTGNN_PRAGMA(unroll count)
#else
#define LTGNN_HD inline __attribute__((always_inline))
#define LTGNN_UNROLL(count)
#endif

#define LTGNN_RESTRICT __restrict__
