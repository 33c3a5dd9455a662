// A file mapped for reading that cannot kill the process.
//
// Touching a mapped page that the file no longer has (it was truncated) or that the disk cannot deliver
// raises SIGBUS, which ends the process. Here a handler puts a page of zeros in its place, notes it, and lets
// the reader go on; the reader asks `damaged()` when it is done. Faults outside these maps go to whoever
// handled them before.
//
// Guarantee: while `Guard` is installed last (nobody replaces the handler of SIGBUS afterwards), a read of a
// live GuardedMap returns the file's bytes or zeros, and after a read that met zeros `damaged()` is true.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <system_error>

namespace ltgnn::io {

namespace detail {

struct GuardedRange {
  std::atomic<std::uintptr_t> begin{0};  // 0: the slot is free
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> damaged{false};
};

// Fixed, so that the signal handler neither locks nor allocates.
inline std::array<GuardedRange, 256> guarded_ranges;
inline struct sigaction previous_bus_action;
inline std::uintptr_t page_bytes = 4096;

inline void on_bus_error(int signal, siginfo_t* info, void*) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (GuardedRange& range : guarded_ranges) {
    const std::uintptr_t begin = range.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= range.end.load(std::memory_order_relaxed)) continue;
    void* const page = reinterpret_cast<void*>(address / page_bytes * page_bytes);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(page, page_bytes, PROT_READ, flags, -1, 0) == MAP_FAILED) break;
    range.damaged.store(true, std::memory_order_release);
    errno = saved_errno;
    return;
  }
  // Not ours: with the former action back in place, the same access faults again.
  sigaction(signal, &previous_bus_action, nullptr);
  errno = saved_errno;
}

inline void install_bus_guard() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &previous_bus_action) != 0) {
      throw std::system_error(errno, std::generic_category(), "sigaction(SIGBUS)");
    }
  });
}

}  // namespace detail

class GuardedMap {
 public:
  // Maps `bytes` bytes of an open file from `offset`, a multiple of the page size. The file may be closed
  // after.
  GuardedMap(int file, std::uint64_t offset, std::size_t bytes) : bytes_(bytes) {
    detail::install_bus_guard();
    if (offset % detail::page_bytes != 0)
      throw std::invalid_argument("map: offset must be a multiple of the page size");
    if (bytes == 0) return;
    void* const data = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, static_cast<off_t>(offset));
    if (data == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    data_ = data;
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    for (detail::GuardedRange& range : detail::guarded_ranges) {
      if (range.begin.load(std::memory_order_relaxed) != 0) continue;
      const auto begin = reinterpret_cast<std::uintptr_t>(data);
      range.damaged.store(false, std::memory_order_relaxed);
      // Whole pages: the end of the last one is within reach of no reader, but wide loads touch it.
      range.end.store((begin + bytes + detail::page_bytes - 1) / detail::page_bytes * detail::page_bytes,
                      std::memory_order_relaxed);
      range.begin.store(begin, std::memory_order_release);
      range_ = &range;
      return;
    }
    munmap(data, bytes);
    throw std::runtime_error("map: more than 256 maps at a time");
  }

  ~GuardedMap() {
    if (range_ == nullptr) return;
    range_->begin.store(0, std::memory_order_release);
    munmap(data_, bytes_);
  }

  GuardedMap(const GuardedMap&) = delete;
  GuardedMap& operator=(const GuardedMap&) = delete;

  const void* data() const { return data_; }
  std::size_t size() const { return bytes_; }

  // Whether a read has met a page that could not be had; it stays true.
  bool damaged() const { return range_ != nullptr && range_->damaged.load(std::memory_order_acquire); }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
  detail::GuardedRange* range_ = nullptr;
};

}  // namespace ltgnn::io
