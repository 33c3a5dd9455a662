// Numpy arrays that take over the memory of C++ containers, without a copy.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "id_table.h"
#include "utf8.h"

namespace ltgnn::io {

namespace py = pybind11;

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
inline py::array take_texts(const StringIdTable& texts) {
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

}  // namespace ltgnn::io
