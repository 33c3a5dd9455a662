// LibFM / libsvm text: "label index:value index:value ...", one row each, to columns: user, item, value.
//
// User and item are features of the row, chosen by place ("the first one") or by a range of indices ("957 to
// 5038"); the others (context, attributes) are skipped, but still checked. Indices may come in any order. A
// row whose label is 0 or less says that the user did not take the item: it is left out, and counted.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "id_column.h"
#include "lines.h"
#include "numbers.h"
#include "parse_error.h"

namespace ltgnn::io {

// Which feature of a row is meant: the one at `place` (from 0), or, where place is negative, the one whose
// index lies from `low` to `high`.
struct FeatureField {
  std::int64_t place = 0;
  std::int64_t low = 0;
  std::int64_t high = 0;

  bool holds(std::int64_t at, std::int64_t index) const {
    return place >= 0 ? at == place : low <= index && index <= high;
  }
};

struct LibFmTable {
  IdColumn users{false};
  IdColumn items{false};
  std::size_t size = 0;                        // rows with a label above 0
  std::size_t num_left_out = 0;                // the others
  std::unique_ptr<std::int32_t[]> user_codes;  // [size]
  std::unique_ptr<std::int32_t[]> item_codes;  // [size]
  std::unique_ptr<float[]> values;             // [size]: the labels
};

namespace detail {

class LibFmParser {
 public:
  LibFmParser(std::string_view text, const FeatureField& user, const FeatureField& item)
      : begin_(text.data()),
        p_(begin_ + bom_size(text)),
        end_(begin_ + text.size()),
        user_(user),
        item_(item) {}

  LibFmTable parse() {
    const std::string_view text(p_, static_cast<std::size_t>(end_ - p_));
    // A row takes at least five bytes ("1 0:1"): a file of blank lines reserves little.
    const std::size_t room = std::min(scan_lines(text).breaks, text.size() / 5) + 1;
    LibFmTable out;
    out.user_codes = std::make_unique_for_overwrite<std::int32_t[]>(room);
    out.item_codes = std::make_unique_for_overwrite<std::int32_t[]>(room);
    out.values = std::make_unique_for_overwrite<float[]>(room);
    IdWriter users(out.users, out.user_codes.get());
    IdWriter items(out.items, out.item_codes.get());
    while (p_ != end_) {
      const void* const found = std::memchr(p_, '\n', static_cast<std::size_t>(end_ - p_));
      const char* const line_end = found == nullptr ? end_ : static_cast<const char*>(found);
      const Row row = parse_row({p_, static_cast<std::size_t>(line_end - p_)});
      if (row.label > 0) {
        if (out.size == room) throw std::logic_error("libfm: more rows than were counted");
        users.add(row.user);
        items.add(row.item);
        out.values[out.size++] = row.label;
      } else if (row.user >= 0) {
        ++out.num_left_out;
      }
      p_ = line_end == end_ ? end_ : line_end + 1;
    }
    users.flush();
    items.flush();
    return out;
  }

 private:
  struct Row {
    float label = 0;
    std::int64_t user = -1;
    std::int64_t item = -1;
  };

  // A line without content is a row without a user.
  Row parse_row(std::string_view row) {
    const std::size_t comment = row.find('#');
    if (comment != std::string_view::npos) row = row.substr(0, comment);
    if (row.ends_with('\r')) row.remove_suffix(1);
    const char* const start = row.data();
    std::string_view token = next_token(row);
    if (token.empty()) return {};
    Row out{.label = read_float(token, "a finite number as label")};
    std::int64_t at = 0;
    while (!(token = next_token(row)).empty()) {
      if (token.starts_with("qid:")) continue;  // of SVM-rank: the query a row belongs to
      const std::int64_t index = read_feature(token);
      if (user_.holds(at, index)) choose(out.user, index, token, "user");
      if (item_.holds(at, index)) choose(out.item, index, token, "item");
      ++at;
    }
    if (out.user < 0) fail_row(start, "a user feature");
    if (out.item < 0) fail_row(start, "an item feature");
    return out;
  }

  // Cuts the next run of bytes that are no blanks off the row; empty at its end.
  static std::string_view next_token(std::string_view& row) {
    std::size_t first = 0;
    while (first < row.size() && (row[first] == ' ' || row[first] == '\t')) ++first;
    std::size_t last = first;
    while (last < row.size() && row[last] != ' ' && row[last] != '\t') ++last;
    const std::string_view token = row.substr(first, last - first);
    row.remove_prefix(last);
    return token;
  }

  std::int64_t read_feature(std::string_view token) {
    const std::size_t colon = token.find(':');
    if (colon == std::string_view::npos) fail(token, "a feature as INDEX:VALUE");
    const auto index = canonical_int64(token.substr(0, colon));
    if (!index || *index < 0) fail(token, "a feature index from 0 up");
    value_ = read_float(token.substr(colon + 1), "a finite number as feature value");
    return *index;
  }

  void choose(std::int64_t& chosen, std::int64_t index, std::string_view token, const char* role) const {
    if (chosen >= 0) fail(token, std::string("one ") + role + " feature in a row");
    if (value_ == 0) fail(token, std::string("a ") + role + " feature with a value that is not 0");
    chosen = index;
  }

  float read_float(std::string_view text, const char* what) const {
    const auto number = finite_double(text);
    if (!number) fail(text, what);
    if (std::fabs(*number) > std::numeric_limits<float>::max())
      fail(text, "a value within the range of float32");
    return static_cast<float>(*number);
  }

  [[noreturn]] void fail(std::string_view token, std::string expected) const {
    throw ParseError(static_cast<std::size_t>(token.data() - begin_), std::move(expected),
                     token.empty() ? "an empty field" : quote_bytes(token));
  }

  [[noreturn]] void fail_row(const char* start, std::string expected) const {
    throw ParseError(static_cast<std::size_t>(start - begin_), std::move(expected), "a row without one");
  }

  const char* begin_;
  const char* p_;
  const char* end_;
  FeatureField user_;
  FeatureField item_;
  float value_ = 0;  // of the feature read last
};

}  // namespace detail

// Parses a whole file. Throws ParseError for malformed rows, std::invalid_argument for an impossible field.
// O(bytes).
inline LibFmTable parse_libfm(std::string_view text, const FeatureField& user, const FeatureField& item) {
  for (const FeatureField* field : {&user, &item}) {
    if (field->place < 0 && (field->low < 0 || field->high < field->low)) {
      throw std::invalid_argument("feature range: expected LOW-HIGH with 0 <= LOW <= HIGH, got " +
                                  std::to_string(field->low) + "-" + std::to_string(field->high));
    }
  }
  return detail::LibFmParser(text, user, item).parse();
}

}  // namespace ltgnn::io
