// Large memory that is written for the first time: in pages of 2 MB where the system has them, which cost a
// 512th of the page faults.
#pragma once

#include <cstddef>

namespace ltgnn {

// From this size on an allocator asks the system for new pages at every call, so that it pays to advise.
constexpr size_t kFreshMemory = size_t{32} << 20;

// Asks for huge pages where the pages of [data, data + bytes) are not there yet. Never fails: it is advice.
void advise_huge_pages(void* data, size_t bytes);

}  // namespace ltgnn
