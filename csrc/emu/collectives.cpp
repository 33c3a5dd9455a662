// Barriers, shuffles, votes: where threads of a block wait for each other, and what they then get.
#include <algorithm>
#include <cstring>

#include "emu/scheduler.h"

namespace ltgnn::emu {

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
  char* const tag = &barrier_tags_[barrier_turn_ % 2];
  release(tag);
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
    ++barrier_turn_;
    ready_.clear();
    for (unsigned i = 0; i < num_threads_; ++i) {
      threads_[i]->state = Thread::State::kReady;
      ready_.push_back(i);
    }
    Fiber::switch_to(self->fiber, scheduler_);
  } else {
    suspend(Thread::State::kBlockBarrier, place);
  }
  acquire(tag);
}

void Engine::collective(Exchange& exchange, const Place& place) {
  Thread* self = running_;
  const unsigned warp = self->number / kWarp * kWarp, own = 1u << (self->number % kWarp);
  self->exchange = &exchange;
  self->place = place;
  self->state = Thread::State::kWarpCollective;
  release(&self->brought[++self->turn % Thread::kTags]);
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
  acquire(self->taken);
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
  void* const handed = &running_->handed[running_->turn % Thread::kTags];
  for (unsigned i = 0; i < kWarp; ++i)
    if (mask >> i & 1u) acquire(&threads_[warp + i]->brought[threads_[warp + i]->turn % Thread::kTags]);
  release(handed);
  for (unsigned i = 0; i < kWarp; ++i) {
    if (!(mask >> i & 1u)) continue;
    Thread& thread = *threads_[warp + i];
    thread.taken = handed;
    thread.state = Thread::State::kReady;
    ready_.push_back(warp + i);
  }
}

}  // namespace ltgnn::emu
