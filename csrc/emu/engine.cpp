#include "emu/engine.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <random>
#include <vector>

#include "emu/scheduler.h"

namespace ltgnn::cuda {
// What `extern __shared__` in cuda/launch.cuh names: the block's shared memory, the largest a GPU has.
alignas(4096) unsigned char ltgnn_shared[228 * 1024];
}  // namespace ltgnn::cuda

namespace ltgnn::emu {

namespace {

Engine& engine() {
  static thread_local Engine instance;
  return instance;
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

}  // namespace

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
