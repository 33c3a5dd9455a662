// One input of propagate with everything optional drawn at random, and its result by plain loops in double.
#pragma once

#include <algorithm>
#include <numeric>

#include "graphs.h"
#include "kernels/propagate.h"

namespace ltgnn::test {

// Windows (cpu/propagate_windows.h) of so many columns, for an x of any size.
inline PropagateBlocking in_windows(const PropagateParams& params, int64_t columns, int64_t element_bytes) {
  return {-1, 0, (columns - 1) * params.dim * element_bytes};
}

template <class T>
struct PropagateCase {
  using Acc = typename AccumulatorOf<T>::type;
  Graph graph;
  std::vector<int64_t> rows;
  std::vector<Acc> weight, row_scale, col_scale;
  std::vector<T> x, x0, out;
  PropagateParams params;

  // `padding`: elements between the rows of x and x0.
  PropagateCase(Graph made, int64_t dim, int64_t padding, DType index, Random& random)
      : graph(std::move(made)) {
    const int64_t num_rows = graph.num_rows(), stride = dim + padding;
    const auto filled = [&](int64_t rows) { return rows > 0 ? (rows - 1) * stride + dim : 0; };
    weight = random_values<Acc>(graph.num_edges(), random);
    row_scale = random_values<Acc>(num_rows, random);
    col_scale = random_values<Acc>(graph.num_cols, random);
    x = random_values<T>(filled(graph.num_cols), random);
    x0 = random_values<T>(filled(num_rows), random);
    out.assign(static_cast<size_t>(num_rows * dim), from_double<T>(-7.0));
    const uint64_t options = random();
    params.csr = graph.view(index);
    params.type = kTypeOf<T>;
    rows.resize(static_cast<size_t>(num_rows));
    std::iota(rows.begin(), rows.end(), int64_t{0});
    std::shuffle(rows.begin(), rows.end(), random);
    params.rows = options & 64 ? rows.data() : nullptr;
    params.weight = options & 1 ? weight.data() : nullptr;
    params.row_scale = options & 2 ? row_scale.data() : nullptr;
    params.col_scale = options & 4 ? col_scale.data() : nullptr;
    params.x0 = options & 8 ? x0.data() : nullptr;
    params.self_loops = (options & 16) && num_rows == graph.num_cols;
    params.alpha = options & 32 ? 0.25 : 0.0;
    params.x = x.data();
    params.x_stride = params.x0_stride = stride;
    params.out = out.data();
    params.out_stride = params.dim = dim;
  }

  // Of row `row` of the graph.
  double expected(int64_t row, int64_t column) const {
    const int64_t target = target_row(params, row);
    const auto x_at = [&](int64_t c) {
      return to_double(x[static_cast<size_t>(c * params.x_stride + column)]);
    };
    const auto scale_of = [&](int64_t c) {
      return params.col_scale ? static_cast<double>(col_scale[static_cast<size_t>(c)]) : 1.0;
    };
    double sum = 0.0;
    for (int64_t e = graph.indptr[static_cast<size_t>(row)]; e < graph.indptr[static_cast<size_t>(row) + 1];
         ++e) {
      const int64_t c = graph.wide[static_cast<size_t>(e)];
      const double w = params.weight ? static_cast<double>(weight[static_cast<size_t>(e)]) : 1.0;
      sum += w * scale_of(c) * x_at(c);
    }
    if (params.self_loops) sum += scale_of(target) * x_at(target);
    sum *= 1.0 - params.alpha;
    if (params.row_scale) sum *= static_cast<double>(row_scale[static_cast<size_t>(target)]);
    if (params.x0)
      sum += params.alpha * to_double(x0[static_cast<size_t>(target * params.x0_stride + column)]);
    return sum;
  }

  double result(int64_t row, int64_t column) const {
    return to_double(out[static_cast<size_t>(target_row(params, row) * params.dim + column)]);
  }
};

}  // namespace ltgnn::test
