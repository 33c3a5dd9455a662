// Bugs that can be planted into the CUDA kernels under emulation, to show that the tests find them:
//
//   LTGNN_EMU_BUG=<name> <a test program>
//
// A kernel writes `LTGNN_PLANTED(name) ? wrong : right`. In a real build LTGNN_PLANTED is the constant false.
// csrc/emu/bugs.txt says for each which test must find it, in which build and with what words; CMake makes a
// test of every line, which fails where the bug is not found.
#pragma once

#if defined(LTGNN_EMULATED)

#include <cstdlib>
#include <cstring>

// clang-format off
#define LTGNN_BUGS(X) \
  X(adam_l2_by_row) \
  X(bpr_key_bits) \
  X(bpr_loss_barrier) \
  X(bpr_run_bound) \
  X(cusparse_other_buffer) \
  X(edge_dot_unsummed) \
  X(engine_missing_barrier) \
  X(engine_plain_add) \
  X(find_row_whole_warp) \
  X(hits_first_place) \
  X(hits_plain_or) \
  X(pair_scores_lanes) \
  X(propagate_add_barrier) \
  X(propagate_piece_short) \
  X(propagate_slot_border) \
  X(push_late_row) \
  X(push_past_the_end) \
  X(push_scan_unwaited) \
  X(push_whole_warp) \
  X(sample_chain_cut) \
  X(sample_draws_unwaited) \
  X(sample_round_blind) \
  X(sample_rounds_unwaited) \
  X(sample_stratum_late) \
  X(sample_whole_warp) \
  X(softmax_diagonal) \
  X(softmax_merge_lanes) \
  X(softmax_row_end) \
  X(softmax_skip_turned) \
  X(softmax_weights_barrier) \
  X(step_first_head) \
  X(step_idle_return) \
  X(step_memory_early) \
  X(step_reads_written) \
  X(step_seed_late) \
  X(tile_barrier) \
  X(topk_capacity) \
  X(topk_checked) \
  X(topk_merge_order) \
  X(topk_plain_count) \
  X(topk_sort_barrier) \
  X(topk_split_end) \
  X(weighted_softplus_lanes)
// clang-format on

namespace ltgnn::emu {

#define LTGNN_BUG_ENUM(name) name,
enum class Bug : int { none, LTGNN_BUGS(LTGNN_BUG_ENUM) };
#undef LTGNN_BUG_ENUM

inline Bug wanted_bug() {
  const char* wanted = std::getenv("LTGNN_EMU_BUG");
  if (wanted == nullptr || *wanted == '\0') return Bug::none;
#define LTGNN_BUG_MATCH(name) \
  if (std::strcmp(wanted, #name) == 0) return Bug::name;
  LTGNN_BUGS(LTGNN_BUG_MATCH)
#undef LTGNN_BUG_MATCH
  std::abort();  // no such bug: a test of it would prove nothing
}

inline const Bug planted_bug = wanted_bug();

}  // namespace ltgnn::emu

#define LTGNN_PLANTED(name) (::ltgnn::emu::planted_bug == ::ltgnn::emu::Bug::name)

#else
#define LTGNN_PLANTED(name) false
#endif
