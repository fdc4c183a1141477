// What the rasteriser's stages hand to each other. See raster_api.cpp for the order of the stages.
#pragma once

#include <stdint.h>

namespace pear {

constexpr int kTileWidth = 64;
constexpr int kTileHeight = 16;
// Splats between two looks at whether a tile is finished.
constexpr int kFinishedCheckInterval = 64;
// gsplat's thresholds: a splat below this alpha is skipped, alpha is clamped from above, and a
// pixel stops before the splat that would take its transmittance to or below the last one.
constexpr float kAlphaMin = 1.f / 255.f;
constexpr float kLog2AlphaMin = -7.994353436858858f;
constexpr float kAlphaMax = 0.999f;
constexpr float kTransmittanceMin = 1e-4f;
constexpr float kLog2E = 1.4426950408889634f;
// The first pass carries this many colour channels beside depth; further channels follow in
// chunks, each of which repeats the (cheaper) geometry.
constexpr int kFirstChannels = 3;
constexpr int kChunkChannels = 16;
// Splats per task in the projection, and per partial sum of the camera gradient.
constexpr int kProjectBlock = 1024;

struct Frame {
  int num_splats, width, height, tiles_x, tiles_y;
  float view[12];  // the upper three rows of T_camera_world
  float fx, fy, cx, cy, eps2d, near_plane, far_plane;
};

struct Splats {
  const float *means, *quats, *scales, *opacities, *colors;
  int channels;
};

// Pixels [x0, x1) x [y0, y1) that a splat can reach; x1 <= x0 marks a culled splat.
struct PixelBox {
  int16_t x0, x1, y0, y1;
};

// One projected splat. log2(alpha) at pixel offset (dx, dy) is
// a dx^2 + b dx dy + c dy^2 + log2_opacity.
struct SplatRecord {
  float x, y, a, b, c, log2_opacity;
  float feature[kFirstChannels + 1];  // the first colours, then depth
  PixelBox box;
};
static_assert(sizeof(SplatRecord) == 48, "one record is three quarters of a cache line");

// Sums over the pixels of one (tile, splat) pair, with g = alpha * dL/dalpha and the pixel's
// offset (x, y) from the splat's centre.
struct PairGradient {
  float g, gx, gy, gxx, gxy, gyy;
  float feature[kFirstChannels + 1];
};

// The pairs [begin, end) of one splat; empty where it was culled.
struct PairRange {
  int begin, end;
};

struct ProjectArgs {
  Frame frame;
  Splats splats;
  SplatRecord* records;  // (num_splats,), box.x1 <= box.x0 where culled
};

struct CompositeArgs {
  Frame frame;
  const SplatRecord* records;  // in depth order
  const int* tile_offsets;     // (tiles + 1,) into tile_list
  const int* tile_list;        // records of each tile in depth order
  const int* pair_slots;       // where in `pairs` each entry of tile_list belongs
  const int32_t* order;        // index of each record's splat in the caller's arrays
  const float* colors;
  int channels;
  const float* background;  // (channels,) or null
  float* color;             // (channels, H, W)
  float* alpha;             // (H, W)
  float* depth;             // (H, W)
  // Backward only. Null gradients are zero.
  const float *grad_color, *grad_alpha, *grad_depth;
  PairGradient* pairs;  // (pairs,)
  float* pair_extra;    // (pairs, channels - kFirstChannels)
};

struct ProjectBackwardArgs {
  Frame frame;
  Splats splats;
  const PairRange* ranges;  // (num_splats,) the pairs of each splat
  const PairGradient* pairs;
  const float* pair_extra;
  float *grad_means, *grad_quats, *grad_scales, *grad_opacities, *grad_colors;
  float* camera_partials;  // (blocks, 12)
};

}  // namespace pear
