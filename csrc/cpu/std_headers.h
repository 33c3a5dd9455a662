// Every standard header that a CPU kernel uses, for inclusion before the target is switched (variant.h).
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
