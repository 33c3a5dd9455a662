// Stands in for CUDA's <cuda_runtime.h> when a .cu file is compiled by a C++ compiler: the names that our
// kernels and launchers use, and no others, so that a new one is noticed.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

#include "emu/engine.h"

#define LTGNN_EMULATED 1
#define __global__
#define __device__
#define __host__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict

constexpr ltgnn::emu::Coordinates<ltgnn::emu::Which::kThread> threadIdx;
constexpr ltgnn::emu::Coordinates<ltgnn::emu::Which::kBlock> blockIdx;
constexpr ltgnn::emu::Coordinates<ltgnn::emu::Which::kBlockDim> blockDim;
constexpr ltgnn::emu::Coordinates<ltgnn::emu::Which::kGridDim> gridDim;

// ---- collectives ----
inline void __syncthreads(const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  ltgnn::emu::block_barrier(place);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu,
                       const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  ltgnn::emu::Exchange exchange{ltgnn::emu::Collective::kWarpBarrier, mask};
  ltgnn::emu::collective(exchange, place);
}

namespace ltgnn::emu {

template <class T>
T exchange_value(unsigned mask, T value, int source, const Place& place) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  Exchange exchange{Collective::kShuffle, mask};
  std::memcpy(&exchange.value, &value, sizeof(T));
  exchange.source = source;
  collective(exchange, place);
  std::memcpy(&value, &exchange.result, sizeof(T));
  return value;
}

inline unsigned ballot(unsigned mask, bool vote, const Place& place) {
  Exchange exchange{Collective::kVote, mask};
  exchange.value = vote;
  collective(exchange, place);
  return static_cast<unsigned>(exchange.result);
}

template <class T>
T reduce(unsigned mask, T value, int reduction, const Place& place) {
  Exchange exchange{Collective::kReduce, mask};
  exchange.value = static_cast<uint64_t>(static_cast<int64_t>(value));
  exchange.reduction = reduction;
  collective(exchange, place);
  return static_cast<T>(exchange.result);
}

}  // namespace ltgnn::emu

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  const int own = static_cast<int>(ltgnn::emu::lane());
  return ltgnn::emu::exchange_value(mask, value, (own & ~(width - 1)) | (source & (width - 1)), place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int step, int width = 32,
                  const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  const int own = static_cast<int>(ltgnn::emu::lane()), source = own ^ step;
  return ltgnn::emu::exchange_value(mask, value,
                                    (source & ~(width - 1)) > (own & ~(width - 1)) ? own : source, place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned step, int width = 32,
                 const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  const int own = static_cast<int>(ltgnn::emu::lane()), source = own - static_cast<int>(step);
  return ltgnn::emu::exchange_value(mask, value, source < (own & ~(width - 1)) ? own : source, place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned step, int width = 32,
                   const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  const int own = static_cast<int>(ltgnn::emu::lane()), source = own + static_cast<int>(step);
  return ltgnn::emu::exchange_value(mask, value, source > (own | (width - 1)) ? own : source, place);
}
inline unsigned __ballot_sync(unsigned mask, bool vote,
                              const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  return ltgnn::emu::ballot(mask, vote, place);
}
inline bool __any_sync(unsigned mask, bool vote,
                       const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  return ltgnn::emu::ballot(mask, vote, place) != 0;
}
inline bool __all_sync(unsigned mask, bool vote,
                       const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  return ltgnn::emu::ballot(mask, vote, place) == mask;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  ltgnn::emu::Exchange exchange{ltgnn::emu::Collective::kMatch, mask};
  std::memcpy(&exchange.value, &value, sizeof(T));
  ltgnn::emu::collective(exchange, place);
  return static_cast<unsigned>(exchange.result);
}
// On the GPU these take 32-bit integers only.
template <class T>
T __reduce_add_sync(unsigned mask, T value, const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  static_assert(sizeof(T) == 4);
  return ltgnn::emu::reduce(mask, value, 0, place);
}
template <class T>
T __reduce_min_sync(unsigned mask, T value, const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  static_assert(sizeof(T) == 4);
  return ltgnn::emu::reduce(mask, value, 1, place);
}
template <class T>
T __reduce_max_sync(unsigned mask, T value, const ltgnn::emu::Place& place = ltgnn::emu::Place::current()) {
  static_assert(sizeof(T) == 4);
  return ltgnn::emu::reduce(mask, value, 2, place);
}

// ---- memory ----
template <class T>
T atomicAdd(T* p, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    T old;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    for (T next = old + value;
         !__atomic_compare_exchange(p, &old, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED);)
      next = old + value;
    return old;
  } else {
    return __atomic_fetch_add(p, value, __ATOMIC_RELAXED);
  }
}
template <class T>
T atomicExch(T* p, T value) {
  return __atomic_exchange_n(p, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicCAS(T* p, T expected, T value) {
  __atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <class T>
T atomicOr(T* p, T value) {
  return __atomic_fetch_or(p, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicMax(T* p, T value) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (old < value &&
         !__atomic_compare_exchange_n(p, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <class T>
T atomicMin(T* p, T value) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (value < old &&
         !__atomic_compare_exchange_n(p, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <class T>
T __ldg(const T* p) {
  return *p;
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }

// ---- the runtime's functions ----
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorLaunchFailure = 719 };
using cudaStream_t = struct CUstream_st*;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone = 0 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
constexpr unsigned cudaHostAllocPortable = 1, cudaHostAllocMapped = 2;

struct cudaLaunchAttribute;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

inline const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaErrorLaunchFailure ? ltgnn::emu::last_problem().c_str()
         : status == cudaSuccess          ? "no error"
                                          : "invalid argument";
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
  std::memset(p, value, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
inline cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  *p = std::calloc(1, bytes);
  return cudaSuccess;
}

namespace ltgnn::emu {
// Kernels that were allowed more shared memory than 48 KB.
inline std::set<const void*>& large_kernels() {
  static std::set<const void*> kernels;
  return kernels;
}
}  // namespace ltgnn::emu

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  if (bytes > 227 * 1024) return cudaErrorInvalidValue;
  ltgnn::emu::large_kernels().insert(reinterpret_cast<const void*>(kernel));
  return cudaSuccess;
}

template <class... Expected, class... Args>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Expected...),
                               Args&&... args) {
  const size_t threads = size_t{config->blockDim.x} * config->blockDim.y * config->blockDim.z;
  const bool large = ltgnn::emu::large_kernels().count(reinterpret_cast<const void*>(kernel)) > 0;
  const bool fits = config->gridDim.x >= 1 && config->gridDim.x <= 0x7FFFFFFFu && config->gridDim.y >= 1 &&
                    config->gridDim.y <= 65535 && config->gridDim.z >= 1 && config->gridDim.z <= 65535 &&
                    threads >= 1 && threads <= 1024 &&
                    config->dynamicSmemBytes <= (large ? size_t{227} * 1024 : size_t{48} * 1024);
  if (!fits) return cudaErrorInvalidValue;
  const auto body = [&] { kernel(static_cast<Expected>(args)...); };
  return ltgnn::emu::run_grid(config->gridDim, config->blockDim, config->dynamicSmemBytes, body)
             ? cudaSuccess
             : cudaErrorLaunchFailure;
}
