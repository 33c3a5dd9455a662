// What the engine is made of: the threads of the block that runs, and who waits where. Private to csrc/emu.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "emu/engine.h"
#include "emu/fiber.h"

namespace ltgnn::emu {

constexpr unsigned kWarp = 32;

struct Thread {
  Fiber fiber;
  uint3 at[4];  // by Which
  unsigned number = 0;
  enum class State { kReady, kWarpCollective, kBlockBarrier, kDone } state = State::kReady;
  Exchange* exchange = nullptr;
  Place place;
  // ThreadSanitizer: what this thread brings to a collective, and, where it comes last, what it hands to all
  // others there; one of each for the last few. A tag used for ever would also hand over what a thread did
  // afterwards, before a slower one went on.
  static constexpr unsigned kTags = 8;
  char brought[kTags] = {}, handed[kTags] = {};
  unsigned turn = 0;
  void* taken = nullptr;
};

class Engine {
 public:
  Schedule schedule;
  std::string problem;

  bool run(const dim3& grid, const dim3& block, size_t shared_bytes, const std::function<void()>& body);
  void collective(Exchange& exchange, const Place& place);
  void block_barrier(const Place& place);
  unsigned lane() const { return running_->number % kWarp; }
  unsigned coordinate(Which which, int axis) const {
    const uint3& at = running_->at[static_cast<int>(which)];
    return axis == 0 ? at.x : axis == 1 ? at.y : at.z;
  }

 private:
  bool run_block(const dim3& grid, const dim3& block, uint3 index, size_t shared_bytes);
  void prepare_shared(size_t bytes);
  void suspend(Thread::State state, const Place& place);
  void complete(unsigned warp, unsigned mask);
  void fail(const std::string& text);
  std::string describe(const Thread& thread) const;
  static void enter(void* self);

  std::vector<std::unique_ptr<Thread>> threads_;
  unsigned num_threads_ = 0;
  std::vector<unsigned> ready_;
  unsigned waiting_at_barrier_ = 0, done_ = 0;
  unsigned barrier_turn_ = 0;
  char barrier_tags_[2] = {};  // of this barrier and the one before
  Thread* running_ = nullptr;
  Fiber scheduler_;
  const std::function<void()>* body_ = nullptr;
  std::mt19937_64 random_;
  bool failed_ = false;
  // ThreadSanitizer: the host hands over to all threads at the launch, and all threads to the host at the
  // end. Nothing is handed over between blocks: they have no order on a GPU.
  char launch_tag_ = 0, end_tag_ = 0;
};

// ThreadSanitizer: everything before `release` happens before what follows `acquire` of the same tag.
inline void release([[maybe_unused]] void* tag) {
#if defined(LTGNN_EMU_TSAN)
  __tsan_release(tag);
#endif
}
inline void acquire([[maybe_unused]] void* tag) {
#if defined(LTGNN_EMU_TSAN)
  __tsan_acquire(tag);
#endif
}

}  // namespace ltgnn::emu
