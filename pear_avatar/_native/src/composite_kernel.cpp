// Front-to-back compositing of depth-sorted splats into tiles, and its adjoint.
//
// Splats come one after the other ("Gaussian-major"): each sweeps the rows of its box with
// unaligned vectors over a tile buffer that stays in the first-level cache. The buffer's rows are
// padded by one vector, so that a sweep may run past the tile's edge; padding has transmittance 0.
// The sign bit of the transmittance T marks a finished pixel: "T > threshold" is the whole stop rule.
#include "kernel_decls.h"

namespace pear {
namespace PEAR_ISA {
namespace {

constexpr int kPitch = kTileWidth + kLanes;
constexpr int kPlane = kTileHeight * kPitch;
constexpr int kPrefetchDistance = 6;

struct Tile {
  int x0, y0, x1, y1;  // pixels
  int begin, end;      // range in tile_list
};

PEAR_INLINE Tile tile_at(const CompositeArgs& args, int index) {
  Tile t;
  t.x0 = index % args.frame.tiles_x * kTileWidth;
  t.y0 = index / args.frame.tiles_x * kTileHeight;
  t.x1 = min_int(args.frame.width, t.x0 + kTileWidth);
  t.y1 = min_int(args.frame.height, t.y0 + kTileHeight);
  t.begin = args.tile_offsets[index];
  t.end = args.tile_offsets[index + 1];
  return t;
}

PEAR_INLINE void fill(float* p, int count, float value) {
  for (int i = 0; i < count; ++i) p[i] = value;
}

// T = 1 inside the image, 0 in the padding.
PEAR_INLINE void reset_transmittance(const Tile& t, float* T) {
  fill(T, kPlane, 0.f);
  for (int y = 0; y < t.y1 - t.y0; ++y) fill(T + y * kPitch, t.x1 - t.x0, 1.f);
}

PEAR_INLINE bool finished(const Tile& t, const float* T) {
  for (int y = 0; y < t.y1 - t.y0; ++y)
    for (int x = 0; x < kTileWidth; x += kLanes)
      if (any(load(T + y * kPitch + x) > kTransmittanceMin)) return false;
  return true;
}

// The part of a splat's box that lies in the tile.
struct Sweep {
  int x0, x1, y0, y1;
};

PEAR_INLINE Sweep sweep_of(const Tile& t, const PixelBox& box) {
  return {max_int(box.x0, t.x0), min_int(box.x1, t.x1), max_int(box.y0, t.y0),
          min_int(box.y1, t.y1)};
}

// The list jumps about in the records, so ask for them some splats ahead.
PEAR_INLINE void prefetch_record(const CompositeArgs& args, const Tile& t, int k) {
  const char* ahead = reinterpret_cast<const char*>(
      args.records + args.tile_list[min_int(k + kPrefetchDistance, t.end - 1)]);
  __builtin_prefetch(ahead);
  __builtin_prefetch(ahead + sizeof(SplatRecord) - 1);
}

// Which channels a pass carries. Count > 0: the record's own features. Count == 0: `count`
// channels from `first` on, out of the caller's colours.
template <int Count>
struct Channels {
  int first, count;
  __attribute__((always_inline)) int size() const { return Count > 0 ? Count : count; }
};

template <int Count>
PEAR_INLINE const float* features_of(const CompositeArgs& args, const Channels<Count>& channels,
                                     int record) {
  if (Count > 0) return args.records[record].feature;
  return args.colors + args.order[record] * static_cast<int64_t>(args.channels) + channels.first;
}

template <int Count>
PEAR_INLINE void composite_tile(const CompositeArgs& args, const Tile& t,
                                const Channels<Count>& channels, float* T, float* planes) {
  const int size = channels.size();
  const VecF lane = lane_index();
  reset_transmittance(t, T);
  fill(planes, size * kPlane, 0.f);
  int until_check = kFinishedCheckInterval;
  for (int k = t.begin; k < t.end; ++k) {
    prefetch_record(args, t, k);
    const int record = args.tile_list[k];
    const SplatRecord& r = args.records[record];
    const float* feature = features_of(args, channels, record);
    const Sweep s = sweep_of(t, r.box);
    const VecF c = broadcast(r.c);
    for (int x = s.x0; x < s.x1; x += kLanes) {
      const VecF dx = lane + (x + 0.5f - r.x);
      const VecF at_row = dx * dx * r.a + r.log2_opacity, slope = dx * r.b;
      VecF dy = broadcast(s.y0 + 0.5f - r.y);
      int at = (s.y0 - t.y0) * kPitch + x - t.x0;
      // No branch on "does any lane count": it costs more than the arithmetic it saves.
      for (int y = s.y0; y < s.y1; ++y, at += kPitch, dy += 1.f) {
        const VecF before = load(T + at);
        const VecF log2_alpha = at_row + dy * (slope + dy * c);
        const VecF alpha = zero_unless(log2_alpha >= kLog2AlphaMin,
                                       min(exp2(log2_alpha), broadcast(kAlphaMax)));
        // Where the pixel is finished, T and so "after" are negative: nothing is drawn.
        const VecF after = before - before * alpha;
        const VecI drawn = after > kTransmittanceMin;
        const VecF weight = zero_unless(drawn, before * alpha);
        store(T + at, drawn ? after : negative_abs(before));
        for (int i = 0; i < size; ++i)
          store(planes + i * kPlane + at, load(planes + i * kPlane + at) + weight * feature[i]);
      }
    }
    if (--until_check == 0) {
      if (finished(t, T)) break;
      until_check = kFinishedCheckInterval;
    }
  }
}

// Write one plane of a tile to the image, over the background where T is left.
PEAR_INLINE void write_plane(const CompositeArgs& args, const Tile& t, const float* plane,
                             const float* T, float background, float* image) {
  for (int y = t.y0; y < t.y1; ++y) {
    const float* from = plane + (y - t.y0) * kPitch;
    const float* left = T + (y - t.y0) * kPitch;
    float* to = image + static_cast<int64_t>(y) * args.frame.width + t.x0;
    for (int x = 0; x < t.x1 - t.x0; ++x)
      to[x] = from[x] + background * __builtin_fabsf(left[x]);
  }
}

PEAR_INLINE void write_constant(const CompositeArgs& args, const Tile& t, float value,
                                float* image) {
  for (int y = t.y0; y < t.y1; ++y)
    fill(image + static_cast<int64_t>(y) * args.frame.width + t.x0, t.x1 - t.x0, value);
}

PEAR_INLINE float background_of(const CompositeArgs& args, int channel) {
  return args.background ? args.background[channel] : 0.f;
}

void empty_tile(const CompositeArgs& args, const Tile& t) {
  const int64_t pixels = static_cast<int64_t>(args.frame.width) * args.frame.height;
  for (int c = 0; c < args.channels; ++c)
    write_constant(args, t, background_of(args, c), args.color + c * pixels);
  write_constant(args, t, 0.f, args.alpha);
  write_constant(args, t, 0.f, args.depth);
}

void first_pass(const CompositeArgs& args, const Tile& t) {
  alignas(64) float T[kPlane], planes[(kFirstChannels + 1) * kPlane];
  composite_tile<kFirstChannels + 1>(args, t, {0, kFirstChannels + 1}, T, planes);
  const int64_t pixels = static_cast<int64_t>(args.frame.width) * args.frame.height;
  for (int c = 0; c < min_int(args.channels, kFirstChannels); ++c)
    write_plane(args, t, planes + c * kPlane, T, background_of(args, c), args.color + c * pixels);
  write_plane(args, t, planes + kFirstChannels * kPlane, T, 0.f, args.depth);
  for (int y = t.y0; y < t.y1; ++y) {
    float* to = args.alpha + static_cast<int64_t>(y) * args.frame.width + t.x0;
    const float* left = T + (y - t.y0) * kPitch;
    for (int x = 0; x < t.x1 - t.x0; ++x) to[x] = 1.f - __builtin_fabsf(left[x]);
  }
}

void chunk_pass(const CompositeArgs& args, const Tile& t, int first) {
  alignas(64) float T[kPlane], planes[kChunkChannels * kPlane];
  const int count = min_int(kChunkChannels, args.channels - first);
  composite_tile<0>(args, t, {first, count}, T, planes);
  const int64_t pixels = static_cast<int64_t>(args.frame.width) * args.frame.height;
  for (int c = 0; c < count; ++c)
    write_plane(args, t, planes + c * kPlane, T, background_of(args, first + c),
                args.color + (first + c) * pixels);
}

}  // namespace

void composite_forward(const CompositeArgs& args, int begin, int end) {
  for (int index = begin; index < end; ++index) {
    const Tile t = tile_at(args, index);
    if (t.begin == t.end) {
      empty_tile(args, t);
      continue;
    }
    first_pass(args, t);
    for (int c = kFirstChannels; c < args.channels; c += kChunkChannels) chunk_pass(args, t, c);
  }
}

namespace {

// The tile's pixel gradients, and what lies behind each pixel's next splat:
//   behind = sum over the splats not yet replayed of weight * (feature . v)  -  T_final * v_alpha,
// which is the colour's share of dL/dT. The image was composited over the background, so the sum of
// v . colour already holds the background's share.
template <int Count>
PEAR_INLINE void load_gradients(const CompositeArgs& args, const Tile& t,
                                const Channels<Count>& channels, float* v, float* behind) {
  const bool first = Count > 0;
  const int64_t pixels = static_cast<int64_t>(args.frame.width) * args.frame.height;
  fill(v, channels.size() * kPlane, 0.f);
  fill(behind, kPlane, 0.f);
  for (int y = t.y0; y < t.y1; ++y) {
    const int64_t row = static_cast<int64_t>(y) * args.frame.width + t.x0;
    const int at = (y - t.y0) * kPitch;
    const int width = t.x1 - t.x0;
    const int colors = first ? min_int(args.channels, kFirstChannels) : channels.count;
    for (int c = 0; c < colors && args.grad_color; ++c) {
      const float* grad = args.grad_color + (channels.first + c) * pixels + row;
      const float* color = args.color + (channels.first + c) * pixels + row;
      float* plane = v + c * kPlane + at;
      for (int x = 0; x < width; ++x) {
        plane[x] = grad[x];
        behind[at + x] += grad[x] * color[x];
      }
    }
    if (!first) continue;
    if (Count > kFirstChannels && args.grad_depth)
      for (int x = 0; x < width; ++x) {
        v[kFirstChannels * kPlane + at + x] = args.grad_depth[row + x];
        behind[at + x] += args.grad_depth[row + x] * args.depth[row + x];
      }
    if (args.grad_alpha)
      for (int x = 0; x < width; ++x)
        behind[at + x] -= (1.f - args.alpha[row + x]) * args.grad_alpha[row + x];
  }
}

// Replays the tile front to back; one PairGradient a splat.
template <int Count>
PEAR_INLINE void backward_tile(const CompositeArgs& args, const Tile& t,
                               const Channels<Count>& channels, float* T, float* v,
                               float* behind) {
  constexpr bool kFirst = Count > 0;
  constexpr int kMaxSize = kFirst ? Count : kChunkChannels;
  const int size = channels.size();
  const int extra = args.channels - kFirstChannels;
  const VecF lane = lane_index();
  reset_transmittance(t, T);
  load_gradients(args, t, channels, v, behind);

  int until_check = kFinishedCheckInterval;
  bool done = false;
  for (int k = t.begin; k < t.end; ++k) {
    const int slot = args.pair_slots[k];
    PairGradient& pair = args.pairs[slot];
    float* pair_color = kFirst ? pair.feature
                               : args.pair_extra + slot * static_cast<int64_t>(extra) +
                                     channels.first - kFirstChannels;
    __builtin_prefetch(args.pairs + args.pair_slots[min_int(k + kPrefetchDistance, t.end - 1)], 1);
    if (kFirst) pair = PairGradient{};
    if (!kFirst) fill(pair_color, size, 0.f);
    if (done) continue;
    prefetch_record(args, t, k);
    const int record = args.tile_list[k];
    const SplatRecord& r = args.records[record];
    const float* feature = features_of(args, channels, record);
    const Sweep s = sweep_of(t, r.box);
    const VecF c = broadcast(r.c);
    VecF sum_g = {}, sum_gx = {}, sum_gy = {}, sum_gxx = {}, sum_gxy = {}, sum_gyy = {};
    VecF sum_feature[kMaxSize];
    for (int i = 0; i < size; ++i) sum_feature[i] = VecF{};
    bool hit = false;
    for (int x = s.x0; x < s.x1; x += kLanes) {
      const VecF dx = lane + (x + 0.5f - r.x);
      const VecF at_row = dx * dx * r.a + r.log2_opacity, slope = dx * r.b;
      VecF dy = broadcast(s.y0 + 0.5f - r.y);
      int at = (s.y0 - t.y0) * kPitch + x - t.x0;
      VecF column_g = {}, column_gy = {}, column_gyy = {};
      for (int y = s.y0; y < s.y1; ++y, at += kPitch, dy += 1.f) {
        const VecF before = load(T + at);
        const VecF log2_alpha = at_row + dy * (slope + dy * c);
        const VecI active = (log2_alpha >= kLog2AlphaMin) & (before > kTransmittanceMin);
        if (!any(active)) continue;
        hit = true;
        const VecF unclamped = exp2(log2_alpha);
        const VecI free = unclamped < kAlphaMax;
        const VecF alpha = zero_unless(active, min(unclamped, broadcast(kAlphaMax)));
        const VecF after = before - before * alpha;
        const VecI drawn = after > kTransmittanceMin;
        const VecF weight = zero_unless(drawn, before * alpha);
        store(T + at, drawn ? after : negative_abs(before));
        VecF shade = load(v + at) * feature[0];
        sum_feature[0] += weight * load(v + at);
        for (int i = 1; i < size; ++i) {
          const VecF grad = load(v + i * kPlane + at);
          shade += grad * feature[i];
          sum_feature[i] += weight * grad;
        }
        const VecF rest = load(behind + at) - weight * shade;
        store(behind + at, rest);
        const VecF g = zero_unless(drawn & free & active,
                                   weight * shade - alpha * rest * reciprocal(1.f - alpha));
        const VecF gy = g * dy;
        column_g += g;
        column_gy += gy;
        column_gyy += gy * dy;
      }
      const VecF gx = column_g * dx;
      sum_g += column_g;
      sum_gx += gx;
      sum_gy += column_gy;
      sum_gxx += gx * dx;
      sum_gxy += column_gy * dx;
      sum_gyy += column_gyy;
    }
    if (hit) {
      pair.g += sum(sum_g);
      pair.gx += sum(sum_gx);
      pair.gy += sum(sum_gy);
      pair.gxx += sum(sum_gxx);
      pair.gxy += sum(sum_gxy);
      pair.gyy += sum(sum_gyy);
      for (int i = 0; i < size; ++i) pair_color[i] = sum(sum_feature[i]);
    }
    if (--until_check == 0) {
      done = finished(t, T);
      until_check = kFinishedCheckInterval;
    }
  }
}

template <int Count>
void first_pass_backward(const CompositeArgs& args, const Tile& t) {
  alignas(64) float T[kPlane], v[Count * kPlane], behind[kPlane];
  backward_tile<Count>(args, t, {0, Count}, T, v, behind);
}

void chunk_pass_backward(const CompositeArgs& args, const Tile& t, int first) {
  alignas(64) float T[kPlane], v[kChunkChannels * kPlane], behind[kPlane];
  const int count = min_int(kChunkChannels, args.channels - first);
  backward_tile<0>(args, t, {first, count}, T, v, behind);
}

}  // namespace

void composite_backward(const CompositeArgs& args, int begin, int end) {
  for (int index = begin; index < end; ++index) {
    const Tile t = tile_at(args, index);
    if (t.begin == t.end) continue;
    if (args.grad_depth) {
      first_pass_backward<kFirstChannels + 1>(args, t);
    } else {
      first_pass_backward<kFirstChannels>(args, t);
    }
    for (int c = kFirstChannels; c < args.channels; c += kChunkChannels)
      chunk_pass_backward(args, t, c);
  }
}

}  // namespace PEAR_ISA
}  // namespace pear
