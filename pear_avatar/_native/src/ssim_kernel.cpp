// Fused L1 + SSIM (Wang et al. 2004) with its gradient, row by row.
//
// SSIM needs the window means of x, y, x y and only of the sum x^2 + y^2, so four maps are blurred,
// not five. Outside of the image everything counts as 0. With S = (A B) / (C D), where
// A = 2 mx my + c1, B = 2 cov + c2, C = mx^2 + my^2 + c1, D = var_x + var_y + c2, the gradient is
//   dL/dx = blur(dS/dmx) + 2 x blur(dS/dE[x^2]) + y blur(dS/dE[x y]).
//
// Where x and y are equal over a whole window, S is 1 and its share of every gradient 0: a person
// on a plain background leaves half of a picture to skip. Each row is worked on in one span of
// columns, as wide as what differs in the rows within reach.
#include "kernel_decls.h"

namespace pear {
namespace PEAR_ISA {
namespace {

constexpr float kC1 = 0.01f * 0.01f, kC2 = 0.03f * 0.03f;
constexpr int kInputs = 4, kDerivatives = 3;

// Scratch of one band, cut into rows of one pitch.
struct Rows {
  float* base;
  int64_t pitch;
  // Padded rows: x, y, x^2 + y^2, x y, then the three derivatives.
  __attribute__((always_inline)) float* padded(int map) const { return base + map * pitch; }
  __attribute__((always_inline)) float* input_ring(int row, int map) const {
    return base + (7 + slot(row) * kInputs + map) * pitch;
  }
  __attribute__((always_inline)) float* derivative_ring(int row, int map) const {
    return base + (7 + kSsimTaps * kInputs + slot(row) * kDerivatives + map) * pitch;
  }
  __attribute__((always_inline)) static int slot(int row) {
    return (row + 2 * kSsimTaps) % kSsimTaps;
  }
};

PEAR_INLINE void zero(float* p, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = 0.f;
}

// A span of row y widened by `columns` and to whole vectors.
PEAR_INLINE Span widened(const SsimArgs& args, const Span* spans, int channel, int y, int columns) {
  if (y < 0 || y >= args.height) return {0, 0};
  const Span s = spans[static_cast<int64_t>(channel) * args.height + y];
  if (s.begin >= s.end) return {0, 0};
  const int vectors = min_int((args.width + kLanes - 1) / kLanes,
                              (s.end + columns + kLanes - 1) / kLanes);
  return {max_int(0, s.begin - columns) / kLanes * kLanes, vectors * kLanes};
}

// Sum of the pixels' weights in columns [begin, end) of row y.
float weight_between(const SsimArgs& args, int y, int begin, int end) {
  if (!args.weight) return static_cast<float>(max_int(0, end - begin));
  float total = 0.f;
  for (int x = begin; x < end; ++x) total += args.weight[static_cast<int64_t>(y) * args.width + x];
  return total;
}

// Horizontal window over a padded row: out[x] = sum_k taps[k] row[x + k]. The taps are symmetric.
PEAR_INLINE void blur_row(const float* row, const float* taps, Span span, float* out) {
  if (span.begin >= span.end) return;
  VecF low = load(row + span.begin);
  for (int x = span.begin; x < span.end; x += kLanes) {
    const float* p = row + x;
    const VecF high = load(p + kLanes);
    VecF total = taps[5] * load_shifted<5>(p, low, high);
    total += taps[0] * (low + load_shifted<10>(p, low, high));
    total += taps[1] * (load_shifted<1>(p, low, high) + load_shifted<9>(p, low, high));
    total += taps[2] * (load_shifted<2>(p, low, high) + load_shifted<8>(p, low, high));
    total += taps[3] * (load_shifted<3>(p, low, high) + load_shifted<7>(p, low, high));
    total += taps[4] * (load_shifted<4>(p, low, high) + load_shifted<6>(p, low, high));
    store(out + x, total);
    low = high;
  }
}

// Vertical window at column x over 11 rows.
PEAR_INLINE VecF blur_column(const float* const* rows, const float* taps, int64_t x) {
  VecF total = taps[kSsimRadius] * load(rows[kSsimRadius] + x);
  for (int k = 0; k < kSsimRadius; ++k)
    total += taps[k] * (load(rows[k] + x) + load(rows[kSsimTaps - 1 - k] + x));
  return total;
}

void blur_input_row(const SsimArgs& args, int channel, int y, const Rows& rows) {
  if (y < 0 || y >= args.height) {
    for (int map = 0; map < kInputs; ++map) zero(rows.input_ring(y, map), rows.pitch);
    return;
  }
  const Span span = widened(args, args.far, channel, y, kSsimRadius);
  if (span.begin >= span.end) return;
  const int64_t at = (static_cast<int64_t>(channel) * args.height + y) * args.width;
  const float *x_row = args.x + at, *y_row = args.y + at;
  const int last = min_int(args.width, span.end + kSsimRadius);
  for (int i = max_int(0, span.begin - kSsimRadius); i < last; ++i) {
    const float a = x_row[i], b = y_row[i];
    rows.padded(0)[kSsimRadius + i] = a;
    rows.padded(1)[kSsimRadius + i] = b;
    rows.padded(2)[kSsimRadius + i] = a * a + b * b;
    rows.padded(3)[kSsimRadius + i] = a * b;
  }
  for (int map = 0; map < kInputs; ++map)
    blur_row(rows.padded(map), args.taps, span, rows.input_ring(y, map));
}

// SSIM along one row; fills the padded derivative rows. Returns the weighted sum over the row.
float ssim_row(const SsimArgs& args, int channel, int y, const Rows& rows) {
  const Span span = widened(args, args.near, channel, y, kSsimRadius);
  const float equal = weight_between(args, y, 0, span.begin) +
                      weight_between(args, y, max_int(span.begin, span.end), args.width);
  const float* ring[kSsimTaps];
  for (int k = 0; k < kSsimTaps; ++k) ring[k] = rows.input_ring(y - kSsimRadius + k, 0);
  const float* weight_row = args.weight ? args.weight + static_cast<int64_t>(y) * args.width : 0;
  const VecF lane = lane_index();
  VecF total = VecF{};
  zero(rows.padded(4), kDerivatives * rows.pitch);
  for (int x = span.begin; x < span.end; x += kLanes) {
    VecF mean[kInputs];
    for (int map = 0; map < kInputs; ++map)
      mean[map] = blur_column(ring, args.taps, map * rows.pitch + x);
    const VecF mx = mean[0], my = mean[1];
    const VecF mx2_my2 = mx * mx + my * my;
    const VecF a = 2 * mx * my + kC1, b = 2 * (mean[3] - mx * my) + kC2;
    const VecF c = mx2_my2 + kC1, d = mean[2] - mx2_my2 + kC2;
    const VecF inverse = 1.f / (c * d);
    const VecF inside = zero_unless(lane < static_cast<float>(args.width - x), broadcast(1.f));
    VecF weight = inside;
    if (weight_row) {
      const int count = min_int(kLanes, args.width - x);
      for (int j = 0; j < count; ++j) weight[j] = weight_row[x + j];
    }
    const VecF s = a * b * inverse;
    total += weight * s;
    const VecF ds_dxx = -s * (c * inverse), ds_dxy = 2 * a * inverse;
    const VecF ds_dmx = 2 * my * b * inverse - 2 * mx * s * (d * inverse) - 2 * mx * ds_dxx -
                        my * ds_dxy;
    store(rows.padded(4) + kSsimRadius + x, weight * ds_dmx);
    store(rows.padded(5) + kSsimRadius + x, weight * ds_dxx);
    store(rows.padded(6) + kSsimRadius + x, weight * ds_dxy);
  }
  return sum(total) + equal;
}

void gradient_row(const SsimArgs& args, int channel, int y, const Rows& rows) {
  const float* ring[kSsimTaps];
  for (int k = 0; k < kSsimTaps; ++k) ring[k] = rows.derivative_ring(y - kSsimRadius + k, 0);
  const int64_t at = (static_cast<int64_t>(channel) * args.height + y) * args.width;
  const float *x_row = args.x + at, *y_row = args.y + at;
  const float* weight_row = args.weight ? args.weight + static_cast<int64_t>(y) * args.width : 0;
  const Span span = widened(args, args.far, channel, y, 2 * kSsimRadius);
  zero(args.grad + at, span.begin);
  zero(args.grad + at + span.end, args.width - span.end);
  for (int x = span.begin; x < span.end; x += kLanes) {
    VecF blurred[kDerivatives];
    for (int map = 0; map < kDerivatives; ++map)
      blurred[map] = blur_column(ring, args.taps, map * rows.pitch + x);
    const int count = min_int(kLanes, args.width - x);
    VecF a = VecF{}, b = VecF{}, weight = broadcast(1.f);
    if (count == kLanes) {
      a = load(x_row + x);
      b = load(y_row + x);
      if (weight_row) weight = load(weight_row + x);
    } else {
      for (int j = 0; j < count; ++j) {
        a[j] = x_row[x + j];
        b[j] = y_row[x + j];
        if (weight_row) weight[j] = weight_row[x + j];
      }
    }
    const VecF l1 = zero_unless(a > b, weight) - zero_unless(a < b, weight);
    const VecF g = args.weight_l1 * l1 -
                   args.weight_ssim * (blurred[0] + 2 * a * blurred[1] + b * blurred[2]);
    float* to = args.grad + at + x;
    if (count == kLanes) {
      store(to, g);
    } else {
      for (int j = 0; j < count; ++j) to[j] = g[j];
    }
  }
}

float l1_row(const SsimArgs& args, int channel, int y) {
  const int64_t row = static_cast<int64_t>(channel) * args.height + y, at = row * args.width;
  const Span span = args.spans[row];
  const float *x_row = args.x + at, *y_row = args.y + at;
  const float* weight_row = args.weight ? args.weight + static_cast<int64_t>(y) * args.width : 0;
  VecF total = VecF{};
  int x = span.begin;
  for (; x + kLanes <= span.end; x += kLanes) {
    const VecF difference = abs(load(x_row + x) - load(y_row + x));
    total += weight_row ? difference * load(weight_row + x) : difference;
  }
  float tail = 0.f;
  for (; x < span.end; ++x)
    tail += __builtin_fabsf(x_row[x] - y_row[x]) * (weight_row ? weight_row[x] : 1.f);
  return sum(total) + tail;
}

}  // namespace

// Where rows [begin, end) of all channels, one after the other, differ.
void ssim_spans(const SsimArgs& args, int begin, int end) {
  for (int row = begin; row < end; ++row) {
    const float* x_row = args.x + static_cast<int64_t>(row) * args.width;
    const float* y_row = args.y + static_cast<int64_t>(row) * args.width;
    Span s = {0, args.width};
    for (; s.begin + kLanes <= s.end; s.begin += kLanes)
      if (any(load(x_row + s.begin) != load(y_row + s.begin))) break;
    while (s.begin < s.end && x_row[s.begin] == y_row[s.begin]) ++s.begin;
    for (; s.end - kLanes >= s.begin; s.end -= kLanes)
      if (any(load(x_row + s.end - kLanes) != load(y_row + s.end - kLanes))) break;
    while (s.end > s.begin && x_row[s.end - 1] == y_row[s.end - 1]) --s.end;
    args.spans[row] = s;
  }
}

// The union of the spans within `rows` rows, for rows [begin, end) of all channels.
void ssim_reach(const SsimArgs& args, int rows, int begin, int end, Span* out) {
  for (int row = begin; row < end; ++row) {
    const int first = row / args.height * args.height, last = first + args.height - 1;
    Span s = {args.width, 0};
    for (int k = max_int(first, row - rows); k <= min_int(last, row + rows); ++k) {
      if (args.spans[k].begin >= args.spans[k].end) continue;
      s.begin = min_int(s.begin, args.spans[k].begin);
      s.end = max_int(s.end, args.spans[k].end);
    }
    out[row] = s;
  }
}

void ssim_band(const SsimArgs& args, int channel, int begin, int end, float* scratch) {
  const Rows rows = {scratch, ssim_pitch(args.width)};
  zero(rows.padded(0), 7 * rows.pitch);
  const bool backward = args.grad != 0;
  const int halo = backward ? kSsimRadius : 0;
  for (int y = begin - halo - kSsimRadius; y < begin - halo + kSsimRadius; ++y)
    blur_input_row(args, channel, y, rows);
  for (int y = begin - halo; y < end + halo; ++y) {
    blur_input_row(args, channel, y + kSsimRadius, rows);
    const bool own = y >= begin && y < end;
    if (y >= 0 && y < args.height) {
      const float total = ssim_row(args, channel, y, rows);
      if (own) args.row_ssim[static_cast<int64_t>(channel) * args.height + y] = total;
    } else {
      zero(rows.padded(4), kDerivatives * rows.pitch);
    }
    if (own)
      args.row_l1[static_cast<int64_t>(channel) * args.height + y] =
          l1_row(args, channel, y);
    if (!backward) continue;
    zero(rows.derivative_ring(y, 0), kDerivatives * rows.pitch);
    const Span span = widened(args, args.near, channel, y, 2 * kSsimRadius);
    for (int map = 0; map < kDerivatives; ++map)
      blur_row(rows.padded(4 + map), args.taps, span, rows.derivative_ring(y, map));
    const int ready = y - kSsimRadius;
    if (ready >= begin && ready < end) gradient_row(args, channel, ready, rows);
  }
}

}  // namespace PEAR_ISA
}  // namespace pear
