// Entry point of blend shapes.
#include "abi.h"
#include "kernels.h"
#include "thread_pool.h"

namespace pear {
namespace {

constexpr int kPanelsPerTask = 64;

}  // namespace
}  // namespace pear

// Shapes as in blend.h. Writes out.
PEAR_EXPORT int pear_blend(int num_values, int num_coefficients, int batch, const float* base,
                           const void* panels, int half, const float* coefficients, float* out) {
  const pear::Kernels& k = *pear::kernels();
  const pear::BlendArgs args = {num_values, num_coefficients, batch, base,
                                panels,     half != 0,        coefficients, out};
  const int count = (num_values + pear::kBlendPanel - 1) / pear::kBlendPanel;
  pear::parallel_for(count, pear::kPanelsPerTask,
                     [&](int begin, int end) { k.blend_panels(args, begin, end); });
  return pear::kOk;
}
