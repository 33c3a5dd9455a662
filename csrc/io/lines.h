// Text cut at line breaks, so that several threads can read it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ltgnn::io {

// At most `count` pieces of whole lines that together make up `text`.
inline std::vector<std::string_view> split_lines(std::string_view text, std::size_t count) {
  std::vector<std::string_view> pieces;
  std::size_t start = 0;
  for (std::size_t i = 1; i <= count && start < text.size(); ++i) {
    std::size_t stop = text.size();
    if (i < count) {
      const std::size_t goal = std::max(start, text.size() / count * i);
      const std::size_t line_break = text.find('\n', goal);
      stop = line_break == std::string_view::npos ? text.size() : line_break + 1;
    }
    pieces.push_back(text.substr(start, stop - start));
    start = stop;
  }
  return pieces;
}

struct LineScan {
  std::size_t breaks = 0;
  bool has_nul = false;
  bool has_quote = false;

  void add(const LineScan& other) {
    breaks += other.breaks;
    has_nul |= other.has_nul;
    has_quote |= other.has_quote;
  }
};

// One look at every byte. Blocks are short enough for the count to fit a byte, which lets the compiler
// look at 16 bytes and more per instruction.
inline LineScan scan_lines(std::string_view text) {
  constexpr std::size_t kBlock = 240;
  LineScan scan;
  for (std::size_t start = 0; start < text.size(); start += kBlock) {
    const std::size_t stop = std::min(start + kBlock, text.size());
    std::uint8_t breaks = 0;
    std::uint8_t nuls = 0;
    std::uint8_t quotes = 0;
    for (std::size_t i = start; i < stop; ++i) {
      breaks = static_cast<std::uint8_t>(breaks + (text[i] == '\n'));
      nuls = static_cast<std::uint8_t>(nuls | (text[i] == '\0'));
      quotes = static_cast<std::uint8_t>(quotes | (text[i] == '"'));
    }
    scan.breaks += breaks;
    scan.has_nul |= nuls != 0;
    scan.has_quote |= quotes != 0;
  }
  return scan;
}

}  // namespace ltgnn::io
