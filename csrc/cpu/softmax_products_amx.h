// The three products of the in-batch softmax loss (cpu/softmax_products.h) with AMX: sixteen times the
// products a cycle of AVX-512, from factors rounded to bfloat16, with sums in float32. For
// variant_avx512_amx.cpp alone.
//
//   S' = V U'                 items by users: a register holds the cosines of an item with 16 users
//   P' = exp((S' - 1) / tau)  not divided by the users' sums, which are known behind the last item only
//   dU' += V' P               P in pairs of items, a right factor; scaled at the end
//   dV += P' U                P' as it is, a left factor; the users' rows are scaled by exponent / sum
//
// S' and the pairs never leave the first cache; P' [items, kBlock] waits in the second for the sums. The
// positives are not in P, so that rounding does not touch their gradient.
#pragma once

#include "cpu/amx_tiles.h"
#include "cpu/inner_product.h"
#include "cpu/softmax_bf16.h"
#include "cpu/softmax_products.h"

namespace ltgnn {
namespace LTGNN_ISA {

class AmxProducts {
  static constexpr int64_t kUsers = 32;  // that go through the items together
  static constexpr int64_t kChunk = 8;   // tiles of 32 items from one sum of dU' to the next

 public:
  static constexpr int64_t kBlock = 128;
  static constexpr int64_t kWidthStep = 32;
  static constexpr int64_t kItemStep = 32;

  AmxProducts(const SoftmaxRows<float>& rows, int64_t num_threads)
      : r_(rows),
        width_tiles_(rows.width / 16),
        items_(rows.padded * rows.width / 512),
        items_across_(rows.padded * rows.width / 512),
        users_(num_threads * kBlock * rows.width / 512),
        weights_(num_threads * kBlock * rows.padded / 512, false),
        pairs_(num_threads * 2 * kChunk, false),
        scaled_users_(num_threads * kBlock * rows.width / 512, false),
        du_(num_threads * 2 * width_tiles_, false) {}

  void pack(int64_t b) const {
    const float* v = r_.v + b * r_.width;
    for (int64_t i = 0; i < r_.width; ++i) {
      const BFloat16 value = to_bfloat16(v[i]);
      items_.get()[b / 16 * (r_.width / 32) + i / 32].row[b % 16][i % 32] = value;
      items_across_.get()[b / 32 * width_tiles_ + i / 16].row[i % 16][b % 32] = value;
    }
  }

  void run_block(int64_t first, int thread, float* dv, bool adds) const {
    const Amx amx;
    const Scratch own = {
        users_.get() + thread * kBlock * r_.width / 512, weights_.get() + thread * kBlock * r_.padded / 512,
        pairs_.get() + thread * 2 * kChunk, scaled_users_.get() + thread * kBlock * r_.width / 512,
        du_.get() + thread * 2 * width_tiles_};
    set_users(own.users, first);
    float factor[kBlock];
    for (int64_t group = 0; group < kBlock; group += kUsers)
      run_users(amx, own, first + group, group, factor + group);
    set_scaled_users(own.scaled_users, first, factor);
    const int64_t depth = kBlock / 32;
    for (int64_t item = 0; item < r_.padded; item += 32) {
      const FactorTile* const left = own.weights + item / 16 * depth;
      for (int64_t i = 0; i < r_.width; i += 32) {
        const FactorTile* const right = own.scaled_users + i / 16 * depth;
        float* const sums = dv + item * r_.width + i;
        amx.multiply(adds, depth, {left, left + depth}, 1, {right, right + depth},
                     {sums, sums + 16, sums + 16 * r_.width, sums + 16 * r_.width + 16},
                     r_.width * static_cast<int64_t>(sizeof(float)));
      }
    }
  }

 private:
  struct Scratch {
    FactorTile* users;         // [kBlock / 16, width / 32], right factors of S'
    FactorTile* weights;       // [padded / 16, kBlock / 32], P'
    FactorTile* pairs;         // [2, kChunk], P of a chunk
    FactorTile* scaled_users;  // [width / 16, kBlock / 32], right factors of dV
    SumTile* du;               // [width / 16, 2], dU' of 32 users
  };

