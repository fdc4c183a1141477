#include <cstdlib>
#include <cstring>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace pear {
namespace {

struct Choice {
  const Kernels* table;
  bool runs_here;
};

#if defined(__x86_64__)

struct Features {
  bool sse4, avx2, avx512;
};

// Asks the processor what it can do and the system which registers it saves. (Not every compiler
// runtime implements __builtin_cpu_supports.)
Features detect() {
  constexpr unsigned kSse41 = 1u << 19, kFma = 1u << 12, kF16c = 1u << 29;
  constexpr unsigned kOsSavesRegisters = 1u << 27;
  constexpr unsigned kAvx2 = 1u << 5;
  constexpr unsigned kAvx512 = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  constexpr unsigned kYmmSaved = 0x6, kZmmSaved = 0xe6;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return {};
  const unsigned basic = c;
  unsigned saved = 0;
  if (basic & kOsSavesRegisters) __asm__ volatile("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) b = 0;
  const bool avx2 =
      (basic & kFma) && (basic & kF16c) && (b & kAvx2) && (saved & kYmmSaved) == kYmmSaved;
  const bool avx512 = avx2 && (b & kAvx512) == kAvx512 && (saved & kZmmSaved) == kZmmSaved;
  return {(basic & kSse41) != 0, avx2, avx512};
}

#endif

const Kernels* choose() {
#if defined(__x86_64__)
  const Features has = detect();
  const Choice choices[] = {{&kKernels_avx512, has.avx512},
                            {&kKernels_avx2, has.avx2},
                            {&kKernels_sse4, has.sse4}};
#else
  const Choice choices[] = {{&kKernels_generic, true}};
#endif
  const char* forced = std::getenv("PEAR_AVATAR_ISA");
  if (forced != nullptr && *forced == '\0') forced = nullptr;
  for (const Choice& choice : choices)
    if (choice.runs_here && (forced == nullptr || std::strcmp(forced, choice.table->name) == 0))
      return choice.table;
  return nullptr;
}

}  // namespace

const Kernels* kernels() {
  static const Kernels* const chosen = choose();
  return chosen;
}

}  // namespace pear
