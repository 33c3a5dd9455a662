// Batches for tests of the losses, and what must come of them: plain loops in double that keep the whole
// batch-by-batch matrix.
#pragma once

#include <cmath>
#include <vector>

#include "graphs.h"
#include "kernels/accidental_hits.h"
#include "kernels/losses.h"

namespace ltgnn::test {

using Matrix = std::vector<double>;

struct Expected {
  double loss = 0.0;
  Matrix grad;
};

// A batch in which rows repeat.
template <class T>
struct Batch {
  int64_t num_rows, dim;
  std::vector<T> x, grad;
  std::vector<int64_t> users, items, negatives;
  std::vector<uint32_t> skip;
  double loss = 0.0;
  LossParams params;

  Batch(int64_t size, int64_t width, Random& random)
      : num_rows(size + 5), dim(width), x(random_values<T>(num_rows * dim, random)), grad(x.size(), T(3)) {
    for (auto* ids : {&users, &items, &negatives}) {
      ids->resize(static_cast<size_t>(size));
      for (int64_t& id : *ids) id = below(random, num_rows);
    }
    params.x = x.data();
    params.num_rows = num_rows;
    params.dim = dim;
    params.users = users.data();
    params.items = items.data();
    params.negatives = negatives.data();
    params.batch = size;
    params.tau = 0.2;
    params.exponent = 0.8;
    params.grad = grad.data();
    params.loss = &loss;
    params.type = kTypeOf<T>;
  }
  size_t size() const { return users.size(); }
  // Leaves out random pairs, and all of user 1, whose denominator is then empty.
  void skip_some(Random& random) {
    const auto words = static_cast<size_t>(hit_words(params.batch));
    skip.resize(size() * words);
    for (uint32_t& word : skip) word = static_cast<uint32_t>(random() & random());
    if (size() > 1) std::fill_n(skip.begin() + static_cast<std::ptrdiff_t>(words), words, 0xFFFFFFFFu);
    params.skip = skip.data();
  }
  bool compared(size_t k, size_t j) const {
    const auto words = static_cast<size_t>(hit_words(params.batch));
    return j != k && (skip.empty() || (skip[k * words + j / 32] >> j % 32 & 1) == 0);
  }
  double at(int64_t row, int64_t i) const {
    return static_cast<double>(x[static_cast<size_t>(row * dim + i)]);
  }
  double dot(int64_t a, int64_t b) const {
    double sum = 0.0;
    for (int64_t i = 0; i < dim; ++i) sum += at(a, i) * at(b, i);
    return sum;
  }
};

template <class T>
Expected expected_bpr(const Batch<T>& b) {
  Expected result{0.0, Matrix(b.x.size(), 0.0)};
  const auto batch = static_cast<double>(b.size());
  for (size_t k = 0; k < b.size(); ++k) {
    const int64_t u = b.users[k], p = b.items[k], n = b.negatives[k];
    const double margin = b.dot(u, n) - b.dot(u, p);
    result.loss += std::log1p(std::exp(margin)) / batch;
    const double slope = 1.0 / (1.0 + std::exp(-margin)) / batch;
    for (int64_t i = 0; i < b.dim; ++i) {
      result.grad[static_cast<size_t>(u * b.dim + i)] += slope * (b.at(n, i) - b.at(p, i));
      result.grad[static_cast<size_t>(p * b.dim + i)] -= slope * b.at(u, i);
      result.grad[static_cast<size_t>(n * b.dim + i)] += slope * b.at(u, i);
    }
  }
  return result;
}

template <class T>
Expected expected_softmax(const Batch<T>& b) {
  Expected result{0.0, Matrix(b.x.size(), 0.0)};
  const double tau = b.params.tau, exponent = b.params.exponent, batch = static_cast<double>(b.size());
  for (size_t k = 0; k < b.size(); ++k) {
    const int64_t u = b.users[k];
    Matrix cosine(b.size()), slope(b.size(), 0.0);
    double sum = 0.0;
    for (size_t j = 0; j < b.size(); ++j) {
      const int64_t v = b.items[j];
      cosine[j] = b.dot(u, v) / std::sqrt(b.dot(u, u) * b.dot(v, v));
      if (b.compared(k, j)) sum += std::exp(cosine[j] / tau);
    }
    result.loss += (-cosine[k] / tau + (sum > 0 ? exponent * std::log(sum) : 0.0)) / batch;
    for (size_t j = 0; j < b.size(); ++j)
      if (j == k || b.compared(k, j))
        slope[j] = (j == k ? -1.0 : exponent * std::exp(cosine[j] / tau) / sum) / (tau * batch);
    for (size_t j = 0; j < b.size(); ++j) {  // d cos(u, v) / du = v / (|u| |v|) - cos u / |u|^2
      const int64_t v = b.items[j];
      const double uu = b.dot(u, u), vv = b.dot(v, v), norms = std::sqrt(uu * vv);
      for (int64_t i = 0; i < b.dim; ++i) {
        result.grad[static_cast<size_t>(u * b.dim + i)] +=
            slope[j] * (b.at(v, i) / norms - cosine[j] * b.at(u, i) / uu);
        result.grad[static_cast<size_t>(v * b.dim + i)] +=
            slope[j] * (b.at(u, i) / norms - cosine[j] * b.at(v, i) / vv);
      }
    }
  }
  return result;
}

}  // namespace ltgnn::test
