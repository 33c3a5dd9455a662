// A column of ids, integers or text, and their codes in order of first appearance.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "id_table.h"

namespace ltgnn::io {

struct IdColumn {
  explicit IdColumn(bool as_text) : is_text(as_text) {}

  bool is_text;
  IntIdTable ints;      // used unless is_text
  StringIdTable texts;  // used if is_text

  std::size_t size() const { return is_text ? texts.size() : ints.size(); }

  // Enters the ids of another column of the same kind, in its order, and returns their codes here.
  std::vector<std::int32_t> enter(const IdColumn& other) {
    std::vector<std::int32_t> codes(other.size());
    if (is_text) {
      for (std::size_t code = 0; code < codes.size(); ++code) codes[code] = texts.code(other.texts[code]);
    } else {
      ints.write_codes(other.ints.ids().data(), codes.size(), codes.data());
    }
    return codes;
  }
};

// Gives the rows of a column their codes, one after another.
class IdWriter {
 public:
  // `codes` has places for all rows that will be added.
  IdWriter(IdColumn& column, std::int32_t* codes) : column_(column), codes_(codes) {}

  bool is_text() const { return column_.is_text; }

  // Integers wait until a block of them can be looked up at once. For columns that are not text.
  void add(std::int64_t id) {
    block_[waiting_++] = id;
    if (waiting_ == block_.size()) flush();
  }

  void add(std::string_view id) { *codes_++ = column_.texts.code(id); }

  // To be called behind the last row.
  void flush() {
    column_.ints.write_codes(block_.data(), waiting_, codes_);
    codes_ += waiting_;
    waiting_ = 0;
  }

 private:
  IdColumn& column_;
  std::int32_t* codes_;  // of the next row
  std::size_t waiting_ = 0;
  std::array<std::int64_t, 256> block_;
};

}  // namespace ltgnn::io
