// A stable sort of row numbers, each with the place it came from: how kernels add up what several entries of
// a batch send to one row without atomics, in the same order on every run.
#pragma once

#include <cstdint>

#include "cuda/kernels.h"

namespace ltgnn::cuda {

// Bits that hold every number up to `largest`: a sort's passes over the keys are as many as these need.
constexpr int key_bits(uint64_t largest) {
  int bits = 1;
  while (bits < 64 && largest >> bits != 0) ++bits;
  return bits;
}

// Sorts `count` pairs by the lowest `bits` bits of the keys; equal keys stay in order. Queued, not waited
// for.
void sort_pairs(const char* what, const uint32_t* keys_in, uint32_t* keys_out, const uint32_t* values_in,
                uint32_t* values_out, int64_t count, int bits, const Launch& at);

}  // namespace ltgnn::cuda
