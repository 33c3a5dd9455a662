// The emulation itself: CUDA's collectives do what CUDA says, and what is wrong is found and named.
#include <cuda_runtime.h>

#include <string>
#include <vector>

#include "check.h"
#include "cuda/launch.cuh"
#include "emu.h"
#include "emu/bugs.h"

namespace ltgnn::test {
namespace {

constexpr unsigned kAll = 0xFFFFFFFFu;

// Runs kernel(args...) and returns what went wrong, or "".
template <class... Expected, class... Args>
std::string problem_of(void (*kernel)(Expected...), unsigned blocks, unsigned threads, size_t shared,
                       Args... args) {
  try {
    cuda::launch("kernel", kernel, blocks, threads, shared, nullptr, args...);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const char* part) {
  if (text.find(part) != std::string::npos) return true;
  std::fprintf(stderr, "expected '%s' in '%s'\n", part, text.c_str());
  return false;
}

// ---- coordinates ----
void coordinates_kernel(int* out) {
  out[blockIdx.x * blockDim.x + threadIdx.x] =
      static_cast<int>(gridDim.x * 1000 + blockIdx.x * 100 + threadIdx.x);
}

void test_coordinates() {
  std::vector<int> out(3 * 40, -1);
  CHECK(problem_of(coordinates_kernel, 3, 40, 0, out.data()).empty());
  bool good = true;
  for (int block = 0; block < 3; ++block)
    for (int thread = 0; thread < 40; ++thread)
      good = good && out[static_cast<size_t>(block * 40 + thread)] == 3000 + block * 100 + thread;
  CHECK(good);
}

// ---- warp collectives: every lane's answers in one row ----
constexpr int kAnswers = 12;
void collectives_kernel(int64_t* out) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int64_t* row = out + threadIdx.x * kAnswers;
  row[0] = __shfl_sync(kAll, lane * 10, 5);
  row[1] = __shfl_sync(kAll, lane * 10, 13, 8);
  row[2] = __shfl_xor_sync(kAll, lane, 3);
  row[3] = __shfl_up_sync(kAll, lane, 2u, 8);
  row[4] = __shfl_down_sync(kAll, lane, 2u, 8);
  row[5] = static_cast<int64_t>(__ballot_sync(kAll, lane % 3 == 0));
  row[6] = __any_sync(kAll, lane == 31);
  row[7] = __all_sync(kAll, lane < 31);
  row[8] = static_cast<int64_t>(__match_any_sync(kAll, lane / 8));
  row[9] = __reduce_add_sync(kAll, lane);
  row[10] = __reduce_min_sync(kAll, -lane);
  // The two halves of a warp apart, at different times.
  const unsigned half = lane < 16 ? 0x0000FFFFu : 0xFFFF0000u;
  if (lane < 16) __syncwarp(half);
  row[11] = __reduce_max_sync(half, lane);
}

void test_collectives() {
  for_each_schedule([] {
    std::vector<int64_t> out(64 * kAnswers, -1);
    CHECK(problem_of(collectives_kernel, 1, 64, 0, out.data()).empty());
    int64_t thirds = 0;
    for (int lane = 0; lane < 32; lane += 3) thirds |= int64_t{1} << lane;
    int wrong = 0;
    for (int thread = 0; thread < 64; ++thread) {
      const int64_t lane = thread % 32, group = lane / 8 * 8;
      const int64_t expected[kAnswers] = {50,
                                          (group + 5) * 10,
                                          lane ^ 3,
                                          lane - group < 2 ? lane : lane - 2,
                                          lane - group > 5 ? lane : lane + 2,
                                          thirds,
                                          1,
                                          0,
                                          int64_t{0xFF} << group,
                                          496,
                                          -31,
                                          lane < 16 ? 15 : 31};
      for (int i = 0; i < kAnswers; ++i)
        wrong += out[static_cast<size_t>(thread * kAnswers + i)] != expected[i];
    }
    CHECK(wrong == 0);
  });
}

// ---- atomics ----
void atomics_kernel(unsigned* sum, float* total, int* most, unsigned long long* bits) {
  if (LTGNN_PLANTED(engine_plain_add))
    *sum += threadIdx.x;
  else
    atomicAdd(sum, static_cast<unsigned>(threadIdx.x));
  atomicAdd(total, 0.5f);
  atomicMax(most, static_cast<int>(threadIdx.x));
  atomicOr(bits, 1ull << threadIdx.x % 64);
}

void test_atomics() {
  unsigned sum = 0;
  float total = 0;
  int most = -1;
  unsigned long long bits = 0;
  CHECK(problem_of(atomics_kernel, 2, 64, 0, &sum, &total, &most, &bits).empty());
  CHECK(sum == 2 * 2016 && total == 64.0f && most == 63 && bits == ~0ull);
}

// ---- shared memory: each thread reads what its neighbour wrote ----
void neighbour_kernel(int* out, bool barrier) {
  int* shared = cuda::shared_memory<int>();
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (barrier && !LTGNN_PLANTED(engine_missing_barrier)) __syncthreads();
  out[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
}
void poison_kernel(unsigned* out) { *out = cuda::shared_memory<unsigned>()[3]; }

void test_shared_memory() {
  bool wrong_without_barrier = false;
  for_each_schedule([&] {
    std::vector<int> out(64);
    CHECK(problem_of(neighbour_kernel, 1, 64, 256, out.data(), true).empty());
    for (int i = 0; i < 64; ++i) CHECK(out[static_cast<size_t>(i)] == (i + 1) % 64);
#if !defined(LTGNN_EMU_TSAN)
    CHECK(problem_of(neighbour_kernel, 1, 64, 256, out.data(), false).empty());
    for (int i = 0; i < 64; ++i) wrong_without_barrier |= out[static_cast<size_t>(i)] != (i + 1) % 64;
#else
    wrong_without_barrier = true;
#endif
  });
  CHECK(wrong_without_barrier);
  unsigned seen = 0;
  CHECK(problem_of(poison_kernel, 1, 1, 16, &seen).empty());
  CHECK(seen == 0xFFFFFFFFu);
}

// ---- what must not be ----
void half_warp_kernel() {
  if (threadIdx.x % 32 < 16) __syncwarp();
}
void early_return_kernel() {
  if (threadIdx.x == 7) return;
  __syncthreads();
}
void two_places_kernel() {
  if (threadIdx.x % 2 == 0)
    __ballot_sync(kAll, true);
  else
    __ballot_sync(kAll, true);
}
void two_barriers_kernel() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}
void outside_mask_kernel() { __syncwarp(0xFFFFu); }
void absent_source_kernel(int* out) {
  if (threadIdx.x < 16) *out = __shfl_sync(0xFFFFu, 1, 20);
}
void missing_lanes_kernel() { __syncwarp(); }
void crossed_kernel() {
  if (threadIdx.x < 16)
    __syncthreads();
  else
    __syncwarp();
}

void test_problems() {
  for_each_schedule([] {
    int out = 0;
    const std::string half = problem_of(half_warp_kernel, 1, 32, 0);
    CHECK(contains(half, "divergent collective") && contains(half, "test_emu_engine.cpp:") &&
          contains(half, "half_warp_kernel") && contains(half, "(lane ") && contains(half, "has returned"));
    CHECK(contains(problem_of(early_return_kernel, 1, 64, 0), "thread 7 (lane 7) has returned"));
    CHECK(contains(problem_of(two_places_kernel, 1, 32, 0), "divergent collective"));
    CHECK(contains(problem_of(two_barriers_kernel, 1, 64, 0), "divergent barrier"));
    CHECK(contains(problem_of(outside_mask_kernel, 1, 32, 0), "a lane outside its own mask"));
    CHECK(contains(problem_of(absent_source_kernel, 1, 32, 0, &out), "a shuffle reads lane 20"));
    CHECK(contains(problem_of(missing_lanes_kernel, 1, 16, 0), "which the block does not have"));
    CHECK(contains(problem_of(crossed_kernel, 1, 32, 0), "deadlock"));
    CHECK(problem_of(coordinates_kernel, 1, 1, 0, &out).empty());  // and the next launch is well
  });
}

void test_limits() {
  CHECK(contains(problem_of(half_warp_kernel, 1, 1025, 0), "invalid argument"));
  CHECK(contains(problem_of(half_warp_kernel, 1, 16, 228 * 1024), "invalid argument"));
  unsigned seen = 0;
  CHECK(problem_of(poison_kernel, 1, 1, 100 * 1024, &seen).empty());
}

}  // namespace
}  // namespace ltgnn::test

int main() {
  using namespace ltgnn::test;
  test_coordinates();
  test_collectives();
  test_atomics();
  test_shared_memory();
  test_problems();
  test_limits();
  return finish();
}
