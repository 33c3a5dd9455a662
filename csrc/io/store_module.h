// What ltgnn.data.block_store and ltgnn.data.convert take from ltgnn._io.
#pragma once

#include <pybind11/pybind11.h>

namespace ltgnn::io {

void bind_store(pybind11::module_& module);

}  // namespace ltgnn::io
