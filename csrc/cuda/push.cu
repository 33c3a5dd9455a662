// push_ on CUDA: rounds of residual pushes over a frontier of rows (kernels/push.h):
//
//   Y_j += R_j;   R_i += (1 - alpha) / D_i R_j for each neighbour i of j;   R_j = 0
//
// A round, all of it proportional to the frontier and its edges, none of it to the graph:
//   1. expand: every edge of the frontier as a pair (target, place in the frontier); a thread per pair;
//   2. take: a group of lanes per frontier row adds R_j to Y_j, keeps it, and clears it;
//   3. a stable radix sort of the pairs by target: a target's contributions lie together, in the frontier's
//      order, so they are added in the same order on every run, as on the CPU;
//   4. accumulate: a group of lanes at the first pair of each target adds all of them, and looks whether the
//      row is above tol;
//   5. scans keep the rows above tol, in order, as the next frontier, and count its edges.
// The host reads both counts once a round (the one wait), since the next round is as large as they say.
//
// Bytes per edge of the frontier: dim * sizeof(R) gathered, 32 to 64 for pairs, sort and scans; per target
// 2 dim * sizeof(R); per frontier row 6 dim * sizeof(R). A round of few rows costs its dozen launches and the
// wait, some 50 microseconds in all, whatever it pushes.
// Known limits: a target that very many frontier rows share is walked by one group; no CUDA graphs.
#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/lane.h"
#include "cuda/launch.cuh"
#include "cuda/push_rows.cuh"
#include "cuda/scan.cuh"
#include "cuda/sort.cuh"

namespace ltgnn::cuda {
namespace {

constexpr const char* kOp = "push_";

// What the host reads after each round.
struct Status {
  int64_t rows;    // of the next frontier
  int64_t edges;   // of those
  unsigned state;  // all residual states that were met
};

// Scratch memory that grows by doubling; its contents are lost when it does.
template <class T>
class Growing {
 public:
  T* get(int64_t count, const Launch& at) {
    if (count > capacity_ || data_ == nullptr) {
      capacity_ = count > 2 * capacity_ ? count : 2 * capacity_;
      data_ = static_cast<T*>(at.scratch(static_cast<size_t>(capacity_ > 0 ? capacity_ : 1) * sizeof(T)));
    }
    return data_;
  }

 private:
  T* data_ = nullptr;
  int64_t capacity_ = 0;
};

inline unsigned blocks_of(int64_t threads) { return blocks_for(threads, 1); }

template <class T, class Index, int V>
class Rounds {
 public:
  Rounds(const PushParams& p, const Launch& at) : p_(p), at_(at), lanes_(lanes_for(p.dim, V)) {
    status_ = static_cast<Status*>(at.scratch(sizeof(Status)));
    check(kOp, cudaMemsetAsync(status_, 0, sizeof(Status), stream()));
  }

  void run() {
    PushOutput& out = *p_.out;
    start();
    while (found_.rows > 0 && out.rounds < p_.max_rounds && found_.rows <= p_.max_pushes - num_pushed_ &&
           !faulty()) {
      round();
      ++out.rounds;
    }
    out.pushes = num_pushed_;
    out.converged = found_.rows == 0 && !(found_.state & kNotFinite) && !faulty();
    finish();
  }

 private:
  cudaStream_t stream() const { return static_cast<cudaStream_t>(at_.stream); }
  bool faulty() const {
    return __atomic_load_n(&at_.faults.record->state, __ATOMIC_ACQUIRE) != FaultRecord::kFree;
  }

  // Sorts pairs by key, stably; the sorted ones lie in keys_out_, values_out_.
  void sort(const uint32_t* keys, const uint32_t* values, int64_t count) {
    if (count > int64_t{UINT32_MAX})
      throw std::runtime_error("push_: a round has " + std::to_string(count) + " edges, more than 2^32 - 1");
    // One round's scratch memory is the next one's.
    struct Reuse {
      Growing<unsigned char>& space;
      const Launch& at;
    } reuse{sort_space_, at_};
    Launch at = at_;
    at.owner = &reuse;
    at.allocate = [](void* owner, size_t bytes) -> void* {
      auto* own = static_cast<Reuse*>(owner);
      return own->space.get(static_cast<int64_t>(bytes), own->at);
    };
    // The number of rows is a key too: of what is not to be followed.
    sort_pairs(kOp, keys, keys_out_.get(count, at_), values, values_out_.get(count, at_), count,
               key_bits(static_cast<uint64_t>(p_.graph.num_rows)), at);
  }

