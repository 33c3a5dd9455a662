// Scratch memory of a kernel: aligned to a cache line, zeroed unless told otherwise. (Not std::vector: see
// cpu/variant.h.)
#pragma once

#include <cstdlib>
#include <cstring>
#include <new>

#include "core/lanes.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t count, bool zeroed = true) {
    const size_t bytes = (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(std::aligned_alloc(64, bytes > 0 ? bytes : 64));
    if (data_ == nullptr) throw std::bad_alloc();
    if (zeroed) std::memset(data_, 0, bytes);
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* get() const { return data_; }

 private:
  T* data_;
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
