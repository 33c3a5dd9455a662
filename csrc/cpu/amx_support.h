// Whether this process may use AMX: the processor has it, and the system keeps its registers.
#pragma once

namespace ltgnn {

// Asks Linux for the tile registers, which it hands out to processes that ask (arch_prctl; all threads have
// them then). Some sandboxes and older kernels refuse.
bool request_amx();

}  // namespace ltgnn
