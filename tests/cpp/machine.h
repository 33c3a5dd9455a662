// What this machine can run: instruction sets and threads.
#pragma once

#include <thread>
#include <vector>

#include "core/parallel.h"
#include "cpu/amx_support.h"
#include "cpu/kernels.h"

namespace ltgnn::test {

inline bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("f16c");
#else
  return false;
#endif
}

inline bool has_avx512() {
#if defined(__x86_64__)
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

inline std::vector<const CpuKernels*> kernel_tables() {
  std::vector<const CpuKernels*> tables{&cpu_kernels_baseline()};
#if defined(__x86_64__) && !defined(LTGNN_BASELINE_ONLY)
  if (has_avx2()) tables.push_back(&cpu_kernels_avx2());
  if (has_avx512()) tables.push_back(&cpu_kernels_avx512());
#endif
  return tables;
}

// Those that multiply factors in bfloat16 where a loss allows it.
inline std::vector<const CpuKernels*> rounding_tables() {
  std::vector<const CpuKernels*> tables;
#if defined(__x86_64__) && !defined(LTGNN_BASELINE_ONLY)
  const bool has_bf16 = has_avx512() && __builtin_cpu_supports("avx512bf16");
  if (has_bf16) tables.push_back(&cpu_kernels_avx512_bf16());
  if (has_bf16 && request_amx()) tables.push_back(&cpu_kernels_avx512_amx());
#endif
  return tables;
}

inline void run_on_threads(int num_threads, void (*body)(void*, int), void* context) {
  std::vector<std::thread> threads;
  for (int i = 1; i < num_threads; ++i) threads.emplace_back(body, context, i);
  body(context, 0);
  for (std::thread& thread : threads) thread.join();
}

inline Parallel parallel(int num_threads) { return {num_threads, &run_on_threads}; }

constexpr int kMaxThreads = 4;

}  // namespace ltgnn::test
