// Stands in for CUB's radix sort: stable, by the bits [begin_bit, end_bit) of the keys.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <type_traits>
#include <vector>

#include <cuda_runtime.h>

namespace cub {

struct DeviceRadixSort {
  template <class Key, class Value, class Count>
  static cudaError_t SortPairs(void* scratch, size_t& scratch_bytes, const Key* keys_in, Key* keys_out,
                               const Value* values_in, Value* values_out, Count count, int begin_bit = 0,
                               int end_bit = sizeof(Key) * 8, cudaStream_t = nullptr) {
    static_assert(std::is_unsigned_v<Key>, "signed keys need their sign bit turned: use unsigned ones");
    if (scratch == nullptr) {
      scratch_bytes = 1;
      return cudaSuccess;
    }
    const int width = end_bit - begin_bit;
    const Key mask = width >= static_cast<int>(sizeof(Key) * 8) ? ~Key{0} : ((Key{1} << width) - 1);
    std::vector<size_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return (keys_in[a] >> begin_bit & mask) < (keys_in[b] >> begin_bit & mask);
    });
    std::vector<Key> keys(order.size());
    std::vector<Value> values(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      keys[i] = keys_in[order[i]];
      values[i] = values_in[order[i]];
    }
    std::copy(keys.begin(), keys.end(), keys_out);
    std::copy(values.begin(), values.end(), values_out);
    return cudaSuccess;
  }
};

}  // namespace cub
