#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace pear {
namespace {

struct Choice {
  const Kernels* table;
  bool runs_here;
};

const Kernels* choose() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const Choice choices[] = {{&kKernels_avx512, avx512},
                            {&kKernels_avx2, avx2},
                            {&kKernels_sse4, __builtin_cpu_supports("sse4.1") != 0}};
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
