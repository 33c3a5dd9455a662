// torch's threads behind the interface that kernels ask (core/parallel.h).
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdlib>

#include "core/parallel.h"

namespace ltgnn {

inline void run_on_torch_threads(int num_threads, void (*body)(void*, int), void* context) {
  // One index per thread and a grain of one: torch then gives each thread exactly one call.
  torch::stable::parallel_for(0, num_threads, 1, [body, context](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(context, static_cast<int>(i));
  });
}

// Some 100 microseconds of work. LTGNN_PARALLEL_FROM overrides it: the tests set 0, so that small inputs meet
// threads.
inline int64_t parallel_from() {
  static const int64_t operations = [] {
    const char* text = std::getenv("LTGNN_PARALLEL_FROM");
    return text && *text ? static_cast<int64_t>(std::atoll(text)) : int64_t{1} << 21;
  }();
  return operations;
}

inline Parallel torch_parallel() {
  return {static_cast<int>(torch::stable::get_num_threads()), &run_on_torch_threads, parallel_from()};
}

}  // namespace ltgnn
