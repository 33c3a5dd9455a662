// The pool of large blocks: what is returned is used again, the pool never holds more than was in use at
// once, and threads never share a block.
#include "cpu/block_pool.h"

#include <cstdint>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "check.h"

namespace ltgnn::test {
namespace {

constexpr size_t kMegabyte = size_t{1} << 20;

void test_reuse() {
  release_blocks();
  void* first = take_block(40 * kMegabyte);
  CHECK(reinterpret_cast<uintptr_t>(first) % 64 == 0);
  std::memset(first, 1, 40 * kMegabyte);
  CHECK(kept_block_bytes() == 0);
  return_block(first);
  CHECK(kept_block_bytes() == 40 * kMegabyte);
  void* second = take_block(38 * kMegabyte + 5);  // about the size
  CHECK(second == first);
  CHECK(kept_block_bytes() == 0);
  return_block(second);
  CHECK(release_blocks() == 40 * kMegabyte);
  CHECK(kept_block_bytes() == 0);
  CHECK(release_blocks() == 0);
}

// A kept block that fits nothing goes before the pool grows past what was in use at once.
void test_bound() {
  release_blocks();
  return_block(take_block(64 * kMegabyte));
  void* small = take_block(34 * kMegabyte);  // half of the 64 would be wasted
  CHECK(kept_block_bytes() == 0);
  void* other = take_block(34 * kMegabyte);
  CHECK(small != other);
  return_block(small);
  return_block(other);
  CHECK(kept_block_bytes() == 68 * kMegabyte);
  void* large = take_block(100 * kMegabyte);
  CHECK(kept_block_bytes() == 0);
  return_block(large);
  small = take_block(40 * kMegabyte);  // 100 were in use at once: 40 and 100 are more
  CHECK(kept_block_bytes() == 0);
  return_block(small);
  CHECK(release_blocks() == 40 * kMegabyte);
}

void test_zero_and_unknown() {
  release_blocks();
  void* block = take_block(0);
  CHECK(block != nullptr);
  *static_cast<char*>(block) = 1;
  return_block(block);
  bool refused = false;
  try {
    take_block(SIZE_MAX - 5);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  CHECK(refused);
  int here = 0;
  return_block(&here);  // not of the pool: left alone
  CHECK(here == 0);
  release_blocks();
}

void test_threads() {
  release_blocks();
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int turn = 0; turn < 50; ++turn) {
        const size_t bytes = (2 + static_cast<size_t>(turn + t) % 3) * kMegabyte;
        char* block = static_cast<char*>(take_block(bytes));
        for (size_t i = 0; i < bytes; i += 4096) block[i] = static_cast<char>(t);
        for (size_t i = 0; i < bytes; i += 4096) wrong[static_cast<size_t>(t)] += block[i] != t;
        return_block(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : wrong) CHECK(count == 0);
  release_blocks();
  CHECK(kept_block_bytes() == 0);
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  ltgnn::test::test_reuse();
  ltgnn::test::test_bound();
  ltgnn::test::test_zero_and_unknown();
  ltgnn::test::test_threads();
  return ltgnn::test::finish();
}
