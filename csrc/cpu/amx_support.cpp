#include "cpu/amx_support.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ltgnn {

bool request_amx() {
  constexpr unsigned kOsSaves = 1u << 27;                 // leaf 1, ecx: XGETBV may be used
  constexpr unsigned kTile = 1u << 24, kBf16 = 1u << 22;  // leaf 7, edx
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & kOsSaves)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & kTile) || !(d & kBf16)) return false;
  unsigned saved = 0, unused = 0;
  asm volatile("xgetbv" : "=a"(saved), "=d"(unused) : "c"(0));
  constexpr unsigned kTileState = 3u << 17;  // configuration and data
  if ((saved & kTileState) != kTileState) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of asm/prctl.h
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace ltgnn
#else
namespace ltgnn {
bool request_amx() { return false; }
}  // namespace ltgnn
#endif
