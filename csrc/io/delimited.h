// Rows of delimited text (csv, tsv, blanks, "::") to columns: user, item, optional value and time.
//
// One pass, one thread, no allocation per row. Ids become codes in order of first appearance. An id
// column is read as integers until an id turns up that is none ("x7", "007"); the file is then read
// once more with that column as text, so that no two spellings are ever taken for one id.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "id_table.h"
#include "numbers.h"
#include "parse_error.h"
#include "row_reader.h"
#include "utf8.h"

namespace ltgnn::io {

inline constexpr std::size_t kMaxIdBytes = 256;
inline constexpr std::size_t kMaxColumns = 65536;

struct DelimitedSpec {
  std::string delimiter = ",";
  int user = 0;  // column numbers from 0; -1: there is none
  int item = 1;
  int value = -1;
  int time = -1;
  bool has_header = false;  // skip the first row
  bool text_users = false;  // take ids for text from the start
  bool text_items = false;
};

struct IdColumn {
  explicit IdColumn(bool as_text) : is_text(as_text) {}

  bool is_text;
  std::vector<std::int64_t> pending;  // integer ids that have no code yet: the last rows
  std::vector<std::int32_t> codes;    // [rows] once nothing is pending
  IntIdTable ints;                    // used unless is_text
  StringIdTable texts;                // used if is_text

  void add(std::int64_t id) {
    constexpr std::size_t kBlock = 1024;
    pending.push_back(id);
    if (pending.size() == kBlock) flush();
  }
  void flush() {
    ints.append_codes(pending, codes);
    pending.clear();
  }
};

struct DelimitedTable {
  IdColumn users;
  IdColumn items;
  std::vector<float> values;  // [rows], or empty without a value column
  std::vector<double> times;  // [rows], or empty without a time column
};

namespace detail {

enum class Role : std::uint8_t { kUnused, kUser, kItem, kValue, kTime };

// Thrown when an id column turns out to hold text; never leaves parse_delimited.
struct NotIntegers {
  Role role;
};

class DelimitedParser {
 public:
  DelimitedParser(std::string_view text, const DelimitedSpec& spec)
      : text_(text), spec_(spec), rows_(text, spec.delimiter) {
    assign(spec.user, Role::kUser, "user", true);
    assign(spec.item, Role::kItem, "item", true);
    assign(spec.value, Role::kValue, "value", false);
    assign(spec.time, Role::kTime, "time", false);
  }

  DelimitedTable parse() {
    const std::size_t nul = text_.find('\0');
    if (nul != std::string_view::npos) {
      throw ParseError(nul, "text", "a NUL byte (binary or UTF-16 file?)");
    }
    DelimitedTable out{
        .users = IdColumn(spec_.text_users), .items = IdColumn(spec_.text_items), .values = {}, .times = {}};
    reserve(out);
    std::size_t num_columns = 0;
    for (bool header = spec_.has_header; rows_.next_row(); header = false) {
      std::size_t column = 0;
      for (Field field; rows_.next_field(field); ++column) {
        if (!header && column < roles_.size()) store(out, roles_[column], field);
      }
      if (num_columns == 0) {
        num_columns = column;
        if (column < roles_.size()) fail_columns("at least ", roles_.size(), column);
        if (column > kMaxColumns) fail_columns("at most ", kMaxColumns, column);
      } else if (column != num_columns) {
        fail_columns("", num_columns, column);
      }
    }
    out.users.flush();
    out.items.flush();
    return out;
  }

 private:
  void assign(int column, Role role, const char* name, bool required) {
    if (column < 0 && !required) return;
    if (column < 0 || static_cast<std::size_t>(column) >= kMaxColumns) {
      throw std::invalid_argument(std::string(name) + " column: expected a number from 0 to " +
                                  std::to_string(kMaxColumns - 1) + ", got " + std::to_string(column));
    }
    const auto at = static_cast<std::size_t>(column);
    if (at >= roles_.size()) roles_.resize(at + 1, Role::kUnused);
    if (roles_[at] != Role::kUnused) {
      throw std::invalid_argument(std::string(name) + " column: column " + std::to_string(column) +
                                  " already has another role");
    }
    roles_[at] = role;
  }

