// Products of tiles in the eight tile registers of AMX (Intel servers since 2023): factors in bfloat16, sums
// in float32. For variant_avx512_amx.cpp alone.
//
// As assembly: the compiler's intrinsics do not say that a tile load reads memory, and stores before it may
// be moved behind it.
#pragma once

#include "core/dtype.h"

namespace ltgnn {
namespace LTGNN_ISA {

// 16 rows of 64 bytes. A left factor has rows of 32 elements; a right one pairs of k, row by row: (k, k + 1)
// of column 0, of column 1, ...
struct alignas(64) FactorTile {
  BFloat16 row[16][32];
};

struct alignas(64) SumTile {
  float row[16][16];
};

class Amx {
 public:
  // Sets the tile registers up for the calling thread, and gives them back: a thread that holds none is
  // switched faster.
  Amx() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  ~Amx() { asm volatile("tilerelease" ::: "memory"); }
  Amx(const Amx&) = delete;
  Amx& operator=(const Amx&) = delete;

  // The 2 x 2 tiles of sums at `c` (rows `row_bytes` apart), or zeros unless `adds`, plus a product over
  // `depth` tiles: left factors at a[0], a[1], `a_step` apart from tile to tile, right ones at b[0], b[1],
  // one behind another.
  void multiply(bool adds, int64_t depth, const FactorTile* const (&a)[2], int64_t a_step,
                const FactorTile* const (&b)[2], float* const (&c)[4], int64_t row_bytes) const {
    if (adds) {
      load<0>(c[0], row_bytes), load<1>(c[1], row_bytes), load<2>(c[2], row_bytes), load<3>(c[3], row_bytes);
    } else {
      zero<0>(), zero<1>(), zero<2>(), zero<3>();
    }
    for (int64_t k = 0; k < depth; ++k) {
      load<4>(a[0] + k * a_step, 64);
      load<6>(b[0] + k, 64);
      add_product<0, 4, 6>();
      load<7>(b[1] + k, 64);
      add_product<1, 4, 7>();
      load<5>(a[1] + k * a_step, 64);
      add_product<2, 5, 6>();
      add_product<3, 5, 7>();
    }
    store<0>(c[0], row_bytes), store<1>(c[1], row_bytes), store<2>(c[2], row_bytes),
        store<3>(c[3], row_bytes);
  }

 private:
  template <int kTile>
  static LTGNN_HD void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  template <int kTile>
  static LTGNN_HD void load(const void* from, int64_t row_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(kTile) : "memory");
  }
  template <int kTile>
  static LTGNN_HD void store(void* to, int64_t row_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row_bytes), "i"(kTile) : "memory");
  }
  template <int kSum, int kLeft, int kRight>
  static LTGNN_HD void add_product() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kLeft), "i"(kRight));
  }
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
