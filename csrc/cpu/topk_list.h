// The list of one query on the CPU: a buffer that takes candidates until it is full and is then cut down to
// the best `kept`. Worth about ten operations a candidate whatever the length of the list, and the bound that
// a candidate must beat is that of the last cut.
#pragma once

#include "core/lanes.h"
#include "kernels/topk.h"

namespace ltgnn {
namespace LTGNN_ISA {

// Best first.
template <class Key>
LTGNN_HD void insertion_sort(Key* keys, int64_t count) {
  for (int64_t i = 1; i < count; ++i) {
    const Key key = keys[i];
    int64_t j = i;
    for (; j > 0 && keys[j - 1] < key; --j) keys[j] = keys[j - 1];
    keys[j] = key;
  }
}

// Best first, in count log(count) steps always: a heap with the worst key on top, emptied from the end.
template <class Key>
inline void heap_sort(Key* keys, int64_t count) {
  const auto sink = [&](int64_t at, int64_t end) {
    const Key key = keys[at];
    for (int64_t child; (child = 2 * at + 1) < end; at = child) {
      if (child + 1 < end && keys[child + 1] < keys[child]) ++child;
      if (!(keys[child] < key)) break;
      keys[at] = keys[child];
    }
    keys[at] = key;
  };
  for (int64_t i = count / 2; i-- > 0;) sink(i, count);
  for (int64_t end = count; end-- > 1;) {
    const Key worst = keys[0];
    keys[0] = keys[end];
    keys[end] = worst;
    sink(0, end);
  }
}

template <class Key>
inline void sort_best_first(Key* keys, int64_t count) {
  if (count <= 40)
    insertion_sort(keys, count);
  else
    heap_sort(keys, count);
}

LTGNN_HD void swap_numbers(int64_t& a, int64_t& b) {
  const int64_t other = a;
  a = b;
  b = other;
}

// Moves the best `kept` of distinct keys to the front, in any order: quickselect, with a sort where the
// pivots were unlucky.
template <class Key>
inline void select_best(Key* keys, int64_t count, int64_t kept) {
  int64_t low = 0, high = count;
  int rounds = 2;
  for (int64_t n = count; n > 0; n /= 2) rounds += 2;
  while (high - low > 12) {
    if (rounds-- == 0) return heap_sort(keys + low, high - low);
    int64_t at = low, other = low + (high - low) / 2, last = high - 1;  // their median is the pivot
    if (keys[at] < keys[other]) swap_numbers(at, other);
    if (keys[other] < keys[last]) swap_numbers(other, last);
    if (keys[at] < keys[other]) swap_numbers(at, other);
    const Key pivot = keys[other];
    keys[other] = keys[high - 1];
    // Every key changes places with the first that is not better than the pivot, if only with itself: there
    // is no branch to guess wrong.
    int64_t border = low;
    for (int64_t i = low; i < high - 1; ++i) {
      const Key key = keys[i];
      keys[i] = keys[border];
      keys[border] = key;
      border += pivot < key;
    }
    keys[high - 1] = keys[border];
    keys[border] = pivot;
    if (kept < border)
      high = border;
    else if (kept > border + 1)
      low = border + 1;
    else
      return;
  }
  insertion_sort(keys + low, high - low);
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
