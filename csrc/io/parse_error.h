// Where and why a text file could not be read. A parser throws a ParseError with a byte offset
// only; line and column are worked out from the offset when the message is made, so that the hot
// loops never count lines.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace ltgnn::io {

class ParseError : public std::exception {
 public:
  ParseError(std::size_t offset, std::string expected, std::string got)
      : offset_(offset), expected_(std::move(expected)), got_(std::move(got)) {}

  std::size_t offset() const noexcept { return offset_; }
  const std::string& expected() const noexcept { return expected_; }
  const std::string& got() const noexcept { return got_; }
  const char* what() const noexcept override { return expected_.c_str(); }

 private:
  std::size_t offset_;  // bytes from the start of the text
  std::string expected_;
  std::string got_;
};

// Quotes at most kMaxShown bytes of a token; anything that is not printable ASCII is escaped, so
// that the message is valid UTF-8 and safe on a terminal whatever the file holds.
inline std::string quote_bytes(std::string_view bytes) {
  constexpr std::size_t kMaxShown = 32;
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : bytes.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  out += bytes.size() > kMaxShown ? "'..." : "'";
  return out;
}

// "NAME:LINE:COL: expected ..., got ..."; LINE and COL count from 1, COL in bytes. O(offset).
// `first_line` is the number of the first line of `text`, which may be a piece of a file.
inline std::string describe(const ParseError& error, std::string_view text, std::string_view name,
                            std::size_t first_line = 1) {
  const std::size_t offset = std::min(error.offset(), text.size());
  const std::string_view before = text.substr(0, offset);
  const auto line = first_line + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  const std::size_t last_break = before.rfind('\n');
  const std::size_t line_start = last_break == std::string_view::npos ? 0 : last_break + 1;
  std::string out(name);
  out += ':' + std::to_string(line) + ':' + std::to_string(offset - line_start + 1);
  out += ": expected " + error.expected() + ", got " + error.got();
  return out;
}

// Bytes of a UTF-8 byte order mark at the start of the text: 3 or 0.
inline std::size_t bom_size(std::string_view text) { return text.starts_with("\xef\xbb\xbf") ? 3 : 0; }

}  // namespace ltgnn::io
