// LightGCN text: one line per user, "uid item item ...", ids from 0, separated by blanks or tabs.
//
// Two passes over the text, both split among threads at line breaks: the first counts the edges of
// each piece (a few GB/s), the second parses straight into its place in the final arrays, so that
// nothing is grown, copied or merged. Memory: the text plus 8 bytes per edge.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "lines.h"
#include "numbers.h"
#include "parallel.h"
#include "parse_error.h"

namespace ltgnn::io {

inline constexpr std::uint32_t kMaxId = std::numeric_limits<std::int32_t>::max() - 1;

struct LightGcnEdges {
  std::unique_ptr<std::int32_t[]> users;  // [size]
  std::unique_ptr<std::int32_t[]> items;  // [size]
  std::size_t size = 0;
  std::int32_t num_users = 0;  // largest user id + 1; a line without items counts
  std::int32_t num_items = 0;  // largest item id + 1
};

namespace detail {

inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

// True at the end of the text, at '\n', and at a '\r' that belongs to a line break. `end` must be
// the end of the text or lie just behind a '\n'.
inline bool at_line_end(const char* p, const char* end) {
  if (p == end || *p == '\n') return true;
  return *p == '\r' && (p + 1 == end || p[1] == '\n');
}

// Starts of runs of bytes above ' '. Blocks are short enough for the count to fit a byte, which
// lets the compiler count 16 bytes and more per instruction.
inline std::size_t count_tokens(std::string_view text) {
  constexpr std::size_t kBlock = 240;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (text.empty()) return 0;
  std::size_t total = bytes[0] > ' ' ? 1 : 0;
  for (std::size_t start = 1; start < text.size(); start += kBlock) {
    const std::size_t stop = std::min(start + kBlock, text.size());
    std::uint8_t count = 0;
    for (std::size_t i = start; i < stop; ++i) {
      count = static_cast<std::uint8_t>(count + ((bytes[i] > ' ') & (bytes[i - 1] <= ' ')));
    }
    total += count;
  }
  return total;
}

// Lines with at least one token in the sense of count_tokens.
inline std::size_t count_filled_lines(std::string_view text) {
  std::size_t total = 0;
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p != end) {
    while (p != end && *p != '\n' && static_cast<unsigned char>(*p) <= ' ') ++p;
    if (p != end && *p != '\n') ++total;
    const void* const line_break =
        p == end ? nullptr : std::memchr(p, '\n', static_cast<std::size_t>(end - p));
    if (line_break == nullptr) break;
    p = static_cast<const char*>(line_break) + 1;
  }
  return total;
}

inline std::int32_t read_id(const char*& p, const char* end, const char* text, const char* what) {
  const char* const start = p;
  const std::uint32_t id = read_digits(p, end);
  const bool complete = p != start && (at_line_end(p, end) || is_blank(*p));
  if (complete && id <= kMaxId) return static_cast<std::int32_t>(id);
  const char* stop = start;
  while (!at_line_end(stop, end) && !is_blank(*stop)) ++stop;
  throw ParseError(static_cast<std::size_t>(start - text),
                   std::string(what) + " id from 0 to " + std::to_string(kMaxId),
                   quote_bytes({start, static_cast<std::size_t>(stop - start)}));
}

struct Piece {
  std::string_view text;  // whole lines
  std::size_t edges = 0;  // from the first pass: exact, or never too small if the text is malformed
  std::size_t first = 0;  // its place in the arrays
  std::int32_t num_users = 0;
  std::int32_t num_items = 0;
};

inline void parse_piece(Piece& piece, const char* text, std::int32_t* users, std::int32_t* items) {
  const char* p = piece.text.data();
  const char* const end = p + piece.text.size();
  std::size_t size = 0;
  std::int32_t max_user = -1;
  std::int32_t max_item = -1;
  while (p != end) {
    while (p != end && is_blank(*p)) ++p;
    if (!at_line_end(p, end)) {
      const std::int32_t user = read_id(p, end, text, "a user");
      max_user = std::max(max_user, user);
      for (;;) {
        while (p != end && is_blank(*p)) ++p;
        if (at_line_end(p, end)) break;
        const std::int32_t item = read_id(p, end, text, "an item");
        if (size == piece.edges) throw std::logic_error("lightgcn: the two passes disagree");
        max_item = std::max(max_item, item);
        users[size] = user;
        items[size] = item;
        ++size;
      }
    }
    if (p != end && *p == '\r') ++p;
    if (p != end) ++p;  // '\n'
  }
  if (size != piece.edges) throw std::logic_error("lightgcn: the two passes disagree");
  piece.num_users = max_user + 1;
  piece.num_items = max_item + 1;
}

}  // namespace detail

// Parses a whole file. num_threads 0 chooses by size; the result does not depend on it.
// Throws ParseError for anything but ids from 0 to kMaxId, blanks, tabs and line breaks.
inline LightGcnEdges parse_lightgcn(std::string_view text, std::size_t num_threads = 0) {
  if (num_threads == 0) num_threads = suggested_threads(text.size());
  std::vector<detail::Piece> pieces;
  for (const std::string_view lines : split_lines(text.substr(bom_size(text)), num_threads)) {
    pieces.push_back({.text = lines});
  }
  run_parallel(pieces.size(), [&](std::size_t i) {
    // The first token of each filled line is its user.
    const std::string_view lines = pieces[i].text;
    pieces[i].edges = detail::count_tokens(lines) - detail::count_filled_lines(lines);
  });

  LightGcnEdges out;
  for (detail::Piece& piece : pieces) {
    piece.first = out.size;
    out.size += piece.edges;
  }
  out.users = std::make_unique_for_overwrite<std::int32_t[]>(out.size);
  out.items = std::make_unique_for_overwrite<std::int32_t[]>(out.size);
  run_parallel(pieces.size(), [&](std::size_t i) {
    const std::size_t first = pieces[i].first;
    detail::parse_piece(pieces[i], text.data(), out.users.get() + first, out.items.get() + first);
  });
  for (const detail::Piece& piece : pieces) {
    out.num_users = std::max(out.num_users, piece.num_users);
    out.num_items = std::max(out.num_items, piece.num_items);
  }
  return out;
}

}  // namespace ltgnn::io
