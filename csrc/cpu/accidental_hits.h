// accidental_hits on the CPU: the batch's items stand in a table of slots. Most of a user's items are none of
// them, and are told so by one bit of a filter that stays in the first-level cache. See
// kernels/accidental_hits.h.
#pragma once

#include "core/dispatch.h"
#include "cpu/buffer.h"
#include "cpu/prefetch.h"
#include "cpu/targets.h"
#include "kernels/accidental_hits.h"

namespace ltgnn {
namespace LTGNN_ISA {

// The places of each item of a batch.
class ItemPlaces {
  struct Slot {
    int32_t item, place;  // its last place; of a free slot -1, so that its item says nothing
  };

 public:
  ItemPlaces(const int64_t* items, int64_t batch)
      : mask_(num_slots(batch) - 1), slots_(mask_ + 1, false), filter_((mask_ + 1) / 4), next_(batch, false) {
    std::memset(slots_.get(), 0xFF, static_cast<size_t>(mask_ + 1) * sizeof(Slot));
    for (int64_t place = 0; place < batch; ++place) {
      Slot& slot = slots_.get()[find(static_cast<int32_t>(items[place]))];
      next_.get()[place] = slot.place;
      slot = {static_cast<int32_t>(items[place]), static_cast<int32_t>(place)};
      const uint64_t hash = hash_of(slot.item);
      filter_.get()[hash >> 5 & filter_mask()] |= uint32_t{1} << (hash & 31);
    }
  }

  // False where the item is none of the batch's; true for nearly nothing but those.
  LTGNN_HD bool may_hold(int32_t item) const {
    const uint64_t hash = hash_of(item);
    return (filter_.get()[hash >> 5 & filter_mask()] >> (hash & 31) & 1) != 0;
  }

  template <class Body>
  void for_each_place(int32_t item, const Body& body) const {
    for (int64_t place = slots_.get()[find(item)].place; place >= 0; place = next_.get()[place]) body(place);
  }

 private:
  static int64_t num_slots(int64_t batch) {
    int64_t slots = 16;
    while (slots < 2 * batch) slots *= 2;
    return slots;
  }
  static uint64_t hash_of(int32_t item) {
    return static_cast<uint64_t>(static_cast<uint32_t>(item)) * 0x9E3779B97F4A7C15u >> 24;
  }
  uint64_t filter_mask() const { return static_cast<uint64_t>(mask_) >> 2; }
  // The item's slot, or the free one where it belongs.
  int64_t find(int32_t item) const {
    auto slot = static_cast<int64_t>(hash_of(item) >> 5) & mask_;
    while (slots_.get()[slot].place >= 0 && slots_.get()[slot].item != item) slot = (slot + 1) & mask_;
    return slot;
  }

  const int64_t mask_;
  const Buffer<Slot> slots_;
  const Buffer<uint32_t> filter_;  // a bit for each of eight times as many hashes as there are slots
  const Buffer<int32_t> next_;     // [batch]: the place before with the same item, or -1
};

// Calls body(place) for each place of an item of the user's list. What passes the filter is put aside first:
// a branch on it would be foretold wrongly as often as there is something to find.
template <class Index, class Body>
void for_each_hit(const ItemPlaces& places, const Index* list, int64_t degree, int64_t first_item,
                  int64_t num_items, const Body& body) {
  constexpr int64_t kPiece = 128;
  int32_t held[kPiece];
  for (int64_t begin = 0; begin < degree; begin += kPiece) {
    const int64_t end = begin + kPiece < degree ? begin + kPiece : degree;
    int64_t count = 0;
    for (int64_t k = begin; k < end; ++k) {
      const auto item = static_cast<uint64_t>(list[k]) - static_cast<uint64_t>(first_item);
      held[count] = static_cast<int32_t>(item);
      count += item < static_cast<uint64_t>(num_items) && places.may_hold(held[count]);
    }
    for (int64_t k = 0; k < count; ++k) places.for_each_place(held[k], body);
  }
}

// Asks for the start of a user's list, and of one further on for where that is.
template <class Index>
void prefetch_lists(const AccidentalHitsParams& p, int64_t b) {
  constexpr int64_t kAhead = 6;
  if (b + 2 * kAhead >= p.batch) return;
  const int64_t user = p.users[b + kAhead], later = p.users[b + 2 * kAhead];
  if (later >= 0 && later < p.csr.num_rows) prefetch_line(p.csr.indptr + later);
  if (user < 0 || user >= p.csr.num_rows || !valid_row(p.csr, user)) return;
  prefetch_row(p.csr.indices, p.csr.indptr[user], sizeof(Index), 128);
}

// -1, or the lowest place of the batch whose item is out of range; where there is none, the lowest whose user
// is, or has a malformed row.
inline int64_t accidental_hits(const AccidentalHitsParams& p, const Parallel& parallel) {
  for (int64_t b = 0; b < p.batch; ++b)
    if (p.items[b] < 0 || p.items[b] >= p.csr.num_cols) return b;
  const ItemPlaces places(p.items, p.batch);
  const int64_t words = hit_words(p.batch);
  return dispatch_index(p.csr.index_type, [&](auto type) {
    using Index = typename decltype(type)::type;
    // An item of a list takes 5 to 8 ns, as long as a hundred multiply-adds.
    const int64_t operations = 8 * words + 100 * (p.csr.num_edges / (p.csr.num_rows + 1) + 1);
    return for_each_target(p.batch, operations, parallel, [&](int64_t b) {
      prefetch_lists<Index>(p, b);
      const int64_t user = p.users[b];
      if (user < 0 || user >= p.csr.num_rows || !valid_row(p.csr, user)) return false;
      uint32_t* row = p.out + b * words;
      std::memset(row, 0, static_cast<size_t>(words) * sizeof(*row));
      const int64_t begin = p.csr.indptr[user], degree = p.csr.indptr[user + 1] - begin;
      const auto* list = static_cast<const Index*>(p.csr.indices) + begin;
      const auto mark = [&](int64_t place) { row[place / 32] |= hit_bit(place); };
      if (walks_list(degree, p.batch)) {
        for_each_hit(places, list, degree, p.first_item, p.csr.num_cols, mark);
      } else {
        for (int64_t place = 0; place < p.batch; ++place)
          if (row_holds(list, degree, p.items[place] + p.first_item)) mark(place);
      }
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
