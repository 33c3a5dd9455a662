// Some rows of delimited text to columns: what one thread does of parse_delimited.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "id_column.h"
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

namespace detail {

enum class Role : std::uint8_t { kUnused, kUser, kItem, kValue, kTime };

// Thrown when an id column turns out to hold text; never leaves parse_delimited.
struct NotIntegers {
  Role role;
};

inline void assign_role(std::vector<Role>& roles, int column, Role role, const char* name, bool required) {
  if (column < 0 && !required) return;
  if (column < 0 || static_cast<std::size_t>(column) >= kMaxColumns) {
    throw std::invalid_argument(std::string(name) + " column: expected a number from 0 to " +
                                std::to_string(kMaxColumns - 1) + ", got " + std::to_string(column));
  }
  const auto at = static_cast<std::size_t>(column);
  if (at >= roles.size()) roles.resize(at + 1, Role::kUnused);
  if (roles[at] != Role::kUnused) {
    throw std::invalid_argument(std::string(name) + " column: column " + std::to_string(column) +
                                " already has another role");
  }
  roles[at] = role;
}

// The roles of the columns, up to the last one that is needed.
inline std::vector<Role> find_roles(const DelimitedSpec& spec) {
  std::vector<Role> roles;
  assign_role(roles, spec.user, Role::kUser, "user", true);
  assign_role(roles, spec.item, Role::kItem, "item", true);
  assign_role(roles, spec.value, Role::kValue, "value", false);
  assign_role(roles, spec.time, Role::kTime, "time", false);
  return roles;
}

// Where the rows of a piece go: places for as many as it may hold; null for a column that there is not.
struct RowPlaces {
  std::int32_t* users;
  std::int32_t* items;
  float* values;
  double* times;
};

class PieceParser {
 public:
  // The rows of `text` from `start` on; errors name bytes of `text`. Ids are entered into `users` and
  // `items`.
  PieceParser(std::string_view text, std::size_t start, const std::string& delimiter,
              const std::vector<Role>& roles, IdColumn& users, IdColumn& items, const RowPlaces& places)
      : rows_(text, delimiter, start),
        roles_(roles),
        users_(users, places.users),
        items_(items, places.items),
        places_(places) {}

  // Returns the number of rows, each of which must have `num_columns` fields; there are places for `room`.
  std::size_t parse(std::size_t num_columns, std::size_t room) {
    std::size_t size = 0;
    for (; rows_.next_row(); ++size) {
      if (size == room) throw std::logic_error("delimited: more rows than were counted");
      std::size_t column = 0;
      for (Field field;; ++column) {
        const Role role = column < roles_.size() ? roles_[column] : Role::kUnused;
        std::uint64_t integer = 0;
        if (takes_integers(role) && rows_.next_integer(integer)) {
          store(role, integer);
        } else if (rows_.next_field(field)) {
          store(role, field);
        } else {
          break;
        }
      }
      if (column != num_columns) fail_columns(rows_, "", num_columns, column);
    }
    users_.flush();
    items_.flush();
    return size;
  }

  [[noreturn]] static void fail_columns(const RowReader& rows, const char* bound, std::size_t expected,
                                        std::size_t got) {
    throw ParseError(rows.row_offset(), bound + std::to_string(expected) + " columns", std::to_string(got));
  }

 private:
  bool takes_integers(Role role) const {
    if (role == Role::kUser) return !users_.is_text();
    if (role == Role::kItem) return !items_.is_text();
    return role != Role::kUnused;
  }

  void store(Role role, std::uint64_t integer) {  // of up to 16 digits
    switch (role) {
      case Role::kUnused: return;
      case Role::kUser: return users_.add(static_cast<std::int64_t>(integer));
      case Role::kItem: return items_.add(static_cast<std::int64_t>(integer));
      case Role::kValue: *places_.values++ = static_cast<float>(static_cast<double>(integer)); return;
      case Role::kTime: *places_.times++ = static_cast<double>(integer); return;
    }
  }

  void store(Role role, const Field& field) {
    switch (role) {
      case Role::kUnused: return;
      case Role::kUser: return store_id(users_, role, field, "a user id");
      case Role::kItem: return store_id(items_, role, field, "an item id");
      case Role::kValue: {
        const double value = read_number(field, "a finite number as value");
        if (std::fabs(value) > std::numeric_limits<float>::max()) {
          fail(field, "a value within the range of float32");
        }
        *places_.values++ = static_cast<float>(value);
        return;
      }
      case Role::kTime: *places_.times++ = read_number(field, "a finite number of seconds as time"); return;
    }
  }

  void store_id(IdWriter& column, Role role, const Field& field, const char* what) {
    if (field.text.empty()) fail(field, what);
    if (!column.is_text()) {
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
    column.add(id);
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

  RowReader rows_;
  const std::vector<Role>& roles_;
  IdWriter users_;
  IdWriter items_;
  RowPlaces places_;  // of the next row
  std::string scratch_;
};

}  // namespace detail
}  // namespace ltgnn::io
