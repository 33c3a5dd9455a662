// The stable sort behind cuda/sort.cuh: CUB's radix sort, instantiated once, since it compiles slowly.
//
// Bytes per pair and pass: 8 read and 8 written; a pass takes 8 bits of the key. The few thousand pairs of a
// training batch are one launch, or a histogram, a scan and a pass for each 8 bits: they cost their launches.
#include "cuda/sort.cuh"

#include <cub/device/device_radix_sort.cuh>

#include "cuda/launch.cuh"

namespace ltgnn::cuda {

void sort_pairs(const char* what, const uint32_t* keys_in, uint32_t* keys_out, const uint32_t* values_in,
                uint32_t* values_out, int64_t count, int bits, const Launch& at) {
  if (count == 0) return;
  const auto stream = static_cast<cudaStream_t>(at.stream);
  const auto sort = [&](void* scratch, size_t& bytes) {
    check(what, cub::DeviceRadixSort::SortPairs(scratch, bytes, keys_in, keys_out, values_in, values_out,
                                                static_cast<uint32_t>(count), 0, bits, stream));
  };
  size_t bytes = 0;
  sort(nullptr, bytes);
  sort(at.scratch(bytes), bytes);
}

}  // namespace ltgnn::cuda
