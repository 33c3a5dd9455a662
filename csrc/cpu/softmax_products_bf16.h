// The three products of the in-batch softmax loss (cpu/softmax_products.h) from factors rounded to bfloat16,
// with sums in float32: twice the products a second. For variant_avx512_bf16.cpp alone.
//
// P is not scaled by its row's sum, which is known only after the row: dU is scaled afterwards, and for dV
// the users' rows are. The positives are not in P, so that rounding does not touch their gradient.
#pragma once

#include "cpu/gemm_bf16.h"
#include "cpu/inner_product.h"
#include "cpu/softmax_bf16.h"
#include "cpu/softmax_products.h"

namespace ltgnn {
namespace LTGNN_ISA {

class Bf16Products {
  using Gemm = MicroGemmBf16;
  static constexpr int64_t kPairDepth = 128;  // pairs of items a slice of the second product

 public:
  static constexpr int64_t kBlock = 96;
  static constexpr int64_t kWidthStep = Gemm::kCols;
  static constexpr int64_t kItemStep = Gemm::kCols * Gemm::kRows;

  Bf16Products(const SoftmaxRows<float>& rows, int64_t num_threads)
      : r_(rows),
        pairs_((rows.p.dim + 1) / 2),
        users_((rows.p.batch + kBlock) * rows.width / 2),
        panels_(rows.padded * pairs_),
        item_pairs_(rows.padded / 2 * rows.width),
        scores_(num_threads * Gemm::kRows * rows.padded, false),
        weights_(num_threads * Gemm::kRows * rows.padded / 2, false),
        user_weights_(num_threads * kBlock / 2 * rows.padded, false),
        scaled_users_(num_threads * kBlock / 2 * rows.width, false) {}

  void pack(int64_t b) const {
    const float *u = r_.u + b * r_.width, *v = r_.v + b * r_.width;
    Bf16Pair* panel = panels_.get() + b / Gemm::kCols * Gemm::kCols * pairs_ + b % Gemm::kCols;
    for (int64_t k = 0; k < pairs_; ++k) {
      users_.get()[b * (r_.width / 2) + k] = bf16_pair(u[2 * k], u[2 * k + 1]);
      panel[k * Gemm::kCols] = bf16_pair(v[2 * k], v[2 * k + 1]);
    }
    for (int64_t i = 0; i < r_.p.dim; ++i) set_half(item_pairs_.get() + b / 2 * r_.width + i, b % 2, v[i]);
  }

  void run_block(int64_t first, int thread, float* dv, bool adds) const {
    const int64_t width = r_.width, padded = r_.padded;
    float* scores = scores_.get() + thread * Gemm::kRows * padded;
    Bf16Pair* weights = weights_.get() + thread * Gemm::kRows * padded / 2;
    Bf16Pair* user_weights = user_weights_.get() + thread * kBlock / 2 * padded;
    Bf16Pair* scaled = scaled_users_.get() + thread * kBlock / 2 * width;
    for (int64_t m = 0; m < kBlock; m += Gemm::kRows) {
      const Bf16Pair* u = users_.get() + (first + m) * (width / 2);
      for (int64_t column = 0; column < padded; column += Gemm::kCols)
        Gemm::run(false, pairs_, u, width / 2, 1, panels_.get() + column * pairs_, Gemm::kCols,
                  scores + column, padded);
      float factor[Gemm::kRows];
      for (int64_t k = 0; k < Gemm::kRows; k += 2)
        softmax_rows(first + m + k, scores + k * padded, weights + k * padded / 2,
                     user_weights + (m + k) / 2 * padded, scaled + (m + k) / 2 * width, factor + k);
      float* du = r_.du + (first + m) * width;
      for (int64_t item = 0; item < padded / 2; item += kPairDepth) {
        const int64_t depth = item + kPairDepth < padded / 2 ? kPairDepth : padded / 2 - item;
        for (int64_t column = 0; column < width; column += Gemm::kCols)
          Gemm::run(item > 0, depth, weights + item, padded / 2, 1, item_pairs_.get() + item * width + column,
                    width, du + column, width);
      }
      for (int64_t k = 0; k < Gemm::kRows; ++k)
        for (int64_t i = 0; i < width; ++i) du[k * width + i] *= factor[k];
    }
    for (int64_t item = 0; item < padded; item += Gemm::kRows)
      for (int64_t column = 0; column < width; column += Gemm::kCols)
        Gemm::run(adds, kBlock / 2, user_weights + item, 1, padded, scaled + column, width,
                  dv + item * width + column, width);
  }

 private:
  static LTGNN_HD void set_half(Bf16Pair* to, int64_t half, float x) {
    const BFloat16 value = to_bfloat16(x);
    std::memcpy(reinterpret_cast<char*>(to) + 2 * half, &value, sizeof(value));
  }

  // The cosines of users b and b + 1 become weights exp((c - 1) / tau): [2, padded] for dU, as pairs of the
  // two users for dV. Also the users' rows times their factors, exponent / sum, as pairs.
  void softmax_rows(int64_t b, float* scores, Bf16Pair* weights, Bf16Pair* user_weights, Bf16Pair* scaled,
                    float* factor) const {
    const int64_t batch = r_.p.batch, padded = r_.padded;
    constexpr float kNever = -1e30f;  // whose exponential is 0
    for (int64_t k = 0; k < 2; ++k) {
      float* row = scores + k * padded;
      if (b + k < batch) {
        row[b + k] = kNever;
        r_.for_each_skipped(b + k, [&](int64_t j) { row[j] = kNever; });
      }
      for (int64_t j = b + k < batch ? batch : 0; j < padded; ++j) row[j] = kNever;
    }
    const __m512 slope = _mm512_set1_ps(static_cast<float>(1.4426950408889634 / r_.p.tau));
    __m512 total[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t j = 0; j < padded; j += Gemm::kLanes) {
      __m512i half[2];
#pragma GCC unroll 2
      for (int k = 0; k < 2; ++k) {
        const __m512 cosine = _mm512_loadu_ps(scores + k * padded + j);
        const __m512 weight = exp2_coarse(_mm512_fmsub_ps(cosine, slope, slope));
        total[k] = _mm512_add_ps(total[k], weight);
        const auto narrow = (__m256i)_mm512_cvtneps_pbh(weight);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + (k * padded + j) / 2), narrow);
        half[k] = _mm512_cvtepu16_epi32(narrow);
      }
      _mm512_storeu_si512(user_weights + j, _mm512_or_si512(half[0], _mm512_slli_epi32(half[1], 16)));
    }
    for (int64_t k = 0; k < 2; ++k) {
      float lanes[Gemm::kLanes];
      _mm512_storeu_ps(lanes, total[k]);
      double sum = 0.0;
      for (const float lane : lanes) sum += static_cast<double>(lane);
      factor[k] = sum > 0 ? static_cast<float>(r_.p.exponent / sum) : 0.0f;
      if (b + k >= batch) continue;
      const float *u = r_.u + (b + k) * r_.width, *v = r_.v + (b + k) * r_.width;
      r_.set_loss(b + k, static_cast<double>(inner_product<float>(u, v, r_.p.dim)), sum, 1.0);
    }
    const float* u = r_.u + b * r_.width;
    for (int64_t i = 0; i < r_.width; ++i)
      scaled[i] = bf16_pair(factor[0] * u[i], factor[1] * u[r_.width + i]);
  }

  const SoftmaxRows<float>& r_;
  const int64_t pairs_;
  const Buffer<Bf16Pair> users_, panels_, item_pairs_;
  const Buffer<float> scores_;
  const Buffer<Bf16Pair> weights_, user_weights_, scaled_users_;
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
