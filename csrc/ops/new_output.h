// The memory of an operator's result, not filled. On the CPU large results come from the pool of
// cpu/block_pool.h, and go back to it with the last tensor that looks at them.
#pragma once

#include <initializer_list>

#include "ops/backend.h"

#if LTGNN_BACKEND == LTGNN_CPU && defined(__linux__)
#define LTGNN_POOLS_OUTPUT 1
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <new>
#include <vector>

#include "cpu/block_pool.h"

// A function of torch 2.11. The library loads with 2.10, too, and then this is null.
extern "C" __attribute__((weak)) AOTITorchError torch_from_blob(
    void* data, int64_t num_dims, const int64_t* sizes, const int64_t* strides, int64_t storage_offset,
    int32_t dtype, int32_t device_type, int32_t device_index, AtenTensorHandle* result, int32_t layout,
    const uint8_t* opaque_metadata, int64_t opaque_metadata_size, void (*deleter)(void* data, void* context),
    void* deleter_context);
#else
#define LTGNN_POOLS_OUTPUT 0
#endif

namespace ltgnn {

#if LTGNN_POOLS_OUTPUT
constexpr size_t kOwnPages = size_t{32} << 20;  // from which the C library maps a block by itself

inline void return_output(void* data, void*) { return_block(data); }

// Bytes of `sizes` elements; 0 where no machine has so many, which torch says in its own words.
inline size_t output_bytes(std::initializer_list<int64_t> sizes, int32_t dtype) {
  size_t bytes = aoti_torch_dtype_element_size(dtype);
  for (const int64_t size : sizes) {
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes)) return 0;
  }
  return bytes >> 47 == 0 ? bytes : 0;
}

// On memory of the pool; nothing where there is none.
inline OptionalTensor pooled_output(std::initializer_list<int64_t> sizes, int32_t dtype, size_t bytes) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size() - 1; i > 0; --i) strides[i - 1] = strides[i] * sizes.begin()[i];
  void* data = nullptr;
  try {
    data = take_block(bytes);
  } catch (const std::bad_alloc&) {
    return std::nullopt;
  }
  AtenTensorHandle result = nullptr;
  const AOTITorchError error =
      torch_from_blob(data, static_cast<int64_t>(sizes.size()), sizes.begin(), strides.data(), 0, dtype,
                      aoti_torch_device_type_cpu(), -1, &result, aoti_torch_layout_strided(), nullptr, 0,
                      &return_output, nullptr);
  // The block may be back in the pool by then, and another's: not returned a second time.
  if (error != 0) return std::nullopt;
  return Tensor(result);
}
#endif

// [sizes] of `type`, on the device of `like`.
inline Tensor new_output(const Tensor& like, std::initializer_list<int64_t> sizes, ScalarType type) {
#if LTGNN_POOLS_OUTPUT
  const auto dtype = torch::stable::detail::to<int32_t>(torch::stable::detail::from(type));
  const size_t bytes = output_bytes(sizes, dtype);
  if (bytes >= kLargeBlock) {
    if (torch_from_blob != nullptr) {
      if (OptionalTensor result = pooled_output(sizes, dtype, bytes)) return *result;
    }
    Tensor result = torch::stable::new_empty(like, sizes, type);
    // A smaller one may lie in the C library's heap, where the advice would outlive it.
    if (bytes >= kOwnPages) advise_huge_pages(result.mutable_data_ptr(), bytes);
    return result;
  }
#endif
  return torch::stable::new_empty(like, sizes, type);
}

}  // namespace ltgnn
