// The generator against the known answers that its authors publish (Random123, philox4x32-10).
#include "check.h"
#include "core/philox.h"

namespace {

struct Answer {
  uint64_t counter, stream, seed;
  uint32_t words[4];
};

// counter and stream are the generator's four counter words, seed its two key words, low word first.
constexpr Answer kAnswers[] = {
    {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {~0ull, ~0ull, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {0x85a308d3243f6a88,
     0x0370734413198a2e,
     0x299f31d0a4093822,
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

void test_answers() {
  for (const Answer& answer : kAnswers) {
    const ltgnn::Philox4 words = ltgnn::philox(answer.seed, answer.stream, answer.counter);
    for (int i = 0; i < 4; ++i) CHECK(words.v[i] == answer.words[i]);
  }
}

// A stream hands out block 0, then block 1, word by word.
void test_stream() {
  ltgnn::PhiloxStream stream(11, 12);
  for (uint64_t block = 0; block < 3; ++block) {
    const ltgnn::Philox4 words = ltgnn::philox(11, 12, block);
    for (int i = 0; i < 4; ++i) CHECK(stream.next() == words.v[i]);
  }
}

void test_below() {
  ltgnn::PhiloxStream stream(13, 14);
  int counts[7] = {};
  constexpr int kDraws = 70000;
  for (int i = 0; i < kDraws; ++i) {
    const uint32_t value = stream.below(7);
    CHECK(value < 7);
    if (value < 7) ++counts[value];
  }
  for (const int count : counts) CHECK(count > 9500 && count < 10500);  // five standard deviations: 460
  ltgnn::PhiloxStream whole(13, 14), plain(13, 14);
  for (int i = 0; i < 10; ++i) CHECK(whole.below(uint64_t{1} << 32) == plain.next());
}

}  // namespace

int main() {
  test_answers();
  test_stream();
  test_below();
  return ltgnn::test::finish();
}
