// Steps and bounds of a fit's parameters.
#include "kernel_decls.h"

namespace pear {
namespace PEAR_ISA {
namespace {

constexpr float kEpsilon = 1e-12f, kLeast = 1e-9f;
// Moments of what the pictures never show decay for ever: below this they become zero, because
// arithmetic on denormal numbers is a hundred times slower.
constexpr float kSmallestNormal = 1.17549435e-38f;

PEAR_INLINE VecF flushed(VecF v) { return zero_unless(abs(v) >= kSmallestNormal, v); }
PEAR_INLINE VecF clamp(VecF v, float low, float high) {
  return min(max(v, broadcast(low)), broadcast(high));
}

struct AdamLanes {
  VecF grad, mean, square, value, share;
};

PEAR_INLINE void adam_lanes(const AdamArgs& args, AdamLanes& v) {
  v.mean = flushed(v.mean + (1.f - args.beta1) * (v.grad - v.mean));
  v.square = flushed(args.beta2 * v.square + (1.f - args.beta2) * v.grad * v.grad);
  v.value -= v.mean / (sqrt(v.square) * args.inverse_root + kEpsilon) * v.share * args.rate;
}

// The shares of the rows that elements [first, first + count) belong to. The width is a constant
// where it can be, for a division would cost more than all the rest.
template <int Width>
PEAR_INLINE VecF shares(const AdamArgs& args, int64_t first, int count) {
  const int width = Width > 0 ? Width : args.width;
  VecF share = broadcast(1.f);
  if (Width == 1 && count == kLanes) return load(args.row_share + first);
  int64_t row = first / width;
  int place = static_cast<int>(first - row * width);
  for (int lane = 0; lane < count; ++lane) {
    share[lane] = args.row_share[row];
    if (++place == width) {
      place = 0;
      ++row;
    }
  }
  return share;
}

template <int Width>
PEAR_INLINE void adam_of_width(const AdamArgs& args, int begin, int end) {
  const int64_t last = static_cast<int64_t>(end) * args.width;
  for (int64_t at = static_cast<int64_t>(begin) * args.width; at < last; at += kLanes) {
    const int count = last - at < kLanes ? static_cast<int>(last - at) : kLanes;
    AdamLanes v;
    v.share = args.row_share ? shares<Width>(args, at, count) : broadcast(1.f);
    if (count == kLanes) {
      v.grad = load(args.grad + at);
      v.mean = load(args.mean + at);
      v.square = load(args.square + at);
      v.value = load(args.value + at);
      adam_lanes(args, v);
      store(args.mean + at, v.mean);
      store(args.square + at, v.square);
      store(args.value + at, v.value);
    } else {
      load_rows<1>(args.grad + at, count, &v.grad);
      load_rows<1>(args.mean + at, count, &v.mean);
      load_rows<1>(args.square + at, count, &v.square);
      load_rows<1>(args.value + at, count, &v.value);
      adam_lanes(args, v);
      store_rows<1>(args.mean + at, count, &v.mean);
      store_rows<1>(args.square + at, count, &v.square);
      store_rows<1>(args.value + at, count, &v.value);
    }
  }
}

}  // namespace

void adam_rows(const AdamArgs& args, int begin, int end) {
  switch (args.width) {
    case 1: return adam_of_width<1>(args, begin, end);
    case 3: return adam_of_width<3>(args, begin, end);
    case 4: return adam_of_width<4>(args, begin, end);
    default: return adam_of_width<0>(args, begin, end);
  }
}

void bound_splats(const BoundArgs& args, int begin, int end) {
  for (int first = begin; first < end; first += kLanes) {
    const int count = min_int(kLanes, end - first);
    const int64_t at = first;
    VecF offset[3], quat[4], logit, longest, scale[3], low[3], high[3], color[3];
    load_rows<3>(args.offsets + 3 * at, count, offset);
    load_rows<1>(args.longest + at, count, &longest);
    const VecF length2 = offset[0] * offset[0] + offset[1] * offset[1] + offset[2] * offset[2];
    const VecF factor = min(longest / max(sqrt(length2), broadcast(kLeast)), broadcast(1.f));
    for (int k = 0; k < 3; ++k) offset[k] *= factor;
    store_rows<3>(args.offsets + 3 * at, count, offset);

    load_rows<3>(args.log_scales + 3 * at, count, scale);
    load_rows<3>(args.low + 3 * at, count, low);
    load_rows<3>(args.high + 3 * at, count, high);
    for (int k = 0; k < 3; ++k) scale[k] = min(max(scale[k], low[k]), high[k]);
    store_rows<3>(args.log_scales + 3 * at, count, scale);

    load_rows<4>(args.quats + 4 * at, count, quat);
    VecF norm2 = VecF{};
    for (int k = 0; k < 4; ++k) norm2 += quat[k] * quat[k];
    const VecF norm = max(sqrt(norm2), broadcast(kLeast));
    for (int k = 0; k < 4; ++k) quat[k] = quat[k] / norm;
    for (int k = 1; k < 3; ++k) quat[k] = clamp(quat[k], -args.tilt, args.tilt);
    store_rows<4>(args.quats + 4 * at, count, quat);

    load_rows<1>(args.logits + at, count, &logit);
    logit = clamp(logit, args.logit_low, args.logit_high);
    store_rows<1>(args.logits + at, count, &logit);

    load_rows<3>(args.colors + 3 * at, count, color);
    for (int k = 0; k < 3; ++k) color[k] = clamp(color[k], 0.f, 1.f);
    store_rows<3>(args.colors + 3 * at, count, color);
  }
}

}  // namespace PEAR_ISA
}  // namespace pear
