// ltgnn._io: the text readers for Python. Works on `bytes` only: they cannot change while the
// interpreter lock is released. Arrays take over the parsers' memory without a copy.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arrays.h"
#include "delimited.h"
#include "libfm.h"
#include "lightgcn.h"
#include "parse_error.h"
#include "store_module.h"

namespace py = pybind11;

namespace ltgnn::io {
namespace {

constexpr std::size_t kMaxThreads = 256;

// `first_line` is the number of the first line in error messages: the bytes may be a piece of a file.
// Runs `parse` on the bytes without the interpreter lock; a ParseError becomes a ValueError.
template <class Parse>
auto parse_unlocked(const py::bytes& data, const std::string& name, std::size_t first_line,
                    const Parse& parse) {
  const std::string_view text = data;
  const py::gil_scoped_release unlocked;
  try {
    return parse(text);
  } catch (const ParseError& error) {
    throw py::value_error(describe(error, text, name, first_line));
  }
}

py::array take_ids(IdColumn& column) {
  if (column.is_text) return take_texts(column.texts);
  return take(std::move(column.ints.ids()));
}

py::tuple parse_lightgcn_bytes(const py::bytes& data, const std::string& name, std::size_t num_threads,
                               std::size_t first_line) {
  LightGcnEdges edges = parse_unlocked(data, name, first_line, [&](std::string_view text) {
    return parse_lightgcn(text, std::min(num_threads, kMaxThreads));
  });
  const std::size_t size = edges.size;
  return py::make_tuple(take(std::move(edges.users), size), take(std::move(edges.items), size),
                        edges.num_users, edges.num_items);
}

py::tuple parse_delimited_bytes(const py::bytes& data, const std::string& name, const std::string& delimiter,
                                std::size_t num_threads, int user, int item, int value, int time,
                                bool has_header, bool text_users, bool text_items, std::size_t first_line) {
  const DelimitedSpec spec{.delimiter = delimiter,
                           .user = user,
                           .item = item,
                           .value = value,
                           .time = time,
                           .has_header = has_header,
                           .text_users = text_users,
                           .text_items = text_items};
  DelimitedTable table = parse_unlocked(data, name, first_line, [&](std::string_view text) {
    return parse_delimited(text, spec, std::min(num_threads, kMaxThreads));
  });
  py::object values = py::none();
  py::object times = py::none();
  if (value >= 0) values = take(std::move(table.values), table.size);
  if (time >= 0) times = take(std::move(table.times), table.size);
  const py::array user_ids = take_ids(table.users);
  const py::array item_ids = take_ids(table.items);
  return py::make_tuple(take(std::move(table.user_codes), table.size), user_ids,
                        take(std::move(table.item_codes), table.size), item_ids, values, times);
}

py::tuple parse_libfm_bytes(const py::bytes& data, const std::string& name,
                            const std::array<std::int64_t, 3>& user, const std::array<std::int64_t, 3>& item,
                            std::size_t first_line) {
  const auto field = [](const auto& spec) { return FeatureField{spec[0], spec[1], spec[2]}; };
  LibFmTable table = parse_unlocked(data, name, first_line, [&](std::string_view text) {
    return parse_libfm(text, field(user), field(item));
  });
  const py::array user_ids = take_ids(table.users);
  const py::array item_ids = take_ids(table.items);
  return py::make_tuple(take(std::move(table.user_codes), table.size), user_ids,
                        take(std::move(table.item_codes), table.size), item_ids,
                        take(std::move(table.values), table.size), table.num_left_out);
}

py::list preview_rows_bytes(const py::bytes& data, const std::string& delimiter, std::size_t max_rows) {
  py::list out;
  for (const auto& row : preview_rows(std::string_view(data), delimiter, max_rows)) {
    py::list fields;
    for (const std::string& field : row) {
      // "replace": a preview never fails; the parser itself is strict.
      fields.append(py::reinterpret_steal<py::str>(
          PyUnicode_DecodeUTF8(field.data(), static_cast<py::ssize_t>(field.size()), "replace")));
    }
    out.append(fields);
  }
  return out;
}

std::size_t last_row_end_bytes(const py::bytes& data, const std::string& delimiter) {
  const std::string_view text = data;
  const py::gil_scoped_release unlocked;
  return last_row_end(text, delimiter);
}

}  // namespace
}  // namespace ltgnn::io

PYBIND11_MODULE(_io, m) {
  m.doc() = "Text readers of ltgnn.data; use them through ltgnn.data.read.";
  m.def("parse_lightgcn", &ltgnn::io::parse_lightgcn_bytes, py::arg("data"), py::arg("name"),
        py::arg("num_threads") = 0, py::arg("first_line") = 1,
        "(users int32 [E], items int32 [E], num_users, num_items) of LightGCN text.");
  m.def("parse_delimited", &ltgnn::io::parse_delimited_bytes, py::arg("data"), py::arg("name"),
        py::arg("delimiter"), py::arg("num_threads") = 0, py::kw_only(), py::arg("user"), py::arg("item"),
        py::arg("value") = -1, py::arg("time") = -1, py::arg("has_header") = false,
        py::arg("text_users") = false, py::arg("text_items") = false, py::arg("first_line") = 1,
        "(user codes int32 [E], user ids [U], item codes int32 [E], item ids [I], "
        "values float32 [E] or None, times float64 [E] or None) of delimited text.");
  m.def("parse_libfm", &ltgnn::io::parse_libfm_bytes, py::arg("data"), py::arg("name"), py::kw_only(),
        py::arg("user"), py::arg("item"), py::arg("first_line") = 1,
        "(user codes int32 [E], user ids int64 [U], item codes int32 [E], item ids int64 [I], labels float32 "
        "[E], number of rows left out for their label) of LibFM text; a field is (place, low, high), by "
        "range where place is -1.");
  m.def("last_row_end", &ltgnn::io::last_row_end_bytes, py::arg("data"), py::arg("delimiter"),
        "How many of the bytes, which start a row, are whole rows.");
  ltgnn::io::bind_store(m);
  m.def("preview_rows", &ltgnn::io::preview_rows_bytes, py::arg("data"), py::arg("delimiter"),
        py::arg("max_rows"), "The first rows as lists of str; never fails on content.");
}
