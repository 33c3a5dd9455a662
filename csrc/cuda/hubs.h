// Long rows ("hubs") are split among groups of lanes, so that no group walks one for long after the others
// are done. Which rows, and where they are cut, depends on the matrix's sizes and pointers alone: no plan, no
// wait for the device, the same sums on every run.
//
// The edges are cut into chunks of hub_degree() edges; a row with more edges than a chunk is a hub. So a hub
// that has edges of a chunk has its first edge or its last one: two rows to look at, found by searching
// indptr.
//
// The numbers. A group has four gathers in flight for each lane and waits about 0.6 us for each round of four
// under load: 256 edges take it some 40 us. A whole launch over 1.6 M edges of 256 bytes takes 140 us at 3
// TB/s, over 16 M edges 1.4 ms: a row of 256 edges ends within that, one of 10,000 would not. Shorter chunks
// would only add searches (about ten rounds of loads from cache each). From 2^24 edges on a chunk grows with
// the graph, for at most 2^16 chunks: a chunk still lasts a few hundredths of the launch, and its scratch
// memory stays at 2^17 rows of dim sums.
#pragma once

#include <cstdint>

#include "core/csr.h"
#include "core/macros.h"

namespace ltgnn::cuda {

constexpr int64_t kSmallestHub = 256;
constexpr int64_t kMaxChunks = int64_t{1} << 16;

// Edges of a chunk; a row with more is a hub.
inline int64_t hub_degree(int64_t num_edges) {
  int64_t degree = kSmallestHub;
  while (degree * kMaxChunks < num_edges) degree *= 2;
  return degree;
}

// None where no row can be a hub.
inline int64_t num_chunks(int64_t num_edges) {
  const int64_t degree = hub_degree(num_edges);
  return num_edges > degree ? (num_edges + degree - 1) / degree : 0;
}

LTGNN_HD bool is_hub(const CsrView& csr, int64_t row, int64_t degree) {
  return valid_row(csr, row) && csr.indptr[row + 1] - csr.indptr[row] > degree;
}

// The part of hub `row` in a chunk. row is -1 where there is none.
struct HubPiece {
  int64_t row, begin, end;
};

// Of `row`, which a search found for `edge`, in the chunk [first, end): pointers that decrease send a search
// anywhere.
LTGNN_HD HubPiece hub_piece(const CsrView& csr, int64_t row, int64_t edge, int64_t first, int64_t end,
                            int64_t degree) {
  if (!is_hub(csr, row, degree)) return {-1, 0, 0};
  const int64_t row_begin = csr.indptr[row], row_end = csr.indptr[row + 1];
  if (edge < row_begin || edge >= row_end) return {-1, 0, 0};
  return {row, row_begin > first ? row_begin : first, row_end < end ? row_end : end};
}

// Which of a chunk's two pieces is the row's: the first belongs to the row that has the chunk's first edge.
LTGNN_HD int hub_slot(int64_t row_begin, int64_t chunk_first) { return row_begin <= chunk_first ? 0 : 1; }

}  // namespace ltgnn::cuda