  // Keeps the sorted keys that are flagged, as the next frontier, and tells the host how many rows and edges
  // those are.
  void next_frontier(const uint32_t* flags, int64_t count) {
    const int64_t most = count < p_.graph.num_rows ? count : p_.graph.num_rows;
    int64_t* places = places_.get(count + 1, at_);
    exclusive_scan(kOp, flags, count, places, at_);
    uint32_t* frontier = frontier_.get(most, at_);
    launch(kOp, keep_kernel<uint32_t>, blocks_of(count), kThreadsPerBlock, 0, at_.stream, flags,
           static_cast<const int64_t*>(places), static_cast<const uint32_t*>(keys_out_.get(count, at_)),
           count, frontier);
    uint32_t* spoilt = spoilt_.get(most, at_);
    int64_t* lengths = lengths_.get(most, at_);
    int64_t* offsets = offsets_.get(most + 1, at_);
    launch(kOp, length_kernel, blocks_of(most), kThreadsPerBlock, 0, at_.stream, p_, at_.faults,
           static_cast<const uint32_t*>(frontier), static_cast<const int64_t*>(places + count), most, lengths,
           spoilt);
    exclusive_scan(kOp, static_cast<const int64_t*>(lengths), most, offsets, at_);
    launch(kOp, status_kernel<Status>, 1u, 1u, 0, at_.stream, static_cast<const int64_t*>(places + count),
           static_cast<const int64_t*>(offsets + most), status_);
    check(kOp, cudaMemcpyAsync(&found_, status_, sizeof(Status), cudaMemcpyDeviceToHost, stream()));
    check(kOp, cudaStreamSynchronize(stream()));
  }

  // The first frontier: those of the candidates that are above tol.
  void start() {
    const int64_t count = p_.num_candidates;
    if (count == 0) return;
    uint32_t* keys = keys_.get(count, at_);
    launch(kOp, candidates_kernel, blocks_of(count), kThreadsPerBlock, 0, at_.stream, p_, at_.faults, keys);
    sort(keys, keys, count);
    uint32_t* flags = flags_.get(count, at_);
    launch(kOp, look_kernel<T>, blocks_for(count, lanes_), kThreadsPerBlock, 0, at_.stream, p_,
           static_cast<const uint32_t*>(keys_out_.get(count, at_)), count, flags, &status_->state, lanes_);
    next_frontier(flags, count);
  }

  void round() {
    const int64_t rows = found_.rows, edges = found_.edges;
    const uint32_t* frontier = frontier_.get(rows, at_);
    remember(frontier, rows);
    T* delta = delta_.get(rows * p_.dim, at_);
    uint32_t* spoilt = spoilt_.get(rows, at_);
    uint32_t* keys = keys_.get(edges, at_);
    uint32_t* values = values_.get(edges, at_);
    launch(kOp, expand_kernel<Index>, blocks_of(edges), kThreadsPerBlock, 0, at_.stream, p_, at_.faults,
           frontier, static_cast<const int64_t*>(offsets_.get(rows + 1, at_)), rows, edges, keys, values,
           spoilt);
    launch(kOp, take_kernel<T, V>, blocks_for(rows, lanes_), kThreadsPerBlock, 0, at_.stream, p_, frontier,
           static_cast<const uint32_t*>(spoilt), rows, delta, lanes_);
    found_.rows = found_.edges = 0;
    if (edges == 0) return;  // rows without neighbours
    sort(keys, values, edges);
    uint32_t* flags = flags_.get(edges, at_);
    launch(kOp, accumulate_kernel<T, V>, blocks_for(edges, lanes_), kThreadsPerBlock, 0, at_.stream, p_,
           static_cast<const uint32_t*>(keys_out_.get(edges, at_)),
           static_cast<const uint32_t*>(values_out_.get(edges, at_)), static_cast<const T*>(delta), edges,
           flags, &status_->state, lanes_);
    next_frontier(flags, edges);
  }

