// In-batch softmax on the CPU (kernels/losses.h). U and V are the normalised rows of users and items, packed
// and padded. Users are cut into a fixed number of groups, each one task; a group walks its users in blocks
// of kBlock:
//
//   S = U_block V'         [kBlock, batch], stays in the second-level cache
//   P = dL/dS              exponentials and row sums, in place
//   dU_block = P V;  dV_group += P' U_block
//
// Groups and blocks depend on the batch alone, and group sums are added in order: the same bits for any
// number of threads. Three products of 2 batch^2 dim operations each; memory batch * dim * (groups + 5).
#pragma once

#include "cpu/bpr.h"
#include "cpu/exp.h"
#include "cpu/gemm.h"
#include "cpu/square_root.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class T>
class InBatchSoftmax {
  using Gemm = MicroGemm<T>;
  using Lanes = typename Gemm::Lanes;
  static constexpr int64_t kBlock = 48;     // users a block: divisible by Gemm::kRows
  static constexpr int64_t kMaxGroups = 8;  // tasks; more would balance better and cost more memory
  static constexpr int64_t kDepth = 256;    // items a slice of the second product: V's slice stays in cache

 public:
  InBatchSoftmax(const LossParams& p, const Parallel& parallel)
      : p_(p),
        parallel_(parallel),
        width_(round_up(p.dim, Gemm::kCols)),
        // divisible by both sides of a register block
        padded_(round_up(p.batch, Gemm::kCols * Gemm::kRows)),
        num_blocks_((p.batch + kBlock - 1) / kBlock),
        num_groups_(num_blocks_ < kMaxGroups ? num_blocks_ : kMaxGroups),
        u_(round_up(p.batch, kBlock) * width_),
        v_(padded_ * width_),
        panels_(padded_ * p.dim),
        du_(round_up(p.batch, kBlock) * width_),
        dv_(num_groups_ * padded_ * width_),
        scores_(num_groups_ * kBlock * padded_),
        u_inverse_(p.batch),
        v_inverse_(p.batch),
        losses_(p.batch) {}

  int64_t run() {
    const int64_t fault = for_each_target(p_.batch, 4 * p_.dim, parallel_, [&](int64_t b) {
      if (!in_table(p_, p_.users, b) || !in_table(p_, p_.items, b)) return false;
      u_inverse_.get()[b] = normalize(p_.users[b], u_.get() + b * width_);
      v_inverse_.get()[b] = normalize(p_.items[b], v_.get() + b * width_);
      T* panel = panels_.get() + b / Gemm::kCols * Gemm::kCols * p_.dim + b % Gemm::kCols;
      for (int64_t i = 0; i < p_.dim; ++i) panel[i * Gemm::kCols] = v_.get()[b * width_ + i];
      return true;
    });
    if (fault >= 0) return fault;
    // Register-blocked products do about sixteen operations in the time of one elsewhere.
    const int64_t operations = p_.batch * p_.batch * p_.dim * 3 / 16;
    for_each_task(worth_threads(parallel_, operations), num_groups_, [&](int64_t group, int) {
      const int64_t end = (group + 1) * num_blocks_ / num_groups_;
      for (int64_t block = group * num_blocks_ / num_groups_; block < end; ++block)
        run_block(block * kBlock, scores_.get() + group * kBlock * padded_,
                  dv_.get() + group * padded_ * width_);
    });
    double total = 0.0;
    for (int64_t b = 0; b < p_.batch; ++b) total += losses_.get()[b];
    *p_.loss = p_.batch > 0 ? total / static_cast<double>(p_.batch) : 0.0;
    finish();
    return -1;
  }

 private:
  // Writes x_row / |x_row| and returns 1 / |x_row|; a zero row stays zero and gets no gradient.
  T normalize(int64_t row, T* unit) const {
    const T* x = static_cast<const T*>(p_.x) + row * p_.dim;
    const T square = inner_product<T>(x, x, p_.dim);
    const T inverse = square > 0 ? T(1) / SquareRoot{}(square) : T(0);
    for (int64_t i = 0; i < p_.dim; ++i) unit[i] = inverse * x[i];
    return inverse;
  }

  void run_block(int64_t first, T* scores, T* dv) const {
    const T* u = u_.get() + first * width_;
    for (int64_t column = 0; column < padded_; column += Gemm::kCols)
      for (int64_t m = 0; m < kBlock; m += Gemm::kRows)
        Gemm::template run<false>(p_.dim, u + m * width_, width_, 1, panels_.get() + column * p_.dim,
                                  Gemm::kCols, scores + m * padded_ + column, padded_);
    for (int64_t m = 0; m < kBlock; ++m) softmax_row(first + m, scores + m * padded_);
    T* du = du_.get() + first * width_;
    for (int64_t item = 0; item < padded_; item += kDepth) {
      const int64_t depth = item + kDepth < padded_ ? kDepth : padded_ - item;
      for (int64_t m = 0; m < kBlock; m += Gemm::kRows)
        for (int64_t column = 0; column < width_; column += Gemm::kCols)
          Gemm::template run<true>(depth, scores + m * padded_ + item, padded_, 1,
                                   v_.get() + item * width_ + column, width_, du + m * width_ + column,
                                   width_);
    }
    for (int64_t item = 0; item < padded_; item += Gemm::kRows)
      for (int64_t column = 0; column < width_; column += Gemm::kCols)
        Gemm::template run<true>(kBlock, scores + item, 1, padded_, u + column, width_,
                                 dv + item * width_ + column, width_);
  }

