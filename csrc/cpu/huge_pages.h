// Large memory that is read at random or written for the first time: in pages of 2 MB where the system has them,
// which cost a 512th of the page faults, and of the entries that translate addresses.
#pragma once

#include <cstddef>

namespace ltgnn {

// From this size on an allocator asks the system for new pages at every call, so that it pays to advise.
constexpr size_t kFreshMemory = size_t{32} << 20;

// Asks for huge pages where the pages of [data, data + bytes) are not there yet. Never fails: it is advice.
void advise_huge_pages(void* data, size_t bytes);

// Memory that is not zeroed, aligned to a cache line, or null; of huge pages where it is large. For std::free.
void* allocate_large(size_t bytes);

}  // namespace ltgnn
