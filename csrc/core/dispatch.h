// From the codes in a parameter struct to template arguments, once for all kernels of both backends.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace ltgnn {

template <class T>
struct TypeTag {
  using type = T;
};

// Calls body(TypeTag<Index>) for int32_t or int64_t.
template <class Body>
auto dispatch_index(DType type, const Body& body) {
  return type == DType::kInt32 ? body(TypeTag<int32_t>{}) : body(TypeTag<int64_t>{});
}

// Calls body(TypeTag<T>) for float or double.
template <class Body>
auto dispatch_float(DType type, const Body& body) {
  return type == DType::kFloat64 ? body(TypeTag<double>{}) : body(TypeTag<float>{});
}

// Calls body(TypeTag<E>, TypeTag<M>) for what an embedding table and the tables beside it hold: both `type`,
// which is not float16, or, where `mixed`, float and BFloat16.
template <class Body>
auto dispatch_tables(DType type, bool mixed, const Body& body) {
  if (mixed) return body(TypeTag<float>{}, TypeTag<BFloat16>{});
  if (type == DType::kBFloat16) return body(TypeTag<BFloat16>{}, TypeTag<BFloat16>{});
  return dispatch_float(type, [&](auto same) { return body(same, same); });
}

// Calls body(TypeTag<T>) for float, double, BFloat16 or Float16.
template <class Body>
auto dispatch_storage(DType type, const Body& body) {
  if (type == DType::kFloat16) return body(TypeTag<Float16>{});
  return type == DType::kBFloat16 ? body(TypeTag<BFloat16>{}) : dispatch_float(type, body);
}

}  // namespace ltgnn
