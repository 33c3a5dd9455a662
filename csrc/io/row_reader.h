// Rows and fields of delimited text, without copying: a field is a view of the text.
//
// Delimiters: one character; "::"; or ' ', which stands for any run of blanks and tabs. With a
// one-character delimiter other than ' ', a field may be quoted ("a ""b"" c"), and a quoted field
// may hold delimiters and line breaks. Blanks around a field are dropped, lines without content are
// skipped, a final line break is optional and may be CR LF.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "numbers.h"
#include "parse_error.h"

namespace ltgnn::io {

struct Field {
  std::string_view text;  // between the quotes, if there were any
  bool doubled = false;   // holds "" that stands for one quote
};

class RowReader {
 public:
  // `text` must outlive the reader. `start`: where the first row to be read starts.
  RowReader(std::string_view text, std::string_view delimiter, std::size_t start = 0)
      : begin_(text.data()), p_(begin_ + std::max(start, bom_size(text))), end_(begin_ + text.size()) {
    const bool pair = delimiter == "::";
    if (!pair && (delimiter.size() != 1 || delimiter == "\n" || delimiter == "\r" || delimiter == "\"" ||
                  delimiter[0] == '\0' || is_digit(delimiter[0]))) {
      throw std::invalid_argument("delimiter: expected one character or '::', and no digit, got " +
                                  quote_bytes(delimiter));
    }
    delimiter_ = delimiter[0];
    width_ = delimiter.size();
    blanks_ = delimiter_ == ' ';
    quotes_ = !blanks_ && !pair;
  }

  // Moves to the next row that has content; false at the end of the text. The fields of the row
  // before must have been read to the end.
  bool next_row() {
    while (p_ != end_) {
      const char* q = p_;
      while (q != end_ && is_padding(*q)) ++q;
      if (q != end_ && *q == '\r' && (q + 1 == end_ || q[1] == '\n')) ++q;
      if (q == end_ || *q == '\n') {
        p_ = q == end_ ? q : q + 1;
        continue;
      }
      row_ = p_;
      if (blanks_) p_ = q;
      open_ = true;
      return true;
    }
    return false;
  }

  // Reads the next field of the row; false when there is none.
  bool next_field(Field& field) {
    if (!open_) return false;
    field.doubled = false;
    if (!blanks_) {
      while (p_ != end_ && *p_ == ' ') ++p_;
    }
    if (quotes_ && p_ != end_ && *p_ == '"') {
      read_quoted(field);
    } else {
      read_plain(field);
    }
    return true;
  }

  // Reads the next field if it is a number of up to 16 digits, written as a program would print it; else
  // false, and the field is still to be read. Most fields of most files: several times as fast as next_field.
  bool next_integer(std::uint64_t& value) {
    const char* p = p_;
    if (!open_ || !read_short_integer(p, end_, value) || p == end_) return false;
    if (*p == '\r' && p + 1 != end_ && p[1] == '\n') ++p;
    if (*p != '\n' && !at_delimiter(p)) return false;
    p_ = p;
    finish_field();
    return true;
  }

  // Whether a field may be quoted, and may then hold line breaks.
  bool has_quotes() const { return quotes_; }

  std::size_t offset_of(const char* p) const { return static_cast<std::size_t>(p - begin_); }
  std::size_t row_offset() const { return offset_of(row_); }
  std::size_t position() const { return offset_of(p_); }  // of the byte to be read next

 private:
  bool is_padding(char c) const { return c == ' ' || (blanks_ && c == '\t'); }

  bool at_delimiter(const char* p) const {
    if (blanks_) return *p == ' ' || *p == '\t';
    return *p == delimiter_ && (width_ == 1 || (p + 1 != end_ && p[1] == ':'));
  }

  // `p_` is behind the content of a field: at a delimiter, at '\n' or at the end.
  void finish_field() {
    if (p_ == end_) {
      open_ = false;
    } else if (*p_ == '\n') {
      ++p_;
      open_ = false;
    } else if (!blanks_) {
      p_ += width_;
    } else {
      while (p_ != end_ && is_padding(*p_)) ++p_;
      // Blanks at the end of a line do not open another field.
      if (p_ != end_ && *p_ == '\r' && (p_ + 1 == end_ || p_[1] == '\n')) ++p_;
      if (p_ == end_ || *p_ == '\n') finish_field();
    }
  }

  void read_plain(Field& field) {
    const char* const start = p_;
    while (p_ != end_ && *p_ != '\n' && !at_delimiter(p_)) ++p_;
    const char* stop = p_;
    const bool line_end = p_ == end_ || *p_ == '\n';
    if (line_end && stop != start && stop[-1] == '\r') --stop;
    while (stop != start && stop[-1] == ' ') --stop;
    field.text = {start, static_cast<std::size_t>(stop - start)};
    finish_field();
  }

  void read_quoted(Field& field) {
    const char* const start = p_ + 1;
    const char* q = start;
    for (;;) {
      const void* const quote = q == end_ ? nullptr : std::memchr(q, '"', static_cast<std::size_t>(end_ - q));
      if (quote == nullptr) {
        throw ParseError(offset_of(p_), "a closing quote for this field", "end of file");
      }
      q = static_cast<const char*>(quote);
      if (q + 1 == end_ || q[1] != '"') break;
      field.doubled = true;
      q += 2;
    }
    field.text = {start, static_cast<std::size_t>(q - start)};
    p_ = q + 1;
    while (p_ != end_ && *p_ == ' ') ++p_;
    if (p_ != end_ && *p_ == '\r' && (p_ + 1 == end_ || p_[1] == '\n')) ++p_;
    if (p_ != end_ && *p_ != '\n' && !at_delimiter(p_)) {
      throw ParseError(offset_of(p_), "a delimiter or a line break after the closing quote",
                       quote_bytes({p_, 1}));
    }
    finish_field();
  }

  const char* begin_;
  const char* p_;
  const char* end_;
  const char* row_ = begin_;
  char delimiter_ = ',';
  std::size_t width_ = 1;
  bool blanks_ = false;
  bool quotes_ = true;
  bool open_ = false;  // a field of the row is still to be read
};

// The content of a field, with "" made one quote. `scratch` holds the result if it differs.
inline std::string_view unquote(const Field& field, std::string& scratch) {
  if (!field.doubled) return field.text;
  scratch.clear();
  for (std::size_t i = 0; i < field.text.size(); ++i) {
    scratch += field.text[i];
    if (field.text[i] == '"') ++i;
  }
  return scratch;
}

// How many bytes of `text`, which starts with a row, are whole rows with their line breaks: where a piece of
// a file may end. A line break within quotes ends no row. O(bytes) where there are quotes, else O(last row).
inline std::size_t last_row_end(std::string_view text, std::string_view delimiter) {
  const std::size_t line_break = text.rfind('\n');
  const std::size_t after = line_break == std::string_view::npos ? 0 : line_break + 1;
  if (after == 0 || text.find('"') == std::string_view::npos) return after;
  RowReader rows(text, delimiter);
  std::size_t whole = 0;
  try {
    while (rows.next_row()) {
      for (Field field; rows.next_field(field);) {
      }
      if (text[rows.position() - 1] != '\n' || rows.position() > after) break;
      whole = rows.position();
    }
  } catch (const ParseError& error) {
    // Cut off within quotes: the rest belongs to the next piece. Anything else is the parser's to report.
    return error.expected().starts_with("a closing quote") ? whole : after;
  }
  return whole;
}

}  // namespace ltgnn::io
