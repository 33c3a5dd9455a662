// How a kernel asks for threads without knowing who provides them: the torch side passes torch's
// pool, the C++ tests pass plain threads or none.
//
// Work is cut into tasks whose number and borders depend on the input alone, and tasks are handed
// out one by one: the result is the same for any number of threads, and uneven tasks balance.
#pragma once

#include <atomic>
#include <cstdint>

namespace ltgnn {

struct Parallel {
  int num_threads = 1;
  // Runs body(context, thread) once for each thread in [0, num_threads), concurrently.
  void (*run)(int num_threads, void (*body)(void* context, int thread), void* context) = nullptr;
  // Multiply-adds below which other threads are not woken. On a busy machine the wait for a thread that has
  // lost its core costs far more than a small job could save.
  int64_t worth = 0;
};

// The threads to use for a job of about `operations` multiply-adds.
inline Parallel worth_threads(const Parallel& parallel, int64_t operations) {
  return operations < parallel.worth ? Parallel{} : parallel;
}

template <class Task>
struct TaskQueue {
  const Task* task;
  int64_t num_tasks;
  std::atomic<int64_t> next{0};

  static void drain(void* context, int thread) {
    auto* queue = static_cast<TaskQueue*>(context);
    for (int64_t i; (i = queue->next.fetch_add(1, std::memory_order_relaxed)) < queue->num_tasks;)
      (*queue->task)(i, thread);
  }
};

// Calls task(i, thread) for each i in [0, num_tasks), in any order, on up to num_threads threads.
template <class Task>
void for_each_task(const Parallel& parallel, int64_t num_tasks, const Task& task) {
  if (parallel.num_threads <= 1 || parallel.run == nullptr || num_tasks <= 1) {
    for (int64_t i = 0; i < num_tasks; ++i) task(i, 0);
    return;
  }
  TaskQueue<Task> queue{&task, num_tasks};
  const int threads = num_tasks < parallel.num_threads ? static_cast<int>(num_tasks) : parallel.num_threads;
  parallel.run(threads, &TaskQueue<Task>::drain, &queue);
}

}  // namespace ltgnn
