// Steps and bounds of a fit's parameters: Adam on rows, splats kept flat and near the skin.
#pragma once

#include <stdint.h>

namespace pear {

// Rows per task.
constexpr int kUpdateBlock = 2048;

// Adam (Kingma and Ba 2015) on a table of `width` numbers a row.
struct AdamArgs {
  int width;
  const float* grad;
  float *mean, *square, *value;
  const float* row_share;  // (rows,) scales each row's step, or null
  float beta1, beta2;
  float rate;          // over the first moment's bias
  float inverse_root;  // 1 / sqrt(the second moment's bias)
};

struct BoundArgs {
  float *offsets, *log_scales, *quats, *logits, *colors;  // (N, 3), (N, 3), (N, 4), (N,), (N, 3)
  const float* longest;                                   // (N,) bound of |offset|
  const float *low, *high;                                // (N, 3) of log_scales
  float tilt;                                             // of |x|, |y| of the unit quaternion
  float logit_low, logit_high;
};

}  // namespace pear
