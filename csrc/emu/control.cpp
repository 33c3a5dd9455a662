// What the pytest backend `emu` calls by ctypes.
#include "emu/engine.h"

extern "C" {

// order: 0 forward, 1 reverse, 2 shuffled by seed.
__attribute__((visibility("default"))) void ltgnn_emu_set_schedule(int order, unsigned long long seed) {
  ltgnn::emu::set_schedule({static_cast<ltgnn::emu::Schedule::Order>(order), seed});
}

}  // extern "C"