  void reserve(DelimitedTable& out) const {
    const auto breaks = static_cast<std::size_t>(std::count(text_.begin(), text_.end(), '\n'));
    // A row takes at least two bytes per needed column: a file of blank lines reserves little.
    const std::size_t rows = std::min(breaks + 1, text_.size() / (2 * roles_.size()) + 1);
    out.users.codes.reserve(rows);
    out.items.codes.reserve(rows);
    if (spec_.value >= 0) out.values.reserve(rows);
    if (spec_.time >= 0) out.times.reserve(rows);
  }

  void store(DelimitedTable& out, Role role, const Field& field) {
    switch (role) {
      case Role::kUnused: return;
      case Role::kUser: return store_id(out.users, role, field, "a user id");
      case Role::kItem: return store_id(out.items, role, field, "an item id");
      case Role::kValue: {
        const double value = read_number(field, "a finite number as value");
        if (std::fabs(value) > std::numeric_limits<float>::max()) {
          fail(field, "a value within the range of float32");
        }
        out.values.push_back(static_cast<float>(value));
        return;
      }
      case Role::kTime: out.times.push_back(read_number(field, "a finite number of seconds as time")); return;
    }
  }

  void store_id(IdColumn& column, Role role, const Field& field, const char* what) {
    if (field.text.empty()) fail(field, what);
    if (!column.is_text) {
      const auto id = canonical_int64(field.text);
      if (!id) throw NotIntegers{role};
      column.add(*id);
      return;
    }
    const std::string_view id = unquote(field, scratch_);
    if (id.size() > kMaxIdBytes) {
      throw ParseError(rows_.offset_of(field.text.data()),
                       std::string(what) + " of at most " + std::to_string(kMaxIdBytes) + " bytes",
                       std::to_string(id.size()) + " bytes");
    }
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::any_of(id.begin(), id.end(), is_control)) {
      fail(field, std::string(what) + " without control characters");
    }
    if (!count_code_points(id)) fail(field, std::string(what) + " in UTF-8");
    column.codes.push_back(column.texts.code(id));
  }

  double read_number(const Field& field, const char* what) const {
    const auto number = finite_double(field.text);
    if (!number) fail(field, what);
    return *number;
  }

  [[noreturn]] void fail(const Field& field, std::string expected) const {
    throw ParseError(rows_.offset_of(field.text.data()), std::move(expected),
                     field.text.empty() ? "an empty field" : quote_bytes(field.text));
  }

  [[noreturn]] void fail_columns(const char* bound, std::size_t expected, std::size_t got) const {
    throw ParseError(rows_.row_offset(), bound + std::to_string(expected) + " columns", std::to_string(got));
  }

  std::string_view text_;
  const DelimitedSpec& spec_;
  RowReader rows_;
  std::vector<Role> roles_;  // by column, up to the last one that is needed
  std::string scratch_;
};

}  // namespace detail

// Parses a whole file. Throws ParseError for malformed rows (see above), std::invalid_argument for
// an impossible spec. O(bytes).
inline DelimitedTable parse_delimited(std::string_view text, DelimitedSpec spec) {
  for (;;) {
    try {
      return detail::DelimitedParser(text, spec).parse();
    } catch (const detail::NotIntegers& column) {
      (column.role == detail::Role::kUser ? spec.text_users : spec.text_items) = true;
    }
  }
}

// The first rows as they stand, for finding out what a file is. Stops without an error at
// `max_rows`, at a malformed row, or at a row of more than kMaxColumns fields.
inline std::vector<std::vector<std::string>> preview_rows(std::string_view text, std::string_view delimiter,
                                                          std::size_t max_rows) {
  std::vector<std::vector<std::string>> rows;
  RowReader reader(text, delimiter);
  std::string scratch;
  try {
    while (rows.size() < max_rows && reader.next_row()) {
      std::vector<std::string> row;
      for (Field field; reader.next_field(field);) {
        if (row.size() == kMaxColumns) return rows;
        row.emplace_back(unquote(field, scratch));
      }
      rows.push_back(std::move(row));
    }
  } catch (const ParseError&) {
    return rows;  // the parser itself will report it, with its place
  }
  return rows;
}

}  // namespace ltgnn::io
