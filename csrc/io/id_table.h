// Maps external ids (64-bit integers or strings) to codes 0, 1, 2, ... in order of first
// appearance. Open addressing with a hash drawn afresh in every process: codes do not depend on it,
// and a file made to collide cannot know it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ltgnn::io {

namespace detail {

inline std::uint64_t hash_seed() {
  static const std::uint64_t seed = [] {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
  }();
  return seed;
}

inline std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}

inline std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t state = seed ^ bytes.size();
  while (bytes.size() >= 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    state = mix(state + word);
    bytes.remove_prefix(8);
  }
  std::uint64_t tail = 0;
  if (!bytes.empty()) std::memcpy(&tail, bytes.data(), bytes.size());
  return mix(state + tail);
}

// The slots of an open-addressing table; the keys themselves live with the caller, by code. The
// hash is kept in the slot: nearly every lookup touches one cache line.
class SlotTable {
 public:
  // The code of the key with this hash (and for which `equals(code)`), or `next`, then entered.
  template <class Equals>
  std::int32_t find_or_add(std::uint64_t hash, std::size_t next, const Equals& equals) {
    if (2 * (next + 1) > slots_.size()) grow();
    Slot& slot = find(hash, equals);
    if (slot.code == kFree) {
      if (next >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::length_error("more distinct ids than a 32-bit code can number");
      }
      slot = {hash, static_cast<std::int32_t>(next)};
    }
    return slot.code;
  }

  void prefetch(std::uint64_t hash) const {
#if defined(__GNUC__)
    if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
#endif
  }

 private:
  static constexpr std::int32_t kFree = -1;
  struct Slot {
    std::uint64_t hash = 0;
    std::int32_t code = kFree;
  };

  template <class Equals>
  Slot& find(std::uint64_t hash, const Equals& equals) {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.code == kFree || (slot.hash == hash && equals(slot.code))) return slot;
    }
  }

  void grow() {
    std::vector<Slot> old(std::max<std::size_t>(1024, 2 * slots_.size()));
    old.swap(slots_);
    const auto never = [](std::int32_t) { return false; };
    for (const Slot& slot : old) {
      if (slot.code != kFree) find(slot.hash, never) = slot;
    }
  }

  std::vector<Slot> slots_;  // size 0 or a power of two
};

}  // namespace detail

class IntIdTable {
 public:
  // Writes the code of each of the `count` ids to `codes`. Amortised O(1) per id; in blocks, because the
  // table of a large catalogue lies outside the cache and the waits for it then overlap.
  void write_codes(const std::int64_t* ids, std::size_t count, std::int32_t* codes) {
    constexpr std::size_t kBlock = 256;
    for (std::size_t first = 0; first < count; first += kBlock) {
      const std::size_t last = std::min(first + kBlock, count);
      for (std::size_t i = first; i < last; ++i) slots_.prefetch(hash(ids[i]));
      for (std::size_t i = first; i < last; ++i) codes[i] = code(ids[i]);
    }
  }

  std::size_t size() const { return ids_.size(); }
  std::vector<std::int64_t>& ids() { return ids_; }
  const std::vector<std::int64_t>& ids() const { return ids_; }

 private:
  std::int32_t code(std::int64_t id) {
    // The hash is a bijection of the id: equal hashes are equal ids.
    const auto same = [](std::int32_t) { return true; };
    const std::int32_t code = slots_.find_or_add(hash(id), ids_.size(), same);
    if (static_cast<std::size_t>(code) == ids_.size()) ids_.push_back(id);
    return code;
  }

  std::uint64_t hash(std::int64_t id) const { return detail::mix(static_cast<std::uint64_t>(id) + seed_); }

  std::uint64_t seed_ = detail::hash_seed();
  std::vector<std::int64_t> ids_;  // by code
  detail::SlotTable slots_;
};

class StringIdTable {
 public:
  // Amortised O(bytes).
  std::int32_t code(std::string_view id) {
    const std::uint64_t hash = detail::hash_bytes(id, seed_);
    const auto same = [&](std::int32_t c) { return (*this)[static_cast<std::size_t>(c)] == id; };
    const std::int32_t code = slots_.find_or_add(hash, ends_.size(), same);
    if (static_cast<std::size_t>(code) == ends_.size()) {
      bytes_ += id;
      ends_.push_back(bytes_.size());
    }
    return code;
  }

  std::size_t size() const { return ends_.size(); }
  std::size_t total_bytes() const { return bytes_.size(); }
  std::string_view operator[](std::size_t code) const {
    const std::size_t start = code == 0 ? 0 : ends_[code - 1];
    return std::string_view(bytes_).substr(start, ends_[code] - start);
  }

 private:
  std::uint64_t seed_ = detail::hash_seed();
  std::string bytes_;              // all ids, one behind the other
  std::vector<std::size_t> ends_;  // by code: end in bytes_
  detail::SlotTable slots_;
};

}  // namespace ltgnn::io
