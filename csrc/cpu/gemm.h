// A register-blocked matrix product over packed, padded operands: the core of the in-batch losses.
//
// C[m, n] (+)= sum_k A[m, k] B[k, n]. One call of micro_gemm makes kRows x kCols of C in registers; A is read
// one element at a time with any strides, B a register at a time. The order of the sum over k is fixed.
#pragma once

#include "core/lanes.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class T>
struct MicroGemm {
  using Lanes = typename LanesOf<T>::type;
  static constexpr int kLanes = sizeof(Lanes) / sizeof(T);
  static constexpr int kVectors = 2;
  // As many rows as leave registers for B and A: 32 registers with AVX-512, 16 otherwise.
  static constexpr int kRows = LTGNN_VECTOR_BYTES == 64 ? 12 : 6;
  static constexpr int kCols = kVectors * kLanes;

  // C is added to where `adds`. a: element (m, k) at a[m * a_row + k * a_col]; b: row k at b + k * b_row; c:
  // row m at c + m * c_row.
  static LTGNN_HD void run(bool adds, int64_t depth, const T* a, int64_t a_row, int64_t a_col, const T* b,
                           int64_t b_row, T* c, int64_t c_row) {
    Lanes sum[kRows][kVectors];
#pragma GCC unroll 12
    for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n) sum[m][n] = adds ? load_lanes(c + m * c_row + n * kLanes) : Lanes{};
    }
    for (int64_t k = 0; k < depth; ++k) {
      const Lanes b0 = load_lanes(b + k * b_row), b1 = load_lanes(b + k * b_row + kLanes);
      const T* a_k = a + k * a_col;
#pragma GCC unroll 12
      for (int m = 0; m < kRows; ++m) {
        const T value = a_k[m * a_row];
        sum[m][0] += value * b0;
        sum[m][1] += value * b1;
      }
    }
#pragma GCC unroll 12
    for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
      for (int n = 0; n < kVectors; ++n) store_lanes(c + m * c_row + n * kLanes, sum[m][n]);
    }
  }
};

constexpr int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

}  // namespace LTGNN_ISA
}  // namespace ltgnn
