// The image loss's entry point.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <new>
#include <vector>

#include "abi.h"
#include "kernels.h"
#include "thread_pool.h"

namespace pear {
namespace {

constexpr double kSigma = 1.5;
constexpr int kSpanRows = 256;
constexpr int kMinBandRows = 48;  // a band repeats up to 20 rows of its neighbours

void gaussian_taps(float* taps) {
  double window[kSsimTaps], total = 0;
  for (int k = 0; k < kSsimTaps; ++k) {
    const double d = k - kSsimRadius;
    window[k] = std::exp(-d * d / (2 * kSigma * kSigma));
    total += window[k];
  }
  for (int k = 0; k < kSsimTaps; ++k) taps[k] = static_cast<float>(window[k] / total);
}

int bands_per_channel(int channels, int height) {
  const int threads = num_threads();
  if (threads == 1 || channels % threads == 0) return 1;
  return std::max(1, std::min(threads, height / kMinBandRows));
}

// Sums of |x - y| and of SSIM over all pixels, weighted; both in a fixed order.
void run(SsimArgs args, int channels, double* l1, double* ssim) {
  const int rows = channels * args.height;
  std::vector<double> sums(2 * static_cast<std::size_t>(rows));
  args.row_l1 = sums.data();
  args.row_ssim = sums.data() + rows;
  std::vector<Span> spans(3 * static_cast<std::size_t>(rows));
  args.spans = spans.data();
  Span *near = args.spans + rows, *far = near + rows;
  gaussian_taps(args.taps);
  const Kernels& k = *kernels();
  parallel_for(rows, kSpanRows, [&](int begin, int end) { k.ssim_spans(args, begin, end); });
  k.ssim_reach(args, kSsimRadius, 0, rows, near);
  k.ssim_reach(args, 2 * kSsimRadius, 0, rows, far);
  args.near = near;
  args.far = far;
  const int bands = bands_per_channel(channels, args.height);
  const int64_t scratch_size = ssim_scratch(args.width);
  std::vector<float> scratch(static_cast<std::size_t>(scratch_size) * bands * channels);
  parallel_for(bands * channels, 1, [&](int begin, int end) {
    for (int task = begin; task < end; ++task) {
      const int64_t band = task % bands;
      kernels()->ssim_band(args, task / bands, static_cast<int>(args.height * band / bands),
                           static_cast<int>(args.height * (band + 1) / bands),
                           scratch.data() + task * scratch_size);
    }
  });
  *l1 = *ssim = 0;
  for (int row = 0; row < rows; ++row) {
    *l1 += args.row_l1[row];
    *ssim += args.row_ssim[row];
  }
}

}  // namespace
}  // namespace pear

// x, y (C, H, W); weight (H, W) or null. Writes sums[0] = the weighted sum of |x - y| and
// sums[1] = that of SSIM; grad (C, H, W), unless null, gets d/dx of
// scale_l1 * sums[0] - scale_ssim * sums[1].
PEAR_EXPORT int pear_l1_ssim(const float* x, const float* y, const float* weight, int channels,
                             int height, int width, float scale_l1, float scale_ssim, double* sums,
                             float* grad) {
  pear::SsimArgs args = {};
  args.x = x;
  args.y = y;
  args.weight = weight;
  args.grad = grad;
  args.width = width;
  args.height = height;
  args.weight_l1 = scale_l1;
  args.weight_ssim = scale_ssim;
  try {
    pear::run(args, channels, &sums[0], &sums[1]);
  } catch (const std::bad_alloc&) {
    return pear::kOutOfMemory;
  }
  return pear::kOk;
}
