// epoch_pairs on CUDA: entries of a matrix in a keyed random order. The mathematics of a pair is
// kernels/epoch_pairs.h, the same text as on the CPU.
//
// Mapping: one thread per pair, whose bisection in indptr is a chain of log2(rows) gathers; neighbouring
// threads share the first halvings. Bytes per pair: 16 written, and about log2(rows) sectors of 32 read, most
// of them from the second-level cache, which holds the upper part of the search. Latency binds.
#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/launch.cuh"

namespace ltgnn::cuda {
namespace {

template <class Index>
__device__ void write_pair(const EpochPairsParams& p, const FaultSink& faults, int64_t k, int64_t row,
                           int64_t entry) {
  const int64_t column = column_of<Index>(p.csr, entry);
  const bool good = column >= 0 && column < p.csr.num_cols;
  p.out_rows[k] = row;
  p.out_columns[k] = good ? column : -1;
  if (!good) report_index(faults, p.csr, entry, row);
}

template <class Index>
__device__ void ordered_pair(const EpochPairsParams& p, const FaultSink& faults, int64_t k) {
  const int64_t entry = entry_at(p.order, p.begin + k);
  int64_t row = 0;
  for (int64_t length = p.csr.num_rows; length > 1;) {
    const int64_t half = length / 2;
    row = halve(p.csr, entry, row, half);
    length -= half;
  }
  if (valid_row(p.csr, row) && p.csr.indptr[row] <= entry && entry < p.csr.indptr[row + 1])
    return write_pair<Index>(p, faults, k, row, entry);
  p.out_rows[k] = p.out_columns[k] = -1;
  report_row_pointers(faults, p.csr, row);
}

template <class Index>
__device__ void balanced_pair(const EpochPairsParams& p, const FaultSink& faults, int64_t k) {
  PhiloxStream random(p.seed, static_cast<uint64_t>(p.begin + k));
  const int64_t place = drawn_place(p, random);
  const int64_t row = p.rows[place];
  const bool is_row = static_cast<uint64_t>(row) < static_cast<uint64_t>(p.csr.num_rows);
  p.out_rows[k] = is_row ? row : -1;
  p.out_columns[k] = -1;
  if (!is_row) return report_id(faults, IdName::kRows, place, row, p.csr.num_rows);
  if (!valid_row(p.csr, row)) return report_row_pointers(faults, p.csr, row);
  const int64_t begin = p.csr.indptr[row], degree = p.csr.indptr[row + 1] - begin;
  if (degree == 0) return;
  const auto entry = begin + static_cast<int64_t>(random.below(static_cast<uint64_t>(degree)));
  write_pair<Index>(p, faults, k, row, entry);
}

template <class Index, bool kOrdered>
__global__ void __launch_bounds__(kThreadsPerBlock)
    epoch_pairs_kernel(const __grid_constant__ EpochPairsParams p, FaultSink faults) {
  const int64_t first = int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x;
  if (first == 0) check_ends(faults, p.csr);
  for (int64_t k = first; k < p.count; k += int64_t{gridDim.x} * kThreadsPerBlock) {
    if constexpr (kOrdered)
      ordered_pair<Index>(p, faults, k);
    else
      balanced_pair<Index>(p, faults, k);
  }
}

}  // namespace

void epoch_pairs(const EpochPairsParams& p, const Launch& at) {
  dispatch_index(p.csr.index_type, [&](auto index) {
    using Index = typename decltype(index)::type;
    const auto kernel = p.rows ? epoch_pairs_kernel<Index, false> : epoch_pairs_kernel<Index, true>;
    launch("epoch_pairs", kernel, blocks_for(p.count, 1), kThreadsPerBlock, 0, at.stream, p, at.faults);
  });
}

}  // namespace ltgnn::cuda
