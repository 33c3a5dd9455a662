#include "emu/fiber.h"

#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__x86_64__)
// ltgnn_emu_switch(save, load): pushes the callee-saved registers, stores the stack pointer in *save, takes
// `load` for the stack pointer and pops. Here rdi = save, rsi = load. A new fiber's stack holds zeros and
// ltgnn_emu_enter as the return address, which moves argument and entry from r12 and r13 into place.
extern "C" void ltgnn_emu_switch(void** save, void* load);
extern "C" void ltgnn_emu_enter();
asm(R"(
.text
.globl ltgnn_emu_switch
.hidden ltgnn_emu_switch
.type ltgnn_emu_switch, @function
ltgnn_emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ltgnn_emu_switch, .-ltgnn_emu_switch
.globl ltgnn_emu_enter
.hidden ltgnn_emu_enter
.type ltgnn_emu_enter, @function
ltgnn_emu_enter:
  movq %r12, %rdi
  callq *%r13
  ud2
.size ltgnn_emu_enter, .-ltgnn_emu_enter
)");
#endif

namespace ltgnn::emu {

#if defined(LTGNN_EMU_TSAN)
void renew_pages(void* memory, size_t bytes) {
  munmap(memory, bytes);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (mmap(memory, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) throw std::bad_alloc();
}
#endif

Fiber::~Fiber() {
#if defined(LTGNN_EMU_TSAN)
  if (own_) __tsan_destroy_fiber(tsan_);
#endif
  std::free(stack_);
}

void Fiber::start(void (*entry)(void*), void* argument) {
  if (stack_ == nullptr) stack_ = std::aligned_alloc(4096, kStackBytes);
  if (stack_ == nullptr) throw std::bad_alloc();
  auto* top = static_cast<char*>(stack_) + kStackBytes;
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(stack_, kStackBytes);  // an earlier fiber may have been abandoned half-way
  bottom_ = stack_;
  size_ = kStackBytes;
  fake_stack_ = nullptr;
#endif
#if defined(LTGNN_EMU_TSAN)
  // Kept from run to run: making one is slow, and the stack's history is this fiber's own.
  if (!own_) tsan_ = __tsan_create_fiber(0);
  own_ = true;
#endif
#if defined(__x86_64__)
  // r15, r14, r13 = entry, r12 = argument, rbx, rbp, return address; then the stack must be aligned to 16.
  void** frame = reinterpret_cast<void**>(top) - 9;
  std::memset(frame, 0, 9 * sizeof(void*));
  frame[2] = reinterpret_cast<void*>(entry);
  frame[3] = argument;
  frame[6] = reinterpret_cast<void*>(&ltgnn_emu_enter);
  stack_pointer_ = frame;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, reinterpret_cast<void (*)()>(entry), 1, argument);
  (void)top;
#endif
}

void Fiber::adopt_thread() {
#if defined(LTGNN_EMU_TSAN)
  tsan_ = __tsan_get_current_fiber();
  own_ = false;
#endif
}

void Fiber::arrived([[maybe_unused]] Fiber& from) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &from.bottom_, &from.size_);
#endif
}

void Fiber::switch_to(Fiber& from, Fiber& to, bool last) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack_, to.bottom_, to.size_);
#else
  (void)last;
#endif
#if defined(LTGNN_EMU_TSAN)
  __tsan_switch_to_fiber(to.tsan_, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__x86_64__)
  ltgnn_emu_switch(&from.stack_pointer_, to.stack_pointer_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fake_stack_, nullptr, nullptr);
#endif
}

}  // namespace ltgnn::emu
