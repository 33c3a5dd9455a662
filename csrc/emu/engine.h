// Runs CUDA kernels on the CPU: every CUDA thread of a block is a fiber, blocks run one after another, and a
// collective (barrier, shuffle, vote) suspends a fiber until all threads it names have arrived. Tests only.
//
// Found here: wrong results of any schedule, a missing barrier (the order in which threads run is shuffled),
// a collective that not all of its threads reach (an error with place and lane), reads of shared memory that
// nobody wrote (it starts as 0xFF), and under sanitizers out-of-bounds accesses and data races, each CUDA
// thread being a thread of its own for ThreadSanitizer.
// Not found here: what depends on the GPU's memory model (atomics and fences are sequentially consistent),
// grid-wide synchronisation (there is none), inline PTX (there must be a C++ twin), contraction to fused
// multiply-add (results differ in the last bits), speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace ltgnn::emu {

using Place = std::source_location;

// The order in which runnable threads of a block, and the blocks themselves, take their turns.
struct Schedule {
  enum class Order { kForward, kReverse, kShuffled };
  Order order = Order::kForward;
  uint64_t seed = 0;
};
void set_schedule(const Schedule& schedule);

// threadIdx and its kin: each member reads the running thread's coordinate.
enum class Which : int { kThread, kBlock, kBlockDim, kGridDim };
unsigned coordinate(Which which, int axis);
template <Which which, int axis>
struct Coordinate {
  operator unsigned() const { return coordinate(which, axis); }
};
template <Which which>
struct Coordinates {
  Coordinate<which, 0> x{};
  Coordinate<which, 1> y{};
  Coordinate<which, 2> z{};
};

// Runs body once for every thread of the grid. Returns false where a collective went wrong; `last_problem`
// says how.
bool run_grid(const dim3& grid, const dim3& block, size_t shared_bytes, const std::function<void()>& body);
const std::string& last_problem();

// ---- what kernels call, through the names of CUDA (include/cuda_runtime.h) ----
enum class Collective : int { kBlockBarrier, kWarpBarrier, kShuffle, kVote, kMatch, kReduce };

// What one lane brings to a collective, and what it gets.
struct Exchange {
  Collective kind;
  unsigned mask;        // the lanes that take part
  uint64_t value = 0;   // shuffles, matches: bits; votes: 0 or 1; reductions: the number
  int source = 0;       // shuffles: the lane of the warp to read
  int reduction = 0;    // 0 sum, 1 min, 2 max, 3 and, 4 or
  uint64_t result = 0;  // votes: ballot; matches: mask
};
void collective(Exchange& exchange, const Place& place);
void block_barrier(const Place& place);
unsigned lane();

}  // namespace ltgnn::emu
