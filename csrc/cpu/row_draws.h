// What the rows of one task draw, on the CPU: the picks of sample_row (kernels/sample.h), bit for bit, for
// less. Each row has a lane: the random words of several rows come from one Philox call, and rows also pick
// in step. Where all are short, a bit of one word tells for each position whether it is taken; else a pick is
// compared with those before it.
#pragma once

#include "cpu/philox_lanes.h"
#include "kernels/sample.h"

namespace ltgnn {
namespace LTGNN_ISA {

template <int kMostRows>
class RowDraws {
 public:
  // Takes note of a row that has more neighbours than its fanout; returns its number here.
  int add(int64_t row, int64_t degree, int fanout) {
    streams_[count_] = static_cast<uint64_t>(row);
    degrees_[count_] = static_cast<uint64_t>(degree);
    fanouts_[count_] = static_cast<uint64_t>(fanout);
    if (fanout > most_) most_ = fanout;
    return count_++;
  }

  // Makes the words of all rows and, where they draw uniformly, the picks of those that pick in step.
  void draw(uint64_t seed, bool uniform) {
    for (int row = count_; row % kWordLanes != 0; ++row) streams_[row] = degrees_[row] = fanouts_[row] = 0;
    for (int row = 0; row < count_; row += kWordLanes) {
      for (int k = 0; k < most_; k += 4) {
        const PhiloxLanes words = philox_lanes(seed, load_words(streams_ + row), all_lanes(k / 4));
        for (int word = 0; word < 4; ++word) store_halves(words_[k + word] + row, words.v[word]);
      }
      picked_[row / kWordLanes] = uniform && pick_in_step(row);
    }
  }

  // Of a row: its k-th pick, once it has picked; before, where draws are not uniform, its k-th random word.
  uint32_t& operator()(int row, int k) { return words_[k][row]; }
  uint32_t operator()(int row, int k) const { return words_[k][row]; }

  // The picks of a row that draws uniformly; done by `draw` where it could be.
  void pick(int row) {
    if (picked_[row / kWordLanes]) return;
    const auto degree = static_cast<int64_t>(degrees_[row]);
    // A bit for every position, or for all that are alike modulo their number: then a set bit is a question.
    constexpr uint32_t kMarks = 512;
    uint64_t marks[kMarks / 64] = {};
    const int fanout = static_cast<int>(fanouts_[row]);
    for (int k = 0; k < fanout; ++k) {
      const auto last = static_cast<uint32_t>(degree - fanout + k);
      uint32_t pick = word_below(words_[k][row], uint64_t{last} + 1);
      bool taken = marks[pick % kMarks / 64] >> pick % 64 & 1;
      if (taken && degree > kMarks) {
        taken = false;
        for (int j = 0; j < k; ++j) taken |= words_[j][row] == pick;
      }
      if (taken) pick = last;
      marks[pick % kMarks / 64] |= uint64_t{1} << pick % 64;
      words_[k][row] = pick;
    }
  }

 private:
  static_assert(kMostRows % kWordLanes == 0);
  static constexpr uint64_t kMostMarks = 64;
  static constexpr int kMostCompared = 4 * kWordLanes;  // more are cheaper by marks, one row after another

  // Floyd's picks (see sample_row) for the lanes from `row` on. False where it left them to pick().
  bool pick_in_step(int row) {
    const WordLanes degree = load_words(degrees_ + row), fanout = load_words(fanouts_ + row);
    bool marked = true;
    for (int lane = 0; lane < kWordLanes; ++lane) marked &= degrees_[row + lane] <= kMostMarks;
    if (!marked && most_ > kMostCompared) return false;
    WordLanes marks{};  // bit p: position p is taken
    for (int k = 0; k < most_; ++k) {
      const WordLanes last = degree - fanout + static_cast<uint64_t>(k);
      WordLanes pick = multiply_halves(load_halves(words_[k] + row), last + 1) >> 32;
      WordLanes taken{};
      if (marked)
        taken = WordLanes{} - (marks >> (pick & 63) & 1);
      else
        for (int j = 0; j < k; ++j) taken |= (WordLanes)(load_halves(words_[j] + row) == pick);
      pick ^= (pick ^ last) & taken;
      marks |= all_lanes(1) << (pick & 63);
      store_halves(words_[k] + row, pick);
    }
    return true;
  }

  int count_ = 0, most_ = 0;
  bool picked_[kMostRows / kWordLanes];
  uint64_t streams_[kMostRows], degrees_[kMostRows], fanouts_[kMostRows];
  uint32_t words_[kMaxFanout][kMostRows];
};

}  // namespace LTGNN_ISA
}  // namespace ltgnn
