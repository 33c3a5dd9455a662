// Reads lines "<major> <minor> <registers> <static shared bytes> <dynamic shared bytes> <threads> <barriers>"
// and prints for each how many warps of such a kernel a processor holds at once, by NVIDIA's own calculation.
#include <cstddef>

#include "cuda_occupancy.h"

#include <cstdio>

namespace {

// A processor of each architecture, as cudaGetDeviceProperties reports it (CUDA C++ Programming Guide, table
// of compute capabilities; A100, consumer Ampere, Ada, H100).
bool device(int major, int minor, cudaOccDeviceProp* prop) {
  const bool big = (major == 8 && minor == 0) || major == 9;
  if (!big && !(major == 8 && (minor == 6 || minor == 9))) return false;
  prop->computeMajor = major;
  prop->computeMinor = minor;
  prop->maxThreadsPerBlock = 1024;
  prop->maxThreadsPerMultiprocessor = big ? 2048 : 1536;
  prop->regsPerBlock = prop->regsPerMultiprocessor = 65536;
  prop->warpSize = 32;
  prop->sharedMemPerBlock = 48 << 10;
  prop->sharedMemPerMultiprocessor = (major == 9 ? 228 : big ? 164 : 100) << 10;
  prop->sharedMemPerBlockOptin = prop->sharedMemPerMultiprocessor - 1024;
  prop->reservedSharedMemPerBlock = 1024;
  prop->numSms = 1;  // no part of the answer
  return true;
}

}  // namespace

int main() {
  int major, minor, registers, threads, barriers;
  size_t fixed, dynamic;
  while (std::scanf("%d %d %d %zu %zu %d %d", &major, &minor, &registers, &fixed, &dynamic, &threads,
                    &barriers) == 7) {
    cudaOccDeviceProp prop;
    if (!device(major, minor, &prop)) {
      std::fprintf(stderr, "occupancy: sm_%d%d is not in the list\n", major, minor);
      return 1;
    }
    cudaOccFuncAttributes kernel;
    kernel.maxThreadsPerBlock = threads;
    kernel.numRegs = registers;
    kernel.sharedSizeBytes = fixed;
    kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    kernel.maxDynamicSharedSizeBytes = dynamic;
    kernel.numBlockBarriers = barriers;
    const cudaOccDeviceState state;
    cudaOccResult result;
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &prop, &kernel, &state, threads, dynamic) !=
        CUDA_OCC_SUCCESS) {
      std::printf("0\n");  // such a launch would fail
      continue;
    }
    std::printf("%d\n", result.activeBlocksPerMultiprocessor * ((threads + 31) / 32));
  }
}
