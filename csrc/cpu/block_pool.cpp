#include "cpu/block_pool.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ltgnn {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

#if defined(__linux__)
void* map_block(size_t bytes) {
  // One huge page more, for a beginning at one: what is left over on both sides goes back.
  const size_t room = bytes + kHugePage;
  void* mapped = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  const auto first = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t begin = (first + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t end = begin + bytes, last = first + room;
  if (begin > first) munmap(mapped, begin - first);
  if (last > end) munmap(reinterpret_cast<void*>(end), last - end);
  void* block = reinterpret_cast<void*>(begin);
  madvise(block, bytes, MADV_HUGEPAGE);  // advice: a system without them has small ones
  return block;
}
void unmap_block(void* block, size_t bytes) { munmap(block, bytes); }
void offer_pages(void* block, size_t bytes) { madvise(block, bytes, MADV_FREE); }
#else
void* map_block(size_t bytes) {
  void* block = std::aligned_alloc(64, bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void unmap_block(void* block, size_t) { std::free(block); }
void offer_pages(void*, size_t) {}
#endif

class BlockPool {
 public:
  void* take(size_t bytes) {
    const size_t size = std::max(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
    const std::lock_guard<std::mutex> lock(mutex_);
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
      most_ = std::max(most_, bytes_of(used_) + size);
      while (!kept_.empty() && bytes_of(used_) + bytes_of(kept_) + size > most_) unmap_oldest();
      used_.reserve(used_.size() + 1);  // nothing may throw once the block is there
      used_.push_back({map_block(size), size});
    }
    kept_.reserve(used_.size() + kept_.size());  // so that returning a block, in a destructor, cannot fail
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
  static auto* const the_pool = new BlockPool;
  return *the_pool;
}

}  // namespace

void* take_block(size_t bytes) { return pool().take(bytes); }
void return_block(void* block) { pool().put(block); }
size_t release_blocks() { return pool().release(); }
size_t kept_block_bytes() { return pool().kept_bytes(); }

}  // namespace ltgnn
