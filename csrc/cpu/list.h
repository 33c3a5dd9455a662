// Growing arrays, sets and a sort of row numbers for kernels that do not know beforehand how many rows they
// will meet. (Not the standard library's: see cpu/variant.h.)
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "cpu/buffer.h"

namespace ltgnn {
namespace LTGNN_ISA {

// A growing array of plain values.
template <class T>
class List {
 public:
  List() = default;
  ~List() { std::free(data_); }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  void push(T value) {
    if (size_ == capacity_) reserve(size_ + 1);
    data_[size_++] = value;
  }
  void append(const T* values, int64_t count) {
    if (count == 0) return;
    reserve(size_ + count);
    std::memcpy(data_ + size_, values, static_cast<size_t>(count) * sizeof(T));
    size_ += count;
  }
  // New elements are not initialised.
  void resize(int64_t size) {
    reserve(size);
    size_ = size;
  }
  void clear() { size_ = 0; }
  int64_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

 private:
  void reserve(int64_t wanted) {
    if (wanted <= capacity_) return;
    int64_t capacity = capacity_ < 16 ? 32 : 2 * capacity_;
    if (capacity < wanted) capacity = wanted;
    void* moved = std::realloc(data_, static_cast<size_t>(capacity) * sizeof(T));
    if (moved == nullptr) throw std::bad_alloc();
    data_ = static_cast<T*>(moved);
    capacity_ = capacity;
  }
  T* data_ = nullptr;
  int64_t size_ = 0, capacity_ = 0;
};

// Distinct row numbers in the order in which they came; open addressing, at most half full.
class RowSet {
 public:
  void insert(int64_t row) {
    if (2 * rows_.size() >= slots_.size()) grow();
    if (place(row)) rows_.push(row);
  }
  const List<int64_t>& rows() const { return rows_; }
  void clear() {
    // A large table is not wiped for the few rows of a later round.
    const bool small = slots_.size() <= 64 || 16 * rows_.size() >= slots_.size();
    if (!small) slots_.resize(64);
    wipe();
    rows_.clear();
  }

 private:
  bool place(int64_t row) {
    const auto mask = static_cast<uint64_t>(slots_.size()) - 1;
    uint64_t slot = static_cast<uint64_t>(row) * 0x9E3779B97F4A7C15u >> 20 & mask;
    for (; slots_[static_cast<int64_t>(slot)] >= 0; slot = (slot + 1) & mask)
      if (slots_[static_cast<int64_t>(slot)] == row) return false;
    slots_[static_cast<int64_t>(slot)] = row;
    return true;
  }
  void grow() {
    slots_.resize(slots_.size() < 64 ? 64 : 4 * slots_.size());
    wipe();
    for (int64_t i = 0; i < rows_.size(); ++i) place(rows_[i]);
  }
  void wipe() {
    if (slots_.size() > 0)
      std::memset(slots_.data(), 0xFF, static_cast<size_t>(slots_.size()) * sizeof(int64_t));
  }
  List<int64_t> slots_;  // -1 where free; its length is a power of two
  List<int64_t> rows_;
};

// Sorts row numbers, each in [0, bound): by insertion where they are few, else by bytes, lowest first.
inline void sort_rows(int64_t* rows, int64_t count, int64_t bound) {
  if (count <= 32) {
    for (int64_t i = 1; i < count; ++i) {
      const int64_t row = rows[i];
      int64_t k = i;
      for (; k > 0 && rows[k - 1] > row; --k) rows[k] = rows[k - 1];
      rows[k] = row;
    }
    return;
  }
  const Buffer<int64_t> spare(count);
  int64_t *from = rows, *to = spare.get();
  for (int shift = 0; shift < 64 && (bound - 1) >> shift > 0; shift += 8) {
    int64_t start[257] = {};
    for (int64_t i = 0; i < count; ++i) ++start[(from[i] >> shift & 255) + 1];
    for (int k = 1; k < 257; ++k) start[k] += start[k - 1];
    for (int64_t i = 0; i < count; ++i) to[start[from[i] >> shift & 255]++] = from[i];
    int64_t* const swap = from;
    from = to;
    to = swap;
  }
  if (from != rows) std::memcpy(rows, from, static_cast<size_t>(count) * sizeof(int64_t));
}

// Sorts and keeps one of each.
inline void sort_distinct(List<int64_t>& rows, int64_t bound) {
  sort_rows(rows.data(), rows.size(), bound);
  int64_t kept = 0;
  for (int64_t i = 0; i < rows.size(); ++i)
    if (kept == 0 || rows[kept - 1] != rows[i]) rows[kept++] = rows[i];
  rows.resize(kept);
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
