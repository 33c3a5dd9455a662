// The three products of the in-batch softmax loss (cpu/in_batch_softmax.h) over a block of users, in the
// type of the rows.
//
//   S = U_block V'         [kBlock, batch], stays in the second-level cache
//   P = exponent softmax(S / tau) without the positives: exponentials and row sums, in place
//   dU_block = P V;  dV_group += P' U_block
#pragma once

#include "cpu/buffer.h"
#include "cpu/exp.h"
#include "cpu/gemm.h"
#include "kernels/accidental_hits.h"
#include "kernels/losses.h"

namespace ltgnn {
namespace LTGNN_ISA {

// What the products read and write, but for dV. Rows are `width` apart and zero from `dim` and from `batch`
// on.
template <class T>
struct SoftmaxRows {
  const LossParams& p;
  int64_t width, padded;
  const T *u, *v;  // unit rows of users, of items
  T* du;           // [batch, width], to be written
  double* losses;  // [batch]

  // Calls body(j) for each pair (b, j) that is left out, j < batch; bits beyond it say nothing.
  template <class Body>
  void for_each_skipped(int64_t b, const Body& body) const {
    if (p.skip == nullptr) return;
    const int64_t words = hit_words(p.batch);
    const uint32_t* row = p.skip + b * words;
    for (int64_t word = 0; word < words; ++word) {
      for (uint32_t bits = row[word]; bits != 0; bits &= bits - 1) {
        const int64_t j = 32 * word + __builtin_ctz(bits);
        if (j < p.batch) body(j);
      }
    }
  }

  // The loss of user b, from its own cosine and sum_{j != b} exp((c_bj - shift) / tau).
  void set_loss(int64_t b, double positive, double sum, double shift) const {
    // No other item in the batch: nothing to compare with, the denominator is left out.
    const double log_sum = sum > 0 ? std::log(sum) + shift / p.tau : 0.0;
    losses[b] = -positive / p.tau + p.exponent * log_sum;
  }
};

template <class T>
class ExactProducts {
  using Gemm = MicroGemm<T>;
  using Lanes = typename Gemm::Lanes;
  static constexpr int64_t kDepth = 256;  // items a slice of the second product: V's slice stays in cache

 public:
  static constexpr int64_t kBlock = 48;                            // users a block: divisible by Gemm::kRows
  static constexpr int64_t kWidthStep = Gemm::kCols;               // what the width is rounded up to
  static constexpr int64_t kItemStep = Gemm::kCols * Gemm::kRows;  // and the number of items

  ExactProducts(const SoftmaxRows<T>& rows, int64_t num_threads)
      : r_(rows), panels_(rows.padded * rows.p.dim), scores_(num_threads * kBlock * rows.padded, false) {}

  // Packs pair b; called for all of them, in parallel.
  void pack(int64_t b) const {
    T* panel = panels_.get() + b / Gemm::kCols * Gemm::kCols * r_.p.dim + b % Gemm::kCols;
    for (int64_t i = 0; i < r_.p.dim; ++i) panel[i * Gemm::kCols] = r_.v[b * r_.width + i];
  }

  // Users [first, first + kBlock), on one of the threads; dv [padded, width] is written, or added to.
  void run_block(int64_t first, int thread, T* dv, bool adds) const {
    const int64_t width = r_.width, padded = r_.padded;
    T* scores = scores_.get() + thread * kBlock * padded;
    const T* u = r_.u + first * width;
    for (int64_t column = 0; column < padded; column += Gemm::kCols)
      for (int64_t m = 0; m < kBlock; m += Gemm::kRows)
        Gemm::run(false, r_.p.dim, u + m * width, width, 1, panels_.get() + column * r_.p.dim, Gemm::kCols,
                  scores + m * padded + column, padded);
    for (int64_t m = 0; m < kBlock; ++m) softmax_row(first + m, scores + m * padded);
    T* du = r_.du + first * width;
    for (int64_t item = 0; item < padded; item += kDepth) {
      const int64_t depth = item + kDepth < padded ? kDepth : padded - item;
      for (int64_t m = 0; m < kBlock; m += Gemm::kRows)
        for (int64_t column = 0; column < width; column += Gemm::kCols)
          Gemm::run(item > 0, depth, scores + m * padded + item, padded, 1, r_.v + item * width + column,
                    width, du + m * width + column, width);
    }
    for (int64_t item = 0; item < padded; item += Gemm::kRows)
      for (int64_t column = 0; column < width; column += Gemm::kCols)
        Gemm::run(adds, kBlock, scores + item, 1, padded, u + column, width, dv + item * width + column,
                  width);
  }

 private:
  // A row of cosines becomes P; the positive, what is left out and the padding become 0.
  void softmax_row(int64_t b, T* row) const {
    const int64_t batch = r_.p.batch, padded = r_.padded;
    if (b >= batch) {
      std::memset(row, 0, static_cast<size_t>(padded) * sizeof(T));
      return;
    }
    // Shifted by the row's maximum, so that the largest term is 1 whatever tau; the shift is put back into
    // the loss. The positive, what is left out and the padding lie below any cosine: they are not the
    // maximum.
    const T slope = static_cast<T>(1.0 / r_.p.tau), positive = row[b];
    row[b] = T(-2);
    r_.for_each_skipped(b, [&](int64_t j) { row[j] = T(-2); });
    for (int64_t j = batch; j < padded; ++j) row[j] = T(-2);
    Lanes high = load_lanes(row);
    for (int64_t j = Gemm::kLanes; j < padded; j += Gemm::kLanes) {
      const Lanes next = load_lanes(row + j);
      high = next > high ? next : high;
    }
    T top = high[0];
    for (int k = 1; k < Gemm::kLanes; ++k) top = high[k] > top ? high[k] : top;
    for (int64_t j = 0; j < padded; j += Gemm::kLanes)
      store_lanes(row + j, exp_lanes((load_lanes(row + j) - top) * slope));
    row[b] = 0;
    r_.for_each_skipped(b, [&](int64_t j) { row[j] = 0; });
    for (int64_t j = batch; j < padded; ++j) row[j] = 0;
    Lanes partial[2] = {};
    for (int64_t j = 0; j < padded; j += Gemm::kCols) {
      partial[0] += load_lanes(row + j);
      partial[1] += load_lanes(row + j + Gemm::kLanes);
    }
    const Lanes lanes = partial[0] + partial[1];
    double sum = 0.0;
    for (int k = 0; k < Gemm::kLanes; ++k) sum += static_cast<double>(lanes[k]);
    r_.set_loss(b, static_cast<double>(positive), sum, static_cast<double>(top));
    const T factor = sum > 0 ? static_cast<T>(r_.p.exponent / sum) : T(0);
    for (int64_t j = 0; j < padded; j += Gemm::kLanes) store_lanes(row + j, load_lanes(row + j) * factor);
  }

  const SoftmaxRows<T>& r_;
  const Buffer<T> panels_, scores_;
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
