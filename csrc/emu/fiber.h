// A stack to run on, and the switch between two of them: a dozen instructions, since a kernel test makes
// millions of switches. Sanitizers are told of every switch.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(LTGNN_EMU_TSAN)
#include <sanitizer/tsan_interface.h>
#include <sys/mman.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace ltgnn::emu {

#if defined(LTGNN_EMU_TSAN)
// Fresh pages in place of those at `memory`: ThreadSanitizer forgets who used them before.
void renew_pages(void* memory, size_t bytes);
#endif

class Fiber {
 public:
  static constexpr size_t kStackBytes = 128 * 1024;

  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Prepares a run of entry(argument) on this fiber's own stack. The entry must end in `switch_to`.
  void start(void (*entry)(void*), void* argument);
  // Leaves `from`, which is running, for `to`. `last`: `from` will not be entered again.
  static void switch_to(Fiber& from, Fiber& to, bool last = false);
  // The fiber of the thread that calls this first.
  void adopt_thread();
  // The first thing on a new fiber, entered from `from`.
  static void arrived(Fiber& from);

 private:
  void* stack_ = nullptr;
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  size_t size_ = 0;
#endif
#if defined(LTGNN_EMU_TSAN)
  void* tsan_ = nullptr;
  bool own_ = false;
#endif
};

}  // namespace ltgnn::emu
