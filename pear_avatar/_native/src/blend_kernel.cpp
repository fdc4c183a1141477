// Blend shapes. A panel of directions is read once from memory and stays in the nearest cache for
// the whole batch; bodies are done several at a time, so that each load feeds several sums.
#include "blend.h"
#include "kernel_decls.h"

namespace pear {
namespace PEAR_ISA {
namespace {

constexpr int kVectors = kBlendPanel / kLanes;

// Coefficients one after the other would wait for the sum before: spread over this many sums.
constexpr int kChains = 4;

PEAR_INLINE void store_panel(const BlendArgs& args, int panel, int body, const VecF* sum) {
  const int first = panel * kBlendPanel;
  const int count = min_int(kBlendPanel, args.num_values - first);
  float* out = args.out + static_cast<int64_t>(body) * args.num_values + first;
  if (count == kBlendPanel) {
    for (int i = 0; i < kVectors; ++i)
      store(out + i * kLanes, sum[i] + load(args.base + first + i * kLanes));
  } else {
    float values[kBlendPanel];
    for (int i = 0; i < kVectors; ++i) store(values + i * kLanes, sum[i]);
    for (int i = 0; i < count; ++i) out[i] = values[i] + args.base[first + i];
  }
}

template <class Value>
PEAR_INLINE const Value* panel_of(const BlendArgs& args, int panel) {
  const int64_t size = static_cast<int64_t>(args.num_coefficients) * kBlendPanel;
  return static_cast<const Value*>(args.panels) + panel * size;
}

template <class Value>
PEAR_INLINE void blend_one(const BlendArgs& args, int panel, int body) {
  const int num = args.num_coefficients;
  const Value* dirs = panel_of<Value>(args, panel);
  const float* coefficients = args.coefficients + static_cast<int64_t>(body) * num;
  VecF sum[kChains][kVectors] = {};
  int c = 0;
  for (; c + kChains <= num; c += kChains)
    for (int k = 0; k < kChains; ++k)
      for (int i = 0; i < kVectors; ++i)
        sum[k][i] += coefficients[c + k] * load(dirs + (c + k) * kBlendPanel + i * kLanes);
  for (; c < num; ++c)
    for (int i = 0; i < kVectors; ++i)
      sum[0][i] += coefficients[c] * load(dirs + c * kBlendPanel + i * kLanes);
  VecF total[kVectors];
  for (int i = 0; i < kVectors; ++i)
    total[i] = (sum[0][i] + sum[1][i]) + (sum[2][i] + sum[3][i]);
  store_panel(args, panel, body, total);
}

template <int Bodies, class Value>
PEAR_INLINE void blend_some(const BlendArgs& args, int panel, int body) {
  const int num = args.num_coefficients;
  const Value* dirs = panel_of<Value>(args, panel);
  const float* coefficients = args.coefficients + static_cast<int64_t>(body) * num;
  VecF sum[Bodies][kVectors] = {};
  for (int c = 0; c < num; ++c) {
    VecF dir[kVectors];
    for (int i = 0; i < kVectors; ++i) dir[i] = load(dirs + c * kBlendPanel + i * kLanes);
    for (int b = 0; b < Bodies; ++b) {
      const VecF weight = broadcast(coefficients[static_cast<int64_t>(b) * num + c]);
      for (int i = 0; i < kVectors; ++i) sum[b][i] += weight * dir[i];
    }
  }
  for (int b = 0; b < Bodies; ++b) store_panel(args, panel, body + b, sum[b]);
}

template <class Value>
PEAR_INLINE void blend_range(const BlendArgs& args, int begin, int end) {
  constexpr int kMany = kLanes == 16 ? 16 : 4;  // as many sums as there are registers for
  for (int panel = begin; panel < end; ++panel) {
    int body = 0;
    for (; body + kMany <= args.batch; body += kMany) blend_some<kMany, Value>(args, panel, body);
    for (; body + 4 <= args.batch; body += 4) blend_some<4, Value>(args, panel, body);
    for (; body < args.batch; ++body) blend_one<Value>(args, panel, body);
  }
}

}  // namespace

void blend_panels(const BlendArgs& args, int begin, int end) {
  if (args.half)
    blend_range<uint16_t>(args, begin, end);
  else
    blend_range<float>(args, begin, end);
}

}  // namespace PEAR_ISA
}  // namespace pear
