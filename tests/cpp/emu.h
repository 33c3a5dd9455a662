// Launching CUDA kernels under emulation from the C++ tests: memory, schedules, faults.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/kernels.h"
#include "emu/engine.h"

namespace ltgnn::test {

// What a launcher gets beside its parameters; scratch memory is exactly as long as asked for, and filled with
// 0xFF, so that a kernel which relies on zeros is caught.
class EmuLaunch {
 public:
  cuda::Launch at() { return {nullptr, {cuda::fault_record(), "test"}, &EmuLaunch::allocate, this}; }
  // The fault that kernels have reported since the last call; state kFree where there is none.
  static FaultRecord take_fault() {
    FaultRecord fault = *cuda::fault_record();
    cuda::fault_record()->state = FaultRecord::kFree;
    return fault;
  }

 private:
  static void* allocate(void* self, size_t bytes) {
    auto& memory = static_cast<EmuLaunch*>(self)->memory_;
    memory.push_back(std::make_unique<std::vector<unsigned char>>(bytes, 0xFF));
    return memory.back()->data();
  }
  std::vector<std::unique_ptr<std::vector<unsigned char>>> memory_;
};

// Every kernel test runs under each of these.
inline std::vector<emu::Schedule> schedules() {
  using Order = emu::Schedule::Order;
  return {{Order::kForward, 0}, {Order::kReverse, 0}, {Order::kShuffled, 1}, {Order::kShuffled, 2}};
}

// Calls body once for each schedule. What the emulation refuses (a divergent collective, say) is a failure
// with its words.
template <class Body>
void for_each_schedule(const Body& body) {
  for (const emu::Schedule& schedule : schedules()) {
    emu::set_schedule(schedule);
    try {
      body();
    } catch (const std::exception& problem) {
      check(false, problem.what(), __FILE__, __LINE__);
    }
  }
  emu::set_schedule({});
}

}  // namespace ltgnn::test
