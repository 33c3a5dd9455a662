// ltgnn._io, second half: growing tables of ids, and maps of files that may be truncated.
#include "store_module.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "arrays.h"
#include "guarded_map.h"
#include "id_table.h"

namespace ltgnn::io {
namespace {

class IntIds {
 public:
  py::array_t<std::int32_t> add(const py::array_t<std::int64_t, py::array::c_style>& ids) {
    const std::int64_t* const data = ids.data();
    const auto size = static_cast<std::size_t>(ids.size());
    auto codes = std::make_unique_for_overwrite<std::int32_t[]>(size);
    {
      const py::gil_scoped_release unlocked;
      table_.write_codes(data, size, codes.get());
    }
    return take(std::move(codes), size);
  }

  std::size_t size() const { return table_.size(); }
  py::array_t<std::int64_t> ids() { return take(std::vector<std::int64_t>(table_.ids())); }

 private:
  IntIdTable table_;
};

void append_utf8(std::string& out, char32_t point) {
  const auto byte = [&](char32_t value) { out += static_cast<char>(value); };
  if (point < 0x80) return byte(point);
  if (point < 0x800) return byte(0xc0 | (point >> 6)), byte(0x80 | (point & 0x3f));
  if (point < 0x10000) {
    return byte(0xe0 | (point >> 12)), byte(0x80 | ((point >> 6) & 0x3f)), byte(0x80 | (point & 0x3f));
  }
  byte(0xf0 | (point >> 18));
  byte(0x80 | ((point >> 12) & 0x3f));
  byte(0x80 | ((point >> 6) & 0x3f));
  byte(0x80 | (point & 0x3f));
}

class TextIds {
 public:
  // `ids`: a contiguous 1-D numpy array of dtype U in the machine's byte order.
  py::array_t<std::int32_t> add(const py::array& ids) {
    if (ids.dtype().kind() != 'U' || ids.ndim() != 1 || !(ids.flags() & py::array::c_style)) {
      throw py::type_error("TextIds.add: expected a contiguous 1-D array of text");
    }
    const auto width = static_cast<std::size_t>(ids.itemsize()) / 4;
    const auto* point = static_cast<const char32_t*>(ids.data());
    std::vector<std::int32_t> codes(static_cast<std::size_t>(ids.size()));
    std::string text;
    for (std::int32_t& code : codes) {
      text.clear();
      for (std::size_t at = 0; at < width && point[at] != 0; ++at) {
        if (point[at] > 0x10ffff || (point[at] >= 0xd800 && point[at] <= 0xdfff)) {
          throw py::value_error("text ids: expected Unicode, got a lone surrogate");
        }
        append_utf8(text, point[at]);
      }
      point += width;
      code = table_.code(text);
    }
    return take(std::move(codes));
  }

  std::size_t size() const { return table_.size(); }
  std::size_t total_bytes() const { return table_.total_bytes(); }

  // (offsets int64 [size + 1], bytes uint8 [total_bytes]).
  py::tuple packed() const {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint8_t> bytes;
    offsets.reserve(table_.size() + 1);
    bytes.reserve(table_.total_bytes());
    for (std::size_t code = 0; code < table_.size(); ++code) {
      const std::string_view id = table_[code];
      bytes.insert(bytes.end(), id.begin(), id.end());
      offsets.push_back(static_cast<std::int64_t>(bytes.size()));
    }
    return py::make_tuple(take(std::move(offsets)), take(std::move(bytes)));
  }

  py::array texts() const { return take_texts(table_); }

 private:
  StringIdTable table_;
};

py::buffer_info view(GuardedMap& map) {
  static const char kNothing = 0;
  const void* const data = map.data() == nullptr ? &kNothing : map.data();
  return {const_cast<void*>(data),
          1,
          py::format_descriptor<std::uint8_t>::format(),
          1,
          {static_cast<py::ssize_t>(map.size())},
          {1},
          /*readonly=*/true};
}

}  // namespace

void bind_store(py::module_& module) {
  py::class_<IntIds>(module, "IntIds", "int64 ids to codes 0, 1, ... in order of first appearance.")
      .def(py::init<>())
      .def("add", &IntIds::add, py::arg("ids").noconvert(),
           "Codes int32 [n] of ids int64 [n]; new ids are entered.")
      .def("__len__", &IntIds::size)
      .def("ids", &IntIds::ids, "The ids by code, int64.");
  py::class_<TextIds>(module, "TextIds", "Text ids to codes 0, 1, ... in order of first appearance.")
      .def(py::init<>())
      .def("add", &TextIds::add, py::arg("ids"), "Codes int32 [n] of ids, text [n]; new ids are entered.")
      .def("__len__", &TextIds::size)
      .def_property_readonly("total_bytes", &TextIds::total_bytes)
      .def("packed", &TextIds::packed, "(offsets int64 [size + 1], UTF-8 bytes uint8).")
      .def("texts", &TextIds::texts, "The ids by code, as a numpy array of text.");
  py::class_<GuardedMap>(module, "GuardedMap", py::buffer_protocol(),
                         "A read-only map of a file; a page that cannot be read is zeros, and noted.")
      .def(py::init<int, std::uint64_t, std::size_t>(), py::arg("file"), py::arg("offset"), py::arg("bytes"))
      .def_property_readonly("damaged", &GuardedMap::damaged)
      .def_buffer(&view);
}

}  // namespace ltgnn::io
