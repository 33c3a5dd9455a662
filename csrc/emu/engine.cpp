#include "emu/engine.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "emu/fiber.h"

namespace ltgnn::cuda {
// What `extern __shared__` in cuda/launch.cuh names: the block's shared memory, the largest a GPU has.
alignas(4096) unsigned char ltgnn_shared[228 * 1024];
}  // namespace ltgnn::cuda

namespace ltgnn::emu {

namespace {

constexpr unsigned kWarp = 32;

struct Thread {
  Fiber fiber;
  uint3 at[4];  // by Which
  unsigned number = 0;
  enum class State { kReady, kWarpCollective, kBlockBarrier, kDone } state = State::kReady;
  Exchange* exchange = nullptr;
  Place place;
};

class Engine {
 public:
  Schedule schedule;
  std::string problem;

  bool run(const dim3& grid, const dim3& block, size_t shared_bytes, const std::function<void()>& body);
  void collective(Exchange& exchange, const Place& place);
  void block_barrier(const Place& place);
  unsigned lane() const { return running_->number % kWarp; }
  unsigned coordinate(Which which, int axis) const {
    const uint3& at = running_->at[static_cast<int>(which)];
    return axis == 0 ? at.x : axis == 1 ? at.y : at.z;
  }

 private:
  bool run_block(const dim3& grid, const dim3& block, uint3 index, size_t shared_bytes);
  void prepare_shared(size_t bytes);
  void suspend(Thread::State state, const Place& place);
  void complete(unsigned warp, unsigned mask);
  void fail(const std::string& text);
  std::string describe(const Thread& thread) const;
  static void enter(void* self);

