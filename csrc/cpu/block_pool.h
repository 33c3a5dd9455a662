// Large blocks of memory that are used again. The C library gives a large block back to the system when it is
// freed (from 32 MB on always, below it whenever two were there at once), and the next one of its size is
// faulted in and zeroed page by page: for a product with a large graph that takes a third as long as the
// product itself. A block that is returned here is kept for the next of about its size.
//
// The pool never holds more than was in use at once: before a new block is mapped, kept ones are unmapped
// until that is so. Linux may also take the pages of a kept block when memory runs short (MADV_FREE).
#pragma once

#include <cstddef>

namespace ltgnn {

// From how many bytes on; less is not worth the room that whole huge pages take.
constexpr size_t kLargeBlock = size_t{8} << 20;

// At least `bytes` bytes that nobody else uses, on huge pages where the system has them; what they hold is
// not defined. Throws std::bad_alloc. Any thread may call it.
void* take_block(size_t bytes);

// Returns a block of `take_block`, from any thread.
void return_block(void* block);

// Asks for huge pages where the pages of [data, data + bytes) are not there yet. Never fails: it is advice.
void advise_huge_pages(void* data, size_t bytes);

// Unmaps the blocks that nobody uses; returns their bytes.
size_t release_blocks();

// The bytes of blocks that nobody uses.
size_t kept_block_bytes();

}  // namespace ltgnn
