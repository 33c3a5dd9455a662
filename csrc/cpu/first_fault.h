// The lowest position at which any thread met a fault: the same answer for any number of threads.
#pragma once

#include <atomic>
#include <cstdint>

namespace ltgnn {
namespace LTGNN_ISA {

class FirstFault {
 public:
  explicit FirstFault(int64_t none) : none_(none), lowest_(none) {}

  void report(int64_t position) {
    int64_t seen = lowest_.load(std::memory_order_relaxed);
    while (position < seen && !lowest_.compare_exchange_weak(seen, position, std::memory_order_relaxed)) {
    }
  }

  int64_t first() const {  // -1 where nothing was reported
    const int64_t lowest = lowest_.load(std::memory_order_relaxed);
    return lowest == none_ ? -1 : lowest;
  }

 private:
  int64_t none_;
  std::atomic<int64_t> lowest_;
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
