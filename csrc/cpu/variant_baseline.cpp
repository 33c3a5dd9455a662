// The instruction set that every machine of the architecture has (x86-64: SSE2; ARM: NEON).
#define LTGNN_ISA baseline
#define LTGNN_VECTOR_BYTES 16
#include "cpu/variant.h"

namespace ltgnn {
const CpuKernels& cpu_kernels_baseline() {
  static const CpuKernels table = baseline::make_table("baseline");
  return table;
}
}  // namespace ltgnn