  // 32 users, `group` of their block, against all items: P', dU, the losses, and the factors of their rows.
  void run_users(const Amx& amx, const Scratch& own, int64_t first, int64_t group, float* factor) const {
    double sums[kUsers] = {};
    const int64_t steps = r_.width / 32, num_tiles = r_.padded / 32;
    const FactorTile* const users = own.users + group / 16 * steps;
    for (int64_t chunk = 0; chunk < num_tiles; chunk += kChunk) {
      const int64_t depth = chunk + kChunk < num_tiles ? kChunk : num_tiles - chunk;
      __m512 totals[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
      for (int64_t tile = 0; tile < depth; ++tile) {
        SumTile scores[4];
        const FactorTile* const items = items_.get() + (chunk + tile) * 2 * steps;
        amx.multiply(false, steps, {items, items + steps}, 1, {users, users + steps},
                     {scores[0].row[0], scores[1].row[0], scores[2].row[0], scores[3].row[0]}, 64);
        FactorTile* const weights = own.weights + ((chunk + tile) * 2 * kBlock + group) / 32;
        for (int half = 0; half < 2; ++half)
          totals[half] = set_weights(scores + half, left_out(chunk + tile, first + 16 * half), totals[half],
                                     weights->row[0] + 16 * half, own.pairs + half * kChunk + tile);
      }
      for (int64_t i = 0; i < r_.width; i += 32) {
        const FactorTile* const across = items_across_.get() + chunk * width_tiles_ + i / 16;
        SumTile* const du = own.du + i / 8;
        amx.multiply(chunk > 0, depth, {across, across + 1}, width_tiles_, {own.pairs, own.pairs + kChunk},
                     {du[0].row[0], du[1].row[0], du[2].row[0], du[3].row[0]}, 64);
      }
      float lanes[kUsers];
      for (int half = 0; half < 2; ++half) _mm512_storeu_ps(lanes + 16 * half, totals[half]);
      for (int64_t m = 0; m < kUsers; ++m) sums[m] += static_cast<double>(lanes[m]);
    }
    for (int64_t m = 0; m < kUsers; ++m) {
      factor[m] = sums[m] > 0 ? static_cast<float>(r_.p.exponent / sums[m]) : 0.0f;
      if (first + m >= r_.p.batch) continue;
      const float *u = r_.u + (first + m) * r_.width, *v = r_.v + (first + m) * r_.width;
      r_.set_loss(first + m, static_cast<double>(inner_product<float>(u, v, r_.p.dim)), sums[m], 1.0);
    }
    const __m512i rows = _mm512_mullo_epi32(lanes_from_0(), _mm512_set1_epi32(static_cast<int>(r_.width)));
    for (int64_t m = 0; m < kUsers; m += 16) {
      const __m512 scale = _mm512_loadu_ps(factor + m);
      for (int64_t i = 0; i < r_.width; ++i)
        _mm512_i32scatter_ps(r_.du + (first + m) * r_.width + i, rows,
                             _mm512_mul_ps(scale, _mm512_load_ps(own.du[i / 16 * 2 + m / 16].row[i % 16])),
                             4);
    }
  }

  static LTGNN_HD __m512i lanes_from_0() {
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }

  // For 16 users from `first` on, bits of the 32 items of a tile that are not in their sums: the positive,
  // what they skip and the padding.
  __m512i left_out(int64_t tile, int64_t first) const {
    const int64_t item = 32 * tile, batch = r_.p.batch;
    const __m512i lane = lanes_from_0();
    __m512i bits = _mm512_setzero_si512();
    if (r_.p.skip != nullptr && first < batch) {
      const auto words = static_cast<int>(hit_words(batch));
      const auto there = static_cast<__mmask16>(batch - first < 16 ? (1 << (batch - first)) - 1 : 0xFFFF);
      bits = _mm512_mask_i32gather_epi32(bits, there, _mm512_mullo_epi32(lane, _mm512_set1_epi32(words)),
                                         r_.p.skip + first * words + tile, 4);
    }
    if (item <= first && first < item + 32) {
      const __m512i own = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(first - item)));
      bits = _mm512_or_si512(bits, _mm512_sllv_epi32(_mm512_set1_epi32(1), own));
    }
    if (batch < item + 32)
      bits = _mm512_or_si512(bits, _mm512_set1_epi32(static_cast<int>(~0u << (batch - item))));
    return bits;
  }

