// Scratch memory of a kernel in one piece, not zeroed. In one piece, because the allocator gives several
// large pieces back to the system when they are freed, and each page would be faulted in anew by the next
// step; a large one is of the pool, for the same reason.
#pragma once

#include <cstdlib>
#include <new>

#include "core/lanes.h"
#include "cpu/block_pool.h"

namespace ltgnn {
namespace LTGNN_ISA {

class Scratch {
 public:
  Scratch() = default;
  ~Scratch() {
    if (bytes_ >= kLargeBlock)
      return_block(data_);
    else
      std::free(data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Sets `place` to room for `count` elements, aligned to a cache line, once `allocate` has been called.
  template <class T>
  void reserve(T*& place, int64_t count) {
    pieces_[num_pieces_++] = {&place, bytes_};
    bytes_ += (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
  }
  void allocate() {
    data_ = static_cast<char*>(bytes_ >= kLargeBlock ? take_block(bytes_)
                                                     : std::aligned_alloc(64, bytes_ > 0 ? bytes_ : 64));
    if (data_ == nullptr) throw std::bad_alloc();
    for (int i = 0; i < num_pieces_; ++i) {
      void* address = data_ + pieces_[i].offset;
      std::memcpy(pieces_[i].place, &address, sizeof(address));
    }
  }

 private:
  struct Piece {
    void* place;  // address of a pointer
    size_t offset;
  };
  static constexpr int kMaxPieces = 12;
  Piece pieces_[kMaxPieces];
  int num_pieces_ = 0;
  size_t bytes_ = 0;
  char* data_ = nullptr;
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