  // A row of cosines becomes dL/dcosine; padding becomes 0.
  void softmax_row(int64_t b, T* row) const {
    if (b >= p_.batch) {
      std::memset(row, 0, static_cast<size_t>(padded_) * sizeof(T));
      return;
    }
    // Shifted by the row's maximum, so that the largest term is 1 whatever tau; the shift is put back into
    // the loss. The positive and the padding lie below any cosine: they are not the maximum.
    const T slope = static_cast<T>(1.0 / p_.tau), positive = row[b];
    row[b] = T(-2);
    for (int64_t j = p_.batch; j < padded_; ++j) row[j] = T(-2);
    Lanes high = load_lanes(row);
    for (int64_t j = Gemm::kLanes; j < padded_; j += Gemm::kLanes) {
      const Lanes next = load_lanes(row + j);
      high = next > high ? next : high;
    }
    T top = high[0];
    for (int k = 1; k < Gemm::kLanes; ++k) top = high[k] > top ? high[k] : top;
    for (int64_t j = 0; j < padded_; j += Gemm::kLanes)
      store_lanes(row + j, exp_lanes((load_lanes(row + j) - top) * slope));
    row[b] = 0;
    for (int64_t j = p_.batch; j < padded_; ++j) row[j] = 0;
    Lanes partial[2] = {};
    for (int64_t j = 0; j < padded_; j += Gemm::kCols) {
      partial[0] += load_lanes(row + j);
      partial[1] += load_lanes(row + j + Gemm::kLanes);
    }
    const Lanes lanes = partial[0] + partial[1];
    double sum = 0.0;
    for (int k = 0; k < Gemm::kLanes; ++k) sum += static_cast<double>(lanes[k]);
    const double per_pair = 1.0 / (p_.tau * static_cast<double>(p_.batch));
    // No other item in the batch: nothing to compare with, the denominator is left out.
    const double log_sum = sum > 0 ? std::log(sum) + static_cast<double>(top) / p_.tau : 0.0;
    losses_.get()[b] = -static_cast<double>(positive) / p_.tau + p_.exponent * log_sum;
    const T factor = sum > 0 ? static_cast<T>(p_.exponent * per_pair / sum) : T(0);
    for (int64_t j = 0; j < padded_; j += Gemm::kLanes) store_lanes(row + j, load_lanes(row + j) * factor);
    row[b] = static_cast<T>(-per_pair);
  }

  // Sums the groups, goes back through the normalisation, and adds each pair's gradients to its rows.
  void finish() const {
    for_each_target(p_.batch, (num_groups_ + 8) * p_.dim, parallel_, [&](int64_t b) {
      T* dv = dv_.get() + b * width_;
      for (int64_t group = 1; group < num_groups_; ++group)
        for (int64_t i = 0; i < width_; ++i) dv[i] += dv[group * padded_ * width_ + i];
      project(u_.get() + b * width_, u_inverse_.get()[b], du_.get() + b * width_);
      project(v_.get() + b * width_, v_inverse_.get()[b], dv);
      return true;
    });
    T* grad = static_cast<T*>(p_.grad);
    std::memset(grad, 0, static_cast<size_t>(p_.num_rows * p_.dim) * sizeof(T));
    for_each_column_block(p_.dim, p_.batch, parallel_, [&](int64_t begin, int64_t end) {
      for (int64_t b = 0; b < p_.batch; ++b) {
        T* user = grad + p_.users[b] * p_.dim;
        for (int64_t i = begin; i < end; ++i) user[i] += du_.get()[b * width_ + i];
        T* item = grad + p_.items[b] * p_.dim;
        for (int64_t i = begin; i < end; ++i) item[i] += dv_.get()[b * width_ + i];
      }
    });
  }

  // d(x / |x|): g <- (g - unit <unit, g>) / |x|
  void project(const T* unit, T inverse, T* g) const {
    const T along = inner_product<T>(unit, g, p_.dim);
    for (int64_t i = 0; i < p_.dim; ++i) g[i] = inverse * (g[i] - along * unit[i]);
  }

  const LossParams& p_;
  const Parallel& parallel_;
  const int64_t width_, padded_, num_blocks_, num_groups_;
  const Buffer<T> u_, v_, panels_, du_, dv_, scores_, u_inverse_, v_inverse_;
  const Buffer<double> losses_;
};

inline int64_t in_batch_softmax_loss(const LossParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return InBatchSoftmax<T>(p, parallel).run();
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
