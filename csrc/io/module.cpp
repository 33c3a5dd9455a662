// ltgnn._io: the text readers for Python. Works on `bytes` only: they cannot change while the
// interpreter lock is released. Arrays take over the parsers' memory without a copy.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "delimited.h"
#include "lightgcn.h"
#include "parse_error.h"
#include "utf8.h"

namespace py = pybind11;

namespace ltgnn::io {
namespace {

// Runs `parse` on the bytes without the interpreter lock; a ParseError becomes a ValueError.
template <class Parse>
auto parse_unlocked(const py::bytes& data, const std::string& name, const Parse& parse) {
  const std::string_view text = data;
  const py::gil_scoped_release unlocked;
  try {
    return parse(text);
  } catch (const ParseError& error) {
    throw py::value_error(describe(error, text, name));
  }
}

template <class T>
py::array_t<T> take(std::unique_ptr<T[]> data, std::size_t size) {
  T* const raw = data.get();
  const py::capsule owner(raw, [](void* p) { delete[] static_cast<T*>(p); });
  data.release();
  return py::array_t<T>(static_cast<py::ssize_t>(size), raw, owner);
}

template <class T>
py::array_t<T> take(std::vector<T> data) {
  auto holder = std::make_unique<std::vector<T>>(std::move(data));
  std::vector<T>* const raw = holder.get();
  const py::capsule owner(raw, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  holder.release();
  return py::array_t<T>(static_cast<py::ssize_t>(raw->size()), raw->data(), owner);
}

// A numpy unicode array is as wide as its longest string: one long id must not multiply the memory.
py::array take_texts(const StringIdTable& texts) {
  constexpr std::size_t kAlwaysFine = std::size_t{64} << 20;
  constexpr std::size_t kMaxBlowUp = 64;  // bytes of the array per byte of the ids
  std::size_t width = 1;
  for (std::size_t code = 0; code < texts.size(); ++code) {
    width = std::max(width, count_code_points(texts[code]).value_or(0));
  }
  const std::size_t bytes = 4 * width * texts.size();
  if (bytes > kAlwaysFine && bytes / kMaxBlowUp > texts.total_bytes()) {
    throw py::value_error("text ids: expected ids of similar length, got one of " + std::to_string(width) +
                          " characters among " + std::to_string(texts.size()) +
                          " short ones; they would take " + std::to_string(bytes >> 20) + " MiB");
  }
  py::array out(py::dtype("U" + std::to_string(width)),
                std::vector<py::ssize_t>{static_cast<py::ssize_t>(texts.size())});
  auto* const points = static_cast<char32_t*>(out.mutable_data());
  std::fill_n(points, width * texts.size(), U'\0');
  for (std::size_t code = 0; code < texts.size(); ++code) {
    const std::string_view text = texts[code];
    std::size_t place = code * width;
    for (std::size_t at = 0; at < text.size(); ++place) {
      const auto point = next_code_point(text, at);
      if (!point) break;  // cannot be: ids are checked when they are read
      points[place] = *point;
    }
  }
  return out;
}

py::array take_ids(IdColumn& column) {
  if (column.is_text) return take_texts(column.texts);
  return take(std::move(column.ints.ids()));
}

py::tuple parse_lightgcn_bytes(const py::bytes& data, const std::string& name, std::size_t num_threads) {
  constexpr std::size_t kMaxThreads = 256;
  LightGcnEdges edges = parse_unlocked(data, name, [&](std::string_view text) {
    return parse_lightgcn(text, std::min(num_threads, kMaxThreads));
  });
  const std::size_t size = edges.size;
  return py::make_tuple(take(std::move(edges.users), size), take(std::move(edges.items), size),
                        edges.num_users, edges.num_items);
}

py::tuple parse_delimited_bytes(const py::bytes& data, const std::string& name, const std::string& delimiter,
                                int user, int item, int value, int time, bool has_header, bool text_users,
                                bool text_items) {
  const DelimitedSpec spec{.delimiter = delimiter,
                           .user = user,
                           .item = item,
                           .value = value,
                           .time = time,
                           .has_header = has_header,
                           .text_users = text_users,
                           .text_items = text_items};
  DelimitedTable table =
      parse_unlocked(data, name, [&](std::string_view text) { return parse_delimited(text, spec); });
  py::object values = py::none();
  py::object times = py::none();
  if (value >= 0) values = take(std::move(table.values));
  if (time >= 0) times = take(std::move(table.times));
  const py::array user_ids = take_ids(table.users);
  const py::array item_ids = take_ids(table.items);
  return py::make_tuple(take(std::move(table.users.codes)), user_ids, take(std::move(table.items.codes)),
                        item_ids, values, times);
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

}  // namespace
}  // namespace ltgnn::io

PYBIND11_MODULE(_io, m) {
  m.doc() = "Text readers of ltgnn.data; use them through ltgnn.data.read.";
  m.def("parse_lightgcn", &ltgnn::io::parse_lightgcn_bytes, py::arg("data"), py::arg("name"),
        py::arg("num_threads") = 0,
        "(users int32 [E], items int32 [E], num_users, num_items) of LightGCN text.");
  m.def("parse_delimited", &ltgnn::io::parse_delimited_bytes, py::arg("data"), py::arg("name"),
        py::arg("delimiter"), py::kw_only(), py::arg("user"), py::arg("item"), py::arg("value") = -1,
        py::arg("time") = -1, py::arg("has_header") = false, py::arg("text_users") = false,
        py::arg("text_items") = false,
        "(user codes int32 [E], user ids [U], item codes int32 [E], item ids [I], "
        "values float32 [E] or None, times float64 [E] or None) of delimited text.");
  m.def("preview_rows", &ltgnn::io::preview_rows_bytes, py::arg("data"), py::arg("delimiter"),
        py::arg("max_rows"), "The first rows as lists of str; never fails on content.");
}
