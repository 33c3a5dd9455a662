#include "cpu/block_pool.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sys/mman.h>
#endif

namespace ltgnn {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

#if defined(__linux__)
// Null where there is no more.
void* map_block(size_t bytes) {
  // One huge page more, for a beginning at one: what is left over on both sides goes back.
  const size_t room = bytes + kHugePage;
  void* mapped = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto first = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t begin = (first + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t end = begin + bytes, last = first + room;
  if (begin > first) munmap(mapped, begin - first);
  if (last > end) munmap(reinterpret_cast<void*>(end), last - end);
  void* block = reinterpret_cast<void*>(begin);
  advise_huge_pages(block, bytes);
  return block;
}
void unmap_block(void* block, size_t bytes) { munmap(block, bytes); }
void offer_pages(void* block, size_t bytes) { madvise(block, bytes, MADV_FREE); }
#else
void* map_block(size_t bytes) { return std::aligned_alloc(64, bytes); }
void unmap_block(void* block, size_t) { std::free(block); }
void offer_pages(void*, size_t) {}
#endif

class BlockPool {
 public:
  void* take(size_t bytes) {
    if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
    const size_t size = std::max(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
    const std::lock_guard<std::mutex> lock(mutex_);
    // Nothing may throw once the block is there, nor when it is returned, in a destructor.
    used_.reserve(used_.size() + 1);
    kept_.reserve(used_.size() + kept_.size() + 1);
    // The smallest that is large enough, unless a fifth of it would be wasted.
    auto best = kept_.end();
    for (auto block = kept_.begin(); block != kept_.end(); ++block) {
      const bool fits = block->size >= size && block->size - size <= size / 4;
      if (fits && (best == kept_.end() || block->size < best->size)) best = block;
    }
    if (best != kept_.end()) {
      used_.push_back(*best);
      kept_.erase(best);
    } else {
      used_.push_back({map(size), size});
    }
    return used_.back().data;
  }

  void put(void* data) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto is_it = [&](const Block& block) { return block.data == data; };
    const auto found = std::find_if(used_.begin(), used_.end(), is_it);
    if (found == used_.end()) return;
    offer_pages(found->data, found->size);
    kept_.push_back(*found);
    used_.erase(found);
  }

  size_t release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t bytes = bytes_of(kept_);
    while (!kept_.empty()) unmap_oldest();
    most_ = bytes_of(used_);
    return bytes;
  }

  size_t kept_bytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return bytes_of(kept_);
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  struct Block {
    void* data;
    size_t size;
  };
  using Blocks = std::vector<Block>;

  static size_t bytes_of(const Blocks& blocks) {
    size_t bytes = 0;
    for (const Block& block : blocks) bytes += block.size;
    return bytes;
  }
  void* map(size_t size) {
    const size_t used = bytes_of(used_);
    most_ = std::max(most_, used + size);
    while (!kept_.empty() && used + bytes_of(kept_) + size > most_) unmap_oldest();
    void* data = map_block(size);
    while (data == nullptr && !kept_.empty()) {
      unmap_oldest();
      data = map_block(size);
    }
    if (data == nullptr) throw std::bad_alloc();
    return data;
  }
  void unmap_oldest() {
    unmap_block(kept_.front().data, kept_.front().size);
    kept_.erase(kept_.begin());
  }

  std::mutex mutex_;
  Blocks used_, kept_;  // kept: the longest unused first
  size_t most_ = 0;     // the most bytes that were in use at once since the last release
};

// Never destroyed: tensors may outlive every static object.
BlockPool& pool() {
  static auto* const the_pool = [] {
#if defined(__linux__)
    // A fork that finds the pool at work would leave it locked in the child for ever.
    pthread_atfork([] { pool().lock(); }, [] { pool().unlock(); }, [] { pool().unlock(); });
#endif
    return new BlockPool;
  }();
  return *the_pool;
}

}  // namespace

void advise_huge_pages(void* data, size_t bytes) {
#if defined(__linux__)
  // Whole huge pages inside the range only: the rest of the first and the last is another's.
  const auto begin = reinterpret_cast<uintptr_t>(data), end = begin + bytes;
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage, last = end / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  static_cast<void>(data);
  static_cast<void>(bytes);
#endif
}

void* take_block(size_t bytes) { return pool().take(bytes); }
void return_block(void* block) { pool().put(block); }
size_t release_blocks() { return pool().release(); }
size_t kept_block_bytes() { return pool().kept_bytes(); }

}  // namespace ltgnn
