// The text readers on bytes that are nearly right: nothing is read beyond the text (the sanitizers see to
// it), what is refused is refused with a place inside it, and rows are cut where they end.
#include <memory>
#include <string>
#include <string_view>

#include "check.h"
#include "io/delimited.h"
#include "io/libfm.h"
#include "io/lightgcn.h"

namespace ltgnn::test {
namespace {

// A copy whose end is the end of an allocation.
struct Exact {
  explicit Exact(const std::string& text) : size(text.size()), bytes(new char[text.size()]) {
    text.copy(bytes.get(), size);
  }
  std::string_view view() const { return {bytes.get(), size}; }
  std::size_t size;
  std::unique_ptr<char[]> bytes;
};

template <class Parse>
void try_parse(std::string_view text, const Parse& parse) {
  try {
    parse(text);
    CHECK(true);
  } catch (const io::ParseError& error) {
    CHECK(error.offset() <= text.size());
    CHECK(!io::describe(error, text, "f", 7).empty());
  }
}

void test_mutations() {
  const std::string seeds[] = {"1 5:1 9:0.5 qid:3\n-1 6:1 8:1e3 # note\r\n\n0 1:1 2:1",
                               "0 1 2 30\r\n\n4 5\n 6\t7 \n123456789 12345678\n",
                               "123,12345678\n1234567890,123456789012345678\n\n7,0\n17,88\n",
                               "user,item\n\"a \"\"b\"\"\n c\",4\n x , 5\n"};
  const std::string bytes = std::string("0123456789:.-+# \t\r\n\",enaif") + '\0' + "\xff\xef";
  std::uint64_t state = 1;
  const auto draw = [&](std::size_t bound) {  // any generator will do: the same at every run
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>(state >> 33) % bound;
  };
  for (const std::string& seed : seeds) {
    for (int turn = 0; turn < 4000; ++turn) {
      std::string text = seed.substr(0, draw(seed.size() + 1));
      for (std::size_t change = draw(4); change-- > 0 && !text.empty();) {
        text[draw(text.size())] = bytes[draw(bytes.size())];
      }
      const Exact exact(text);
      try_parse(exact.view(), [](std::string_view t) { io::parse_libfm(t, {0, 0, 0}, {-1, 2, 9}); });
      try_parse(exact.view(), [](std::string_view t) { io::parse_lightgcn(t, 2); });
      for (const char* delimiter : {",", " "}) {
        for (const std::size_t num_threads : {1, 3}) {
          try_parse(exact.view(), [&](std::string_view t) {
            io::DelimitedSpec spec;
            spec.delimiter = delimiter;
            io::parse_delimited(t, spec, num_threads);
          });
        }
        const std::size_t whole = io::last_row_end(exact.view(), delimiter);
        CHECK(whole <= exact.size);
        CHECK(whole == 0 || exact.view()[whole - 1] == '\n');
      }
    }
  }
}

void test_last_row_end() {
  CHECK(io::last_row_end("", ",") == 0);
  CHECK(io::last_row_end("1,2", ",") == 0);
  CHECK(io::last_row_end("1,2\n3,", ",") == 4);
  CHECK(io::last_row_end("\"a\nb\",2\n3,4\n", ",") == 12);
  CHECK(io::last_row_end("1,2\n\"a\nb", ",") == 4);        // cut off within quotes
  CHECK(io::last_row_end("1,2\n\"a\nb\"", ",") == 4);      // the row may go on
  CHECK(io::last_row_end("1,\"2\"x\n3,\"\n", ",") == 11);  // malformed: the parser's to report
  CHECK(io::last_row_end("1 \"a\n2 b", " ") == 5);         // blanks: a quote is a byte like any other
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  ltgnn::test::test_mutations();
  ltgnn::test::test_last_row_end();
  return ltgnn::test::finish();
}
