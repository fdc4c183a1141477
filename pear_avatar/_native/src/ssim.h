// The image loss: weight_l1 * mean |x - y| + weight_ssim * (1 - mean SSIM(x, y)).
#pragma once

#include <stdint.h>

namespace pear {

constexpr int kSsimRadius = 5;  // the 11-tap window of Wang et al. 2004, sigma 1.5
constexpr int kSsimTaps = 2 * kSsimRadius + 1;

// Columns [begin, end) of a row; empty where begin >= end.
struct Span {
  int32_t begin, end;
};

struct SsimArgs {
  const float *x, *y;   // (C, H, W)
  const float* weight;  // (H, W) or null
  float* grad;          // (C, H, W) or null
  int width, height;
  float weight_l1, weight_ssim;  // scale of each sum in `grad`
  float taps[kSsimTaps];
  double* row_l1;    // (C, H) sums over each row, weighted by `weight`
  double* row_ssim;  // (C, H)
  Span* spans;       // (C, H) from the first to the last pixel in which x and y differ
  // (C, H) the same over all rows within one radius of the window, and within two.
  const Span *near, *far;
};

// Floats of one padded row: room for the taps on both sides and a whole vector at the end.
inline int64_t ssim_pitch(int width) { return (width + 2 * kSsimRadius + 63) / 16 * 16; }
// Floats of scratch that one call of the band kernel needs: rings of 11 rows of four blurred
// input maps and three blurred derivative maps, and seven padded rows.
inline int64_t ssim_scratch(int width) { return (kSsimTaps * 7 + 7) * ssim_pitch(width); }

}  // namespace pear