  // The weights of 32 items with 16 users, from scores[0] and scores[2]: rows of P' and pairs of P. Adds them
  // to the users' totals.
  __m512 set_weights(const SumTile* scores, __m512i left_out, __m512 total, BFloat16* weights,
                     FactorTile* pairs) const {
    const __m512 slope = _mm512_set1_ps(static_cast<float>(1.4426950408889634 / r_.p.tau));
    __m512i item = _mm512_set1_epi32(1);
    const auto next = [&](int64_t n, __m512& weight) {
      const __mmask16 counts = _mm512_testn_epi32_mask(left_out, item);
      item = _mm512_add_epi32(item, item);
      const __m512 cosine = _mm512_load_ps(scores[n / 16 * 2].row[n % 16]);
      weight = _mm512_maskz_mov_ps(counts, exp2_coarse(_mm512_fmsub_ps(cosine, slope, slope)));
      const auto bits = (__m256i)_mm512_cvtneps_pbh(weight);
      BFloat16* const to = weights + (n / 16 * (kBlock / 32) * 16 + n % 16) * 32;
      _mm256_store_si256(reinterpret_cast<__m256i*>(to), bits);
      return _mm512_cvtepu16_epi32(bits);
    };
    for (int64_t n = 0; n < 32; n += 2) {
      __m512 even, odd;
      const __m512i low = next(n, even), high = next(n + 1, odd);
      total = _mm512_add_ps(total, _mm512_add_ps(even, odd));
      _mm512_store_si512(pairs->row[n / 2], _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
    return total;
  }

  // 16 elements, rounded, each in the low half of 32 bits.
  static LTGNN_HD __m512i rounded(__m512 x) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)); }

  // The users' rows in pairs of coordinates.
  void set_users(FactorTile* tiles, int64_t first) const {
    const int64_t steps = r_.width / 32;
    for (int64_t m = 0; m < kBlock; ++m) {
      const float* u = r_.u + (first + m) * r_.width;
      for (int64_t i = 0; i < r_.width; i += 2) {
        const uint32_t both = bf16_pair(u[i], u[i + 1]);
        std::memcpy(tiles[m / 16 * steps + i / 32].row[i % 32 / 2] + m % 16 * 2, &both, sizeof(both));
      }
    }
  }

  // The users' rows, scaled, in pairs of users.
  void set_scaled_users(FactorTile* tiles, int64_t first, const float* factor) const {
    for (int64_t m = 0; m < kBlock; m += 2) {
      const float* u = r_.u + (first + m) * r_.width;
      const __m512 even = _mm512_set1_ps(factor[m]), odd = _mm512_set1_ps(factor[m + 1]);
      for (int64_t i = 0; i < r_.width; i += 16) {
        const __m512i low = rounded(_mm512_mul_ps(even, _mm512_loadu_ps(u + i)));
        const __m512i high = rounded(_mm512_mul_ps(odd, _mm512_loadu_ps(u + r_.width + i)));
        _mm512_store_si512(tiles[i / 16 * (kBlock / 32) + m / 32].row[m % 32 / 2],
                           _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
      }
    }
  }

  const SoftmaxRows<float>& r_;
  const int64_t width_tiles_;
  const Buffer<FactorTile> items_, items_across_, users_, weights_, pairs_, scaled_users_;
  const Buffer<SumTile> du_;
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
