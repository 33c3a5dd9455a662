// Batches for the tests of accidental_hits, and the bits that must come of them.
#pragma once

#include <algorithm>
#include <vector>

#include "graphs.h"
#include "kernels/accidental_hits.h"

namespace ltgnn::test {

// Users with all items, a few or none, and items that stand in several places. Lists hold item numbers
// plus 7.
struct HitsCase {
  static constexpr int64_t kItems = 400;
  Graph graph;
  std::vector<int64_t> users, items;
  std::vector<uint32_t> out;
  AccidentalHitsParams params;

  HitsCase(int64_t batch, DType index, Random& random) : graph(random_graph(60, kItems, 40, random)) {
    for (int64_t edge = 0; edge < graph.num_edges(); ++edge)
      graph.set_index(edge, graph.wide[static_cast<size_t>(edge)] + 7);
    users.resize(static_cast<size_t>(batch));
    items.resize(users.size());
    for (size_t b = 0; b < users.size(); ++b) {
      users[b] = b % 5 == 0 ? 0 : below(random, graph.num_rows());
      items[b] = b % 3 == 0 ? below(random, 9) : below(random, kItems);
    }
    out.resize(users.size() * static_cast<size_t>(hit_words(batch)));
    params.csr = graph.view(index);
    params.users = users.data();
    params.items = items.data();
    params.batch = batch;
    params.first_item = 7;
    params.out = out.data();
  }
  std::vector<uint32_t> expected() const {
    const auto words = static_cast<size_t>(hit_words(params.batch));
    std::vector<uint32_t> bits(out.size(), 0);
    for (size_t b = 0; b < users.size(); ++b) {
      const auto user = static_cast<size_t>(users[b]);
      const int64_t *begin = graph.wide.data() + graph.indptr[user],
                    *end = graph.wide.data() + graph.indptr[user + 1];
      for (size_t j = 0; j < items.size(); ++j)
        if (std::find(begin, end, items[j] + 7) != end) bits[b * words + j / 32] |= uint32_t{1} << j % 32;
    }
    return bits;
  }
};

}  // namespace ltgnn::test
