// What a picture of a fit is compared with, and the loss of its coverage. Plain loops: they are
// bound by memory.
#include <cmath>
#include <cstdint>

#include "abi.h"

// color (3, P) of a person, mask and valid (P,), background (3,), prediction (3, P), all in [0, 1].
// Writes wanted (3, P): the person over the background, and the prediction where valid <= 1/2.
PEAR_EXPORT int pear_target_over(int pixels, const float* color, const float* mask,
                                 const float* valid, const float* background,
                                 const float* prediction, float* wanted) {
  for (int c = 0; c < 3; ++c) {
    const int64_t plane = static_cast<int64_t>(c) * pixels;
    const float *from = color + plane, *drawn = prediction + plane;
    const float behind = background[c];
    float* to = wanted + plane;
    for (int i = 0; i < pixels; ++i) {
      // Exact at both ends, so that empty pixels equal an empty drawing.
      const float away = from[i] - behind;
      const float mixed = mask[i] < 0.5f ? behind + mask[i] * away : from[i] - away * (1 - mask[i]);
      to[i] = valid[i] > 0.5f ? mixed : drawn[i];
    }
  }
  return pear::kOk;
}

// Writes total = sum of |alpha - mask| valid, and, unless null, its gradient by alpha times scale.
PEAR_EXPORT int pear_coverage_loss(int pixels, const float* alpha, const float* mask,
                                   const float* valid, float scale, double* total, float* grad) {
  constexpr int kRun = 1024;  // floats summed before they are added to a double
  *total = 0;
  for (int begin = 0; begin < pixels; begin += kRun) {
    const int end = begin + kRun < pixels ? begin + kRun : pixels;
    float sum = 0;
    for (int i = begin; i < end; ++i) sum += std::fabs(alpha[i] - mask[i]) * valid[i];
    *total += sum;
  }
  if (grad == nullptr) return pear::kOk;
  for (int i = 0; i < pixels; ++i) {
    const float away = alpha[i] - mask[i];
    grad[i] = scale * valid[i] * ((away > 0) - (away < 0));
  }
  return pear::kOk;
}
