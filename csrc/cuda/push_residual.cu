// push_residual_ on CUDA. The mathematics of a row is kernels/push.h, the same text as on the CPU:
//
//   R_r = alpha e0_r / sqrt(D_r) + (1 - alpha) / D_r ( sum_{c in row r} y_c + [self loops] y_r ) - y_r
//
// Mapping: one group of lanes per target row, lanes over columns, edges in order, four gathers of 16 bytes in
// flight for each lane.
// Bytes per edge: dim * sizeof(y) gathered + one index (4 or 8); per row 3 dim * sizeof(y) more.
// Expected floor for the whole graph at dim 64 in float32: 260 bytes an edge; at the 3.0 TB/s that an H100
// copies, 11.5 G edges/s.
// Known limit: a hub row is walked by one group, however long it is; of a batch of changed edges it is the
// longest row that decides.
#include <cmath>

#include "core/dispatch.h"
#include "cuda/fault.cuh"
#include "cuda/kernels.h"
#include "cuda/lane.h"
#include "cuda/launch.cuh"

namespace ltgnn::cuda {
namespace {

struct DeviceSquareRoot {
  LTGNN_HD float operator()(float x) const { return sqrtf(x); }
  LTGNN_HD double operator()(double x) const { return sqrt(x); }
};

template <class T, class Index, int V>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocksPerProcessor)
    push_residual_kernel(const __grid_constant__ PushResidualParams params, FaultSink faults, int lanes) {
  using Tile = LaneTile<T, V>;
  for_each_row(params.num_targets, lanes, [&](int64_t k, int lane) {
    const int64_t row = params.rows ? params.rows[k] : k;
    if (row < 0 || row >= params.graph.num_rows) {
      if (lane == 0) report_id(faults, IdName::kRows, k, row, params.graph.num_rows);
      return;
    }
    const bool usable = valid_row(params.graph, row);
    if (!usable && lane == 0) report_row_range(faults, params.graph, row);
    for (int64_t column = int64_t{lane} * V; column < params.dim; column += int64_t{lanes} * V) {
      int64_t fault = -1;
      if (usable) fault = push_residual_row<Tile, T, Index>(params, row, column, DeviceSquareRoot{});
      if (usable && fault < 0) continue;
      if (usable && lane == 0)
        report_index(faults, params.graph, fault,
                     static_cast<int64_t>(static_cast<const Index*>(params.graph.indices)[fault]), row);
      Tile tile;
      for (int i = 0; i < V; ++i) tile.acc[i] = static_cast<T>(NAN);
      tile.store(static_cast<T*>(params.residual) + row * params.dim + column);
    }
  });
}

template <class T, class Index, int V>
void start(const PushResidualParams& params, const Launch& at) {
  const int lanes = lanes_for(params.dim, V);
  launch("push_residual_", push_residual_kernel<T, Index, V>, blocks_for(params.num_targets, lanes),
         kThreadsPerBlock, 0, at.stream, params, at.faults, lanes);
}

}  // namespace

void push_residual(const PushResidualParams& params, const Launch& at) {
  if (params.num_targets == 0) return;
  dispatch_float(params.type, [&](auto type) {
    using T = typename decltype(type)::type;
    constexpr int kWide = kPackWidth<T>;
    const bool wide = params.dim > 0 && packable<T>(params.y, params.dim) &&
                      packable<T>(params.e0, params.dim) && packable<T>(params.residual, params.dim);
    dispatch_index(params.graph.index_type, [&](auto index) {
      using Index = typename decltype(index)::type;
      if (wide)
        start<T, Index, kWide>(params, at);
      else
        start<T, Index, 1>(params, at);
    });
  });
}

}  // namespace ltgnn::cuda
