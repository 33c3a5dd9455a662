// Rows of delimited text (csv, tsv, blanks, "::") to columns: user, item, optional value and time.
//
// The text is split among threads at line breaks. Each gives the ids of its rows codes of its own; those of
// the later pieces are then entered into the first one's, in order, so that ids have codes in order of first
// appearance whatever the number of threads. Text with quotes is read by one thread: a line break may be part
// of a field there, and only who reads from the start can tell.
//
// An id column is read as integers until an id turns up that is none ("x7", "007"); the file is then read
// once more with that column as text, so that no two spellings are ever taken for one id.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "delimited_piece.h"
#include "id_column.h"
#include "lines.h"
#include "parallel.h"
#include "parse_error.h"
#include "row_reader.h"

namespace ltgnn::io {

struct DelimitedTable {
  IdColumn users{false};
  IdColumn items{false};
  std::size_t size = 0;                        // rows
  std::unique_ptr<std::int32_t[]> user_codes;  // [size]
  std::unique_ptr<std::int32_t[]> item_codes;  // [size]
  std::unique_ptr<float[]> values;             // [size], or null without a value column
  std::unique_ptr<double[]> times;             // [size], or null without a time column
};

namespace detail {

// The first row of the text: how many fields it has, and where the rows to be read start.
struct FirstRow {
  std::size_t num_columns = 0;  // 0: there is no row
  std::size_t body = 0;
};

inline FirstRow read_first_row(std::string_view text, const DelimitedSpec& spec, std::size_t num_roles) {
  RowReader rows(text, spec.delimiter);
  FirstRow first{.num_columns = 0, .body = rows.position()};
  if (!rows.next_row()) return first;
  for (Field field; rows.next_field(field);) ++first.num_columns;
  if (first.num_columns < num_roles) {
    PieceParser::fail_columns(rows, "at least ", num_roles, first.num_columns);
  }
  if (first.num_columns > kMaxColumns) {
    PieceParser::fail_columns(rows, "at most ", kMaxColumns, first.num_columns);
  }
  if (spec.has_header) first.body = rows.position();
  return first;
}

struct DelimitedPiece {
  std::string_view text;  // whole rows
  std::size_t first = 0;  // its place in the arrays
  std::size_t size = 0;   // rows; before it was read: as many as there may be
  IdColumn users;
  IdColumn items;
};

// The text in at most `num_threads` pieces, each with a bound on its rows. O(bytes).
inline std::vector<DelimitedPiece> cut_pieces(std::string_view text, const DelimitedSpec& spec,
                                              std::size_t num_threads) {
  std::vector<std::string_view> lines = split_lines(text, num_threads);
  std::vector<LineScan> scans(lines.size());
  run_parallel(lines.size(), [&](std::size_t i) { scans[i] = scan_lines(lines[i]); });
  LineScan all;
  for (const LineScan& scan : scans) all.add(scan);
  if (all.has_nul) throw ParseError(text.find('\0'), "text", "a NUL byte (binary or UTF-16 file?)");
  const bool may_cut = !all.has_quote || !RowReader(text, spec.delimiter).has_quotes();
  if (!may_cut || lines.empty()) {
    lines = {text};
    scans = {all};
  }
  std::vector<DelimitedPiece> pieces;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t rows = scans[i].breaks + (lines[i].ends_with('\n') ? 0 : 1);
    pieces.push_back({lines[i], 0, rows, IdColumn(spec.text_users), IdColumn(spec.text_items)});
  }
  return pieces;
}

// Takes the text before `body` off the pieces and gives each its place in the arrays; returns their size.
inline std::size_t place_pieces(std::vector<DelimitedPiece>& pieces, std::size_t body,
                                std::size_t num_roles) {
  std::size_t room = 0;
  for (DelimitedPiece& piece : pieces) {
    const std::size_t head = std::min(body, piece.text.size());
    piece.size -= scan_lines(piece.text.substr(0, head)).breaks;
    piece.text.remove_prefix(head);
    body -= head;
    // A row takes a byte for each needed column, at least: a file of blank lines reserves little.
    piece.size = std::min(piece.size, piece.text.size() / num_roles + 1);
    piece.first = room;
    room += piece.size;
  }
  return room;
}

// Enters the ids of the later pieces into the first one's table and gives their rows its codes.
inline void join_codes(std::vector<DelimitedPiece>& pieces, IdColumn DelimitedPiece::* column,
                       std::int32_t* codes) {
  std::vector<std::vector<std::int32_t>> joined(pieces.size());
  for (std::size_t i = 1; i < pieces.size(); ++i) {
    joined[i] = (pieces[0].*column).enter(pieces[i].*column);
    pieces[i].*column = IdColumn(false);
  }
  run_parallel(pieces.size() - 1, [&](std::size_t i) {
    const DelimitedPiece& piece = pieces[i + 1];
    for (std::int32_t* code = codes + piece.first; code != codes + piece.first + piece.size; ++code) {
      *code = joined[i + 1][static_cast<std::size_t>(*code)];
    }
  });
}

// Moves the rows of the pieces together, where blank lines left room between them.
template <class T>
void close_gaps(const std::vector<DelimitedPiece>& pieces, T* column) {
  std::size_t size = 0;
  for (const DelimitedPiece& piece : pieces) {
    if (column != nullptr && size != piece.first) {
      std::copy(column + piece.first, column + piece.first + piece.size, column + size);
    }
    size += piece.size;
  }
}

inline DelimitedTable parse_table(std::string_view text, const DelimitedSpec& spec, std::size_t num_threads) {
  const std::vector<Role> roles = find_roles(spec);
  std::vector<DelimitedPiece> pieces = cut_pieces(text, spec, num_threads);
  const FirstRow first = read_first_row(text, spec, roles.size());
  DelimitedTable out;
  const std::size_t room = place_pieces(pieces, first.body, roles.size());
  out.user_codes = std::make_unique_for_overwrite<std::int32_t[]>(room);
  out.item_codes = std::make_unique_for_overwrite<std::int32_t[]>(room);
  if (spec.value >= 0) out.values = std::make_unique_for_overwrite<float[]>(room);
  if (spec.time >= 0) out.times = std::make_unique_for_overwrite<double[]>(room);

  run_parallel(pieces.size(), [&](std::size_t i) {
    DelimitedPiece& piece = pieces[i];
    const auto place = [&](auto& column) { return column ? column.get() + piece.first : nullptr; };
    const RowPlaces places{place(out.user_codes), place(out.item_codes), place(out.values), place(out.times)};
    const auto start = static_cast<std::size_t>(piece.text.data() - text.data());
    PieceParser parser(text.substr(0, start + piece.text.size()), start, spec.delimiter, roles, piece.users,
                       piece.items, places);
    piece.size = parser.parse(first.num_columns, piece.size);
  });
  run_parallel(2, [&](std::size_t i) {
    if (i == 0) join_codes(pieces, &DelimitedPiece::users, out.user_codes.get());
    if (i == 1) join_codes(pieces, &DelimitedPiece::items, out.item_codes.get());
  });
  close_gaps(pieces, out.user_codes.get());
  close_gaps(pieces, out.item_codes.get());
  close_gaps(pieces, out.values.get());
  close_gaps(pieces, out.times.get());
  for (const DelimitedPiece& piece : pieces) out.size += piece.size;
  out.users = std::move(pieces[0].users);
  out.items = std::move(pieces[0].items);
  return out;
}

}  // namespace detail

// Parses a whole file. num_threads 0 chooses by size; the result does not depend on it. Throws ParseError
// for malformed rows (see above), std::invalid_argument for an impossible spec. O(bytes).
inline DelimitedTable parse_delimited(std::string_view text, DelimitedSpec spec,
                                      std::size_t num_threads = 0) {
  if (num_threads == 0) num_threads = suggested_threads(text.size());
  for (;;) {
    try {
      return detail::parse_table(text, spec, num_threads);
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
