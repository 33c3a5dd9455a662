// weighted_softplus_ on the CPU (kernels/weighted_softplus.h): rows in parallel, a register of columns at a
// time. What is left of a row goes through the same registers, filled up with weights of zero: a score's
// result does not depend on its place.
#pragma once

#include "core/dispatch.h"
#include "cpu/exp.h"
#include "cpu/targets.h"
#include "kernels/weighted_softplus.h"

namespace ltgnn {
namespace LTGNN_ISA {

// A register of scores: their costs, and the slopes in their place.
LTGNN_HD FloatLanes softplus_and_slope(FloatLanes& s) {
  const FloatLanes zero{}, small = exp_lanes(s > 0.0f ? -s : s);
  // One division for 1 / (1 + e) and for z = e / (2 + e); log1p(e) = 2 atanh(z), z <= 1/3, by its series,
  // whose first term left out is 1e-8 of it.
  const FloatLanes one = small + 1.0f, two = small + 2.0f;
  const FloatLanes inverse = (zero + 1.0f) / (one * two);
  const FloatLanes z = small * (inverse * one), y = z * z;
  FloatLanes series = y * (2.0f / 13.0f) + (2.0f / 11.0f);
  series = series * y + (2.0f / 9.0f);
  series = series * y + (2.0f / 7.0f);
  series = series * y + (2.0f / 5.0f);
  series = series * y + (2.0f / 3.0f);
  series = series * y + 2.0f;
  const FloatLanes cost = (s > 0.0f ? s : zero) + series * z;
  s = (s < 0.0f ? small : zero + 1.0f) * (inverse * two);
  return cost;
}

LTGNN_HD DoubleLanes softplus_and_slope(DoubleLanes& s) {
  constexpr int kCount = sizeof(DoubleLanes) / sizeof(double);
  DoubleLanes cost;
  for (int i = 0; i < kCount; ++i) {
    double slope = s[i];
    cost[i] = weighted_softplus_term(&slope, 1.0);
    s[i] = slope;
  }
  return cost;
}

template <class T>
class WeightedSoftplusRow {
  using Lanes = typename LanesOf<T>::type;
  static constexpr int kLanes = sizeof(Lanes) / sizeof(T);
  // Registers whose sum is held in T, which saves most conversions to double; sums of so few terms lose no
  // more than the terms.
  static constexpr int64_t kRun = 16;

 public:
  WeightedSoftplusRow(const WeightedSoftplusParams& p, int64_t row)
      : scores_(static_cast<T*>(p.scores) + row * p.num_columns),
        of_column_(static_cast<const T*>(p.of_column)),
        of_all_(static_cast<const T*>(p.of_all)),
        of_row_(static_cast<const T*>(p.of_row)[row]),
        num_columns_(p.num_columns) {}

  double run() {
    double loss = 0.0;
    int64_t column = 0;
    while (column + kLanes <= num_columns_) {
      Lanes sum{};
      for (int64_t k = 0; k < kRun && column + kLanes <= num_columns_; ++k, column += kLanes)
        sum += step(scores_ + column, of_column_ + column, of_all_ + column);
      loss += total(sum);
    }
    if (column < num_columns_) {
      const size_t bytes = static_cast<size_t>(num_columns_ - column) * sizeof(T);
      T scores[kLanes] = {}, of_column[kLanes] = {}, of_all[kLanes] = {};
      std::memcpy(scores, scores_ + column, bytes);
      std::memcpy(of_column, of_column_ + column, bytes);
      std::memcpy(of_all, of_all_ + column, bytes);
      loss += total(step(scores, of_column, of_all));
      std::memcpy(scores_ + column, scores, bytes);
    }
    return loss;
  }

 private:
  Lanes step(T* scores, const T* of_column, const T* of_all) const {
    Lanes s = load_lanes(scores);
    const Lanes weight = of_row_ * load_lanes(of_column) + load_lanes(of_all), cost = softplus_and_slope(s);
    store_lanes(scores, weight * s);
    return weight * cost;
  }

  static double total(Lanes lanes) {
    double sum = 0.0;
    for (int k = 0; k < kLanes; ++k) sum += static_cast<double>(lanes[k]);
    return sum;
  }

  T* const scores_;
  const T *const of_column_, *const of_all_;
  const T of_row_;
  const int64_t num_columns_;
};

inline int64_t weighted_softplus(const WeightedSoftplusParams& p, const Parallel& parallel) {
  return dispatch_float(p.type, [&](auto type) {
    using T = typename decltype(type)::type;
    return for_each_target(p.num_rows, 4 * p.num_columns, parallel, [&](int64_t row) {
      p.loss[row] = WeightedSoftplusRow<T>(p, row).run();
      return true;
    });
  });
}

}  // namespace LTGNN_ISA
}  // namespace ltgnn
