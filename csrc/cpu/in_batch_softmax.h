// In-batch softmax on the CPU (kernels/losses.h). U and V are the normalised rows of users and items, padded.
// Users are cut into a fixed number of groups, each one task; a group walks its users in blocks, whose three
// products of 2 batch^2 dim operations each are Products' business (cpu/softmax_products.h).
//
// Groups and blocks depend on the batch alone, and group sums are added in order: the same bits for any
// number of threads. Memory batch * dim * (groups + 5).
#pragma once

#include "core/dispatch.h"
#include "cpu/bpr.h"
#include "cpu/softmax_products.h"
#include "cpu/square_root.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <class T, class Products>
class InBatchSoftmax {
  static constexpr int64_t kBlock = Products::kBlock;
  static constexpr int64_t kMaxGroups = 8;  // tasks; more would balance better and cost more memory

 public:
  InBatchSoftmax(const LossParams& p, const Parallel& parallel)
      : p_(p),
        parallel_(parallel),
        width_(round_up(p.dim, Products::kWidthStep)),
        padded_(round_up(p.batch, Products::kItemStep)),
        num_blocks_((p.batch + kBlock - 1) / kBlock),
        num_groups_(num_blocks_ < kMaxGroups ? num_blocks_ : kMaxGroups),
        u_(num_blocks_ * kBlock * width_),
        v_(padded_ * width_),
        du_(num_blocks_ * kBlock * width_, false),
        dv_(num_groups_ * padded_ * width_, false),
        u_inverse_(p.batch),
        v_inverse_(p.batch),
        losses_(p.batch),
        rows_{p, width_, padded_, u_.get(), v_.get(), du_.get(), losses_.get()},
        products_(rows_, parallel.num_threads) {}

  int64_t run() {
    const int64_t fault = for_each_target(p_.batch, 4 * p_.dim, parallel_, [&](int64_t b) {
      if (!in_table(p_, p_.users, b) || !in_table(p_, p_.items, b)) return false;
      u_inverse_.get()[b] = normalize(p_.users[b], u_.get() + b * width_);
      v_inverse_.get()[b] = normalize(p_.items[b], v_.get() + b * width_);
      products_.pack(b);
      return true;
    });
    if (fault >= 0) return fault;
    // Register-blocked products do about sixteen operations in the time of one elsewhere.
    const int64_t operations = p_.batch * p_.batch * p_.dim * 3 / 16;
    for_each_task(worth_threads(parallel_, operations), num_groups_, [&](int64_t group, int thread) {
      const int64_t begin = group * num_blocks_ / num_groups_, end = (group + 1) * num_blocks_ / num_groups_;
      T* dv = dv_.get() + group * padded_ * width_;
      for (int64_t block = begin; block < end; ++block)
        products_.run_block(block * kBlock, thread, dv, block > begin);
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

  // Sums the groups, adds the positives' part, goes back through the normalisation, and adds each pair's
  // gradients to its rows.
  void finish() const {
    for_each_target(p_.batch, (num_groups_ + 8) * p_.dim, parallel_, [&](int64_t b) {
      const T *u = u_.get() + b * width_, *v = v_.get() + b * width_;
      T *du = du_.get() + b * width_, *dv = dv_.get() + b * width_;
      for (int64_t group = 1; group < num_groups_; ++group)
        for (int64_t i = 0; i < width_; ++i) dv[i] += dv[group * padded_ * width_ + i];
      for (int64_t i = 0; i < width_; ++i) du[i] -= v[i];
      for (int64_t i = 0; i < width_; ++i) dv[i] -= u[i];
      const auto per_pair = static_cast<T>(1.0 / (p_.tau * static_cast<double>(p_.batch)));
      project(u, u_inverse_.get()[b] * per_pair, du);
      project(v, v_inverse_.get()[b] * per_pair, dv);
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

  // d(x / |x|): g <- (g - unit <unit, g>) * scale, where scale holds 1 / |x|
  void project(const T* unit, T scale, T* g) const {
    const T along = inner_product<T>(unit, g, p_.dim);
    for (int64_t i = 0; i < p_.dim; ++i) g[i] = scale * (g[i] - along * unit[i]);
  }

  const LossParams& p_;
  const Parallel& parallel_;
  const int64_t width_, padded_, num_blocks_, num_groups_;
  const Buffer<T> u_, v_, du_, dv_, u_inverse_, v_inverse_;
  const Buffer<double> losses_;
  const SoftmaxRows<T> rows_;
  const Products products_;
};

inline int64_t in_batch_softmax_loss(const LossParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return InBatchSoftmax<T, ExactProducts<T>>(p, parallel).run();
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