  // Appends a frontier to the list of all rows pushed.
  void remember(const uint32_t* frontier, int64_t rows) {
    if (num_pushed_ + rows > pushed_capacity_) {
      pushed_capacity_ = 2 * (num_pushed_ + rows);
      auto* larger =
          static_cast<uint32_t*>(at_.scratch(static_cast<size_t>(pushed_capacity_) * sizeof(uint32_t)));
      copy(larger, pushed_, num_pushed_);
      pushed_ = larger;
    }
    copy(pushed_ + num_pushed_, frontier, rows);
    num_pushed_ += rows;
  }
  void copy(uint32_t* to, const uint32_t* from, int64_t count) {
    if (count > 0)
      check(kOp, cudaMemcpyAsync(to, from, static_cast<size_t>(count) * sizeof(uint32_t),
                                 cudaMemcpyDeviceToDevice, stream()));
  }

  // The two lists of the result.
  void finish() {
    int64_t* pending = p_.out->allocate(p_.out->owner, PushOutput::kPending, found_.rows);
    if (found_.rows > 0)
      launch(kOp, widen_kernel, blocks_of(found_.rows), kThreadsPerBlock, 0, at_.stream,
             static_cast<const uint32_t*>(frontier_.get(found_.rows, at_)), found_.rows, pending);
    int64_t distinct = 0;
    if (num_pushed_ > 0) {
      sort(pushed_, pushed_, num_pushed_);
      uint32_t* flags = flags_.get(num_pushed_, at_);
      int64_t* places = places_.get(num_pushed_ + 1, at_);
      launch(kOp, heads_kernel, blocks_of(num_pushed_), kThreadsPerBlock, 0, at_.stream,
             static_cast<const uint32_t*>(keys_out_.get(num_pushed_, at_)), num_pushed_, flags);
      exclusive_scan(kOp, static_cast<const uint32_t*>(flags), num_pushed_, places, at_);
      check(kOp, cudaMemcpyAsync(&distinct, places + num_pushed_, sizeof(distinct), cudaMemcpyDeviceToHost,
                                 stream()));
      check(kOp, cudaStreamSynchronize(stream()));
    }
    int64_t* touched = p_.out->allocate(p_.out->owner, PushOutput::kTouched, distinct);
    if (distinct > 0)
      launch(kOp, keep_kernel<int64_t>, blocks_of(num_pushed_), kThreadsPerBlock, 0, at_.stream,
             static_cast<const uint32_t*>(flags_.get(num_pushed_, at_)),
             static_cast<const int64_t*>(places_.get(num_pushed_ + 1, at_)),
             static_cast<const uint32_t*>(keys_out_.get(num_pushed_, at_)), num_pushed_, touched);
  }

  const PushParams& p_;
  const Launch& at_;
  int lanes_;
  Status* status_ = nullptr;
  Status found_{};
  Growing<uint32_t> keys_, values_, keys_out_, values_out_, flags_, frontier_, spoilt_;
  Growing<int64_t> places_, lengths_, offsets_;
  Growing<T> delta_;
  Growing<unsigned char> sort_space_;
  uint32_t* pushed_ = nullptr;  // every frontier so far
  int64_t num_pushed_ = 0, pushed_capacity_ = 0;
};

}  // namespace

void push(const PushParams& params, const Launch& at) {
  dispatch_float(params.type, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool wide =
        params.dim > 0 && packable<T>(params.y, params.dim) && packable<T>(params.residual, params.dim);
    dispatch_index(params.graph.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      if (wide)
        Rounds<T, Index, kPackWidth<T>>(params, at).run();
      else
        Rounds<T, Index, 1>(params, at).run();
    });
  });
}

}  // namespace ltgnn::cuda