  std::vector<std::unique_ptr<Thread>> threads_;
  unsigned num_threads_ = 0;
  std::vector<unsigned> ready_;
  unsigned waiting_at_barrier_ = 0, done_ = 0;
  Thread* running_ = nullptr;
  Fiber scheduler_;
  const std::function<void()>* body_ = nullptr;
  std::mt19937_64 random_;
  bool failed_ = false;
  // ThreadSanitizer: the host hands over to all threads at the launch, and all threads to the host at the
  // end. Nothing is handed over between blocks: they have no order on a GPU.
  char launch_tag_ = 0, end_tag_ = 0;
};

Engine& engine() {
  static thread_local Engine instance;
  return instance;
}

// ThreadSanitizer: everything before `release` happens before what follows `acquire` of the same tag.
void release([[maybe_unused]] void* tag) {
#if defined(LTGNN_EMU_TSAN)
  __tsan_release(tag);
#endif
}
void acquire([[maybe_unused]] void* tag) {
#if defined(LTGNN_EMU_TSAN)
  __tsan_acquire(tag);
#endif
}

const char* name_of(Collective kind) {
  switch (kind) {
    case Collective::kBlockBarrier: return "__syncthreads";
    case Collective::kWarpBarrier: return "__syncwarp";
    case Collective::kShuffle: return "a shuffle";
    case Collective::kVote: return "a vote";
    case Collective::kMatch: return "a match";
    case Collective::kReduce: return "a reduction";
  }
  return "?";
}

std::string text_of(const Place& place) {
  const char* name = std::strrchr(place.file_name(), '/');
  return std::string(name ? name + 1 : place.file_name()) + ":" + std::to_string(place.line()) + " in " +
         place.function_name();
}

std::string Engine::describe(const Thread& thread) const {
  std::string text = "block " + std::to_string(thread.at[static_cast<int>(Which::kBlock)].x) + " thread " +
                     std::to_string(thread.number) + " (lane " + std::to_string(thread.number % kWarp) + ")";
  if (thread.state == Thread::State::kDone) return text + " has returned";
  char mask[32] = "";
  if (thread.exchange != nullptr) std::snprintf(mask, sizeof(mask), " with mask %08x", thread.exchange->mask);
  const Collective kind = thread.exchange ? thread.exchange->kind : Collective::kBlockBarrier;
  return text + " is at " + name_of(kind) + mask + ", " + text_of(thread.place);
}

void Engine::fail(const std::string& text) {
  if (!failed_) problem = text;
  failed_ = true;
  release(&end_tag_);
}

void Engine::enter(void* self) {
  auto* engine = static_cast<Engine*>(self);
  Thread* thread = engine->running_;
  Fiber::arrived(engine->scheduler_);
  acquire(&engine->launch_tag_);
  (*engine->body_)();
  release(&engine->end_tag_);
  thread->state = Thread::State::kDone;
  ++engine->done_;
  // Nobody may wait for a thread that is gone.
  const unsigned first = thread->number / kWarp * kWarp;
  for (unsigned i = first; i < std::min(first + kWarp, engine->num_threads_); ++i) {
    const Thread& other = *engine->threads_[i];
    if (other.state == Thread::State::kWarpCollective &&
        (other.exchange->mask >> (thread->number - first) & 1u))
      engine->fail("divergent collective: " + engine->describe(other) + ", but " + engine->describe(*thread));
  }
  Fiber::switch_to(thread->fiber, engine->scheduler_, true);
}

// Back to the scheduler until somebody makes this thread ready again.
void Engine::suspend(Thread::State state, const Place& place) {
  Thread* self = running_;
  self->state = state;
  self->place = place;
  Fiber::switch_to(self->fiber, scheduler_);
}

void Engine::block_barrier(const Place& place) {
  Thread* self = running_;
  self->exchange = nullptr;
  release(&waiting_at_barrier_);
  release(&end_tag_);  // it may be abandoned here
  if (++waiting_at_barrier_ == num_threads_) {
    self->state = Thread::State::kBlockBarrier;
    self->place = place;
    for (unsigned i = 0; i < num_threads_; ++i) {
      const Thread& other = *threads_[i];
      if (other.place.line() != place.line() || std::strcmp(other.place.file_name(), place.file_name()) != 0)
        fail("divergent barrier: " + describe(*self) + ", but " + describe(other));
    }
    waiting_at_barrier_ = 0;
    ready_.clear();
    for (unsigned i = 0; i < num_threads_; ++i) {
      threads_[i]->state = Thread::State::kReady;
      ready_.push_back(i);
    }
    Fiber::switch_to(self->fiber, scheduler_);
  } else {
    suspend(Thread::State::kBlockBarrier, place);
  }
  acquire(&waiting_at_barrier_);
}

void Engine::collective(Exchange& exchange, const Place& place) {
  Thread* self = running_;
  const unsigned warp = self->number / kWarp * kWarp, own = 1u << (self->number % kWarp);
  self->exchange = &exchange;
  self->place = place;
  self->state = Thread::State::kWarpCollective;
  release(&threads_[warp]->exchange);
  release(&end_tag_);
  bool all = true;
  if (!(exchange.mask & own)) fail("a lane outside its own mask: " + describe(*self));
  for (unsigned i = 0; i < kWarp; ++i) {
    if (!(exchange.mask >> i & 1u)) continue;
    if (warp + i >= num_threads_) {
      fail("a mask names lane " + std::to_string(i) + ", which the block does not have: " + describe(*self));
      break;
    }
    const Thread& other = *threads_[warp + i];
    if (other.state == Thread::State::kDone)
      fail("divergent collective: " + describe(*self) + ", but " + describe(other));
    else if (other.state != Thread::State::kWarpCollective)
      all = false;
    else if (other.exchange->mask != exchange.mask || other.exchange->kind != exchange.kind ||
             other.place.line() != place.line() ||
             std::strcmp(other.place.file_name(), place.file_name()) != 0) {
      all = false;
      if (other.exchange->mask & own)
        fail("divergent collective: " + describe(*self) + ", but " + describe(other));
    }
  }
  if (all && !failed_) complete(warp, exchange.mask);
  Fiber::switch_to(self->fiber, scheduler_);
  self->exchange = nullptr;
  acquire(&threads_[warp]->exchange);
}

// All lanes of the mask have brought their part: give each its result and let them go on.
void Engine::complete(unsigned warp, unsigned mask) {
  const auto part = [&](unsigned i) -> Exchange& { return *threads_[warp + i]->exchange; };
  unsigned ballot = 0;
  uint64_t reduced = 0;
  bool first = true;
  for (unsigned i = 0; i < kWarp; ++i) {
    if (!(mask >> i & 1u)) continue;
    const Exchange& own = part(i);
    if (own.value != 0) ballot |= 1u << i;
    if (own.kind != Collective::kReduce) continue;
    const auto a = static_cast<int64_t>(reduced), b = static_cast<int64_t>(own.value);
    const int64_t all[5] = {a + b, std::min(a, b), std::max(a, b), a & b, a | b};
    reduced = static_cast<uint64_t>(first ? b : all[own.reduction]);
    first = false;
  }
  for (unsigned i = 0; i < kWarp; ++i) {
    if (!(mask >> i & 1u)) continue;
    Exchange& own = part(i);
    if (own.kind == Collective::kShuffle) {
      // A lane outside the mask has nothing to give: on the GPU its value is undefined.
      if (mask >> own.source & 1u)
        own.result = part(static_cast<unsigned>(own.source)).value;
      else
        fail("a shuffle reads lane " + std::to_string(own.source) +
             ", which takes no part: " + describe(*threads_[warp + i]));
    } else if (own.kind == Collective::kVote) {
      own.result = ballot;
    } else if (own.kind == Collective::kReduce) {
      own.result = reduced;
    } else if (own.kind == Collective::kMatch) {
      for (unsigned j = 0; j < kWarp; ++j)
        if ((mask >> j & 1u) && part(j).value == own.value) own.result |= uint64_t{1} << j;
    }
  }
  for (unsigned i = 0; i < kWarp; ++i) {
    if (!(mask >> i & 1u)) continue;
    threads_[warp + i]->state = Thread::State::kReady;
    ready_.push_back(warp + i);
  }
}

void Engine::prepare_shared(size_t bytes) {
#if defined(LTGNN_EMU_TSAN)
  renew_pages(cuda::ltgnn_shared, sizeof(cuda::ltgnn_shared));
#endif
  std::memset(cuda::ltgnn_shared, 0xFF, bytes);
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(cuda::ltgnn_shared, sizeof(cuda::ltgnn_shared));
  ASAN_POISON_MEMORY_REGION(cuda::ltgnn_shared + bytes, sizeof(cuda::ltgnn_shared) - bytes);
#endif
}

bool Engine::run_block(const dim3& grid, const dim3& block, uint3 index, size_t shared_bytes) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(cuda::ltgnn_shared, sizeof(cuda::ltgnn_shared));
#endif
  prepare_shared(shared_bytes);
  num_threads_ = block.x * block.y * block.z;
  while (threads_.size() < num_threads_) threads_.push_back(std::make_unique<Thread>());
#if defined(LTGNN_EMU_TSAN)
  // Thread i of one block and thread i of the next must not pass for the same thread.
  std::rotate(threads_.begin(), threads_.begin() + 1, threads_.end());
#endif
  ready_.clear();
  ready_.reserve(num_threads_);
  waiting_at_barrier_ = done_ = 0;
  for (unsigned i = 0; i < num_threads_; ++i) {
    Thread& thread = *threads_[i];
    const uint3 at[4] = {{i % block.x, i / block.x % block.y, i / (block.x * block.y)},
                         index,
                         {block.x, block.y, block.z},
                         {grid.x, grid.y, grid.z}};
    std::copy(at, at + 4, thread.at);
    thread.number = i;
    thread.state = Thread::State::kReady;
    thread.exchange = nullptr;
    thread.fiber.start(&Engine::enter, this);
    ready_.push_back(i);
  }
  release(&launch_tag_);
  while (done_ < num_threads_ && !failed_) {
    if (ready_.empty()) {
      std::string text = "deadlock:";
      for (unsigned i = 0, shown = 0; i < num_threads_ && shown < 4; ++i)
        if (threads_[i]->state != Thread::State::kDone && ++shown) text += " " + describe(*threads_[i]) + ";";
      for (unsigned i = 0, shown = 0; i < num_threads_ && shown < 1; ++i)
        if (threads_[i]->state == Thread::State::kDone && ++shown) text += " " + describe(*threads_[i]) + ";";
      fail(text);
      break;
    }
    size_t pick = 0;
    if (schedule.order == Schedule::Order::kForward)
      pick = static_cast<size_t>(std::min_element(ready_.begin(), ready_.end()) - ready_.begin());
    else if (schedule.order == Schedule::Order::kReverse)
      pick = static_cast<size_t>(std::max_element(ready_.begin(), ready_.end()) - ready_.begin());
    else
      pick = random_() % ready_.size();
    running_ = threads_[ready_[pick]].get();
    ready_[pick] = ready_.back();
    ready_.pop_back();
    Fiber::switch_to(scheduler_, running_->fiber);
  }
  running_ = nullptr;
  return !failed_;
}

bool Engine::run(const dim3& grid, const dim3& block, size_t shared_bytes,
                 const std::function<void()>& body) {
  body_ = &body;
  failed_ = false;
  problem.clear();
  random_.seed(schedule.seed);
  scheduler_.adopt_thread();
  const size_t num_blocks = size_t{grid.x} * grid.y * grid.z;
  const bool shuffled = schedule.order == Schedule::Order::kShuffled;
  std::vector<size_t> order(shuffled ? num_blocks : 0);
  std::iota(order.begin(), order.end(), size_t{0});
  std::shuffle(order.begin(), order.end(), random_);
  bool good = true;
  for (size_t k = 0; k < num_blocks && good; ++k) {
    const size_t i = shuffled                                      ? order[k]
                     : schedule.order == Schedule::Order::kReverse ? num_blocks - 1 - k
                                                                   : k;
    const uint3 index{static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                      static_cast<unsigned>(i / (size_t{grid.x} * grid.y))};
    good = run_block(grid, block, index, shared_bytes);
  }
  acquire(&end_tag_);
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(cuda::ltgnn_shared, sizeof(cuda::ltgnn_shared));
#endif
  return good;
}

}  // namespace

void set_schedule(const Schedule& schedule) { engine().schedule = schedule; }
bool run_grid(const dim3& grid, const dim3& block, size_t shared_bytes, const std::function<void()>& body) {
  return engine().run(grid, block, shared_bytes, body);
}
const std::string& last_problem() { return engine().problem; }
void collective(Exchange& exchange, const Place& place) { engine().collective(exchange, place); }
void block_barrier(const Place& place) { engine().block_barrier(place); }
unsigned lane() { return engine().lane(); }
unsigned coordinate(Which which, int axis) { return engine().coordinate(which, axis); }

}  // namespace ltgnn::emu
