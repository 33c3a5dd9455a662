// A few threads for one pass over a file. Kept apart from csrc/core so that csrc/io stands alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace ltgnn::io {

// Threads worth starting for `bytes` of text: small files are done before a thread has started.
inline std::size_t suggested_threads(std::size_t bytes) {
  constexpr std::size_t kBytesPerThread = std::size_t{2} << 20;
  constexpr std::size_t kMaxThreads = 8;  // beyond this the memory bus is the limit
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  return std::clamp<std::size_t>(bytes / kBytesPerThread, 1, std::min(cores, kMaxThreads));
}

// Calls work(0) ... work(count - 1), each once, in threads where the system grants them. If several
// throw, the exception of the lowest index is rethrown, so that the error does not depend on
// timing.
template <class Work>
void run_parallel(std::size_t count, const Work& work) {
  std::vector<std::exception_ptr> errors(count);
  const auto guarded = [&](std::size_t index) noexcept {
    try {
      work(index);
    } catch (...) {
      errors[index] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (std::size_t index = 1; index < count; ++index) {
    try {
      threads.emplace_back(guarded, index);
    } catch (const std::system_error&) {
      guarded(index);  // no more threads to be had: do it here
    }
  }
  if (count > 0) guarded(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace ltgnn::io
