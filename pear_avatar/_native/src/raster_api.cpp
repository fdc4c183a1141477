// The rasteriser's entry points. Forward: project -> sort and bin -> composite. Backward: replay
// each tile into one gradient record a (tile, splat) pair, then gather the records of each splat
// and go through the projection's adjoint. No atomics, and every sum has a fixed order, so that
// results do not depend on the number of threads.
#include <mutex>
#include <new>

#include "abi.h"
#include "binning.h"
#include "kernels.h"
#include "thread_pool.h"

namespace pear {
namespace {

// What a forward pass leaves for its backward pass, and the scratch of both.
struct State {
  Frame frame;
  Buffer<SplatRecord> projected;
  Binning binning;
  Buffer<PairGradient> pairs;
  Buffer<float> pair_extra;
  Buffer<float> camera_partials;
};

CompositeArgs composite_args(State& s, const Splats& splats, const float* background,
                             const float* color, const float* alpha, const float* depth) {
  CompositeArgs args = {};
  args.frame = s.frame;
  args.records = s.binning.records.data();
  args.tile_offsets = s.binning.tile_offsets.data();
  args.tile_list = s.binning.tile_list.data();
  args.pair_slots = s.binning.pair_slots.data();
  args.order = s.binning.order.data();
  args.colors = splats.colors;
  args.channels = splats.channels;
  args.background = background;
  args.color = const_cast<float*>(color);
  args.alpha = const_cast<float*>(alpha);
  args.depth = const_cast<float*>(depth);
  return args;
}

Status forward(State& s, const Splats& splats, const float* background, float* color, float* alpha,
               float* depth) {
  const Kernels& k = *kernels();
  const int n = s.frame.num_splats;
  const ProjectArgs project = {s.frame, splats, s.projected.reserve(n)};
  parallel_for(n, kProjectBlock, [&](int begin, int end) { k.project(project, begin, end); });
  if (!bin_splats(s.frame, s.projected.data(), s.binning)) return kTooManyPairs;
  const CompositeArgs args = composite_args(s, splats, background, color, alpha, depth);
  parallel_for(s.frame.tiles_x * s.frame.tiles_y, 1,
               [&](int begin, int end) { k.composite(args, begin, end); });
  return kOk;
}

struct InputGradients {
  float *means, *quats, *scales, *opacities, *colors, *view;
};

void backward(State& s, const Splats& splats, const float* color, const float* alpha,
              const float* depth, const float* grad_color, const float* grad_alpha,
              const float* grad_depth, const InputGradients& grad) {
  const Kernels& k = *kernels();
  const int extra = splats.channels > kFirstChannels ? splats.channels - kFirstChannels : 0;
  CompositeArgs args = composite_args(s, splats, nullptr, color, alpha, depth);
  args.grad_color = grad_color;
  args.grad_alpha = grad_alpha;
  args.grad_depth = grad_depth;
  args.pairs = s.pairs.reserve(s.binning.num_pairs);
  args.pair_extra = s.pair_extra.reserve(s.binning.num_pairs * extra);
  parallel_for(s.frame.tiles_x * s.frame.tiles_y, 1,
               [&](int begin, int end) { k.composite_backward(args, begin, end); });

  const int n = s.frame.num_splats;
  const int blocks = (n + kProjectBlock - 1) / kProjectBlock;
  const ProjectBackwardArgs project = {s.frame,
                                       splats,
                                       s.binning.ranges.data(),
                                       args.pairs,
                                       args.pair_extra,
                                       grad.means,
                                       grad.quats,
                                       grad.scales,
                                       grad.opacities,
                                       grad.colors,
                                       s.camera_partials.reserve(12 * blocks)};
  parallel_for(blocks, 1, [&](int begin, int end) {
    for (int block = begin; block < end; ++block) {
      const int first = block * kProjectBlock;
      k.project_backward(project, first, first + kProjectBlock < n ? first + kProjectBlock : n);
    }
  });
  for (int i = 0; i < 12; ++i) {
    double total = 0;
    for (int block = 0; block < blocks; ++block) total += project.camera_partials[12 * block + i];
    grad.view[i] = static_cast<float>(total);
  }
}

}  // namespace
}  // namespace pear

PEAR_EXPORT int pear_abi_version() { return pear::kAbiVersion; }

// Name of the kernels in use; null where PEAR_AVATAR_ISA names one that cannot run here.
PEAR_EXPORT const char* pear_isa() {
  const pear::Kernels* k = pear::kernels();
  return k ? k->name : nullptr;
}

PEAR_EXPORT int pear_num_threads() { return pear::num_threads(); }
PEAR_EXPORT void pear_set_num_threads(int count) { pear::set_num_threads(count); }

PEAR_EXPORT void* pear_raster_new() { return new (std::nothrow) pear::State; }
PEAR_EXPORT void pear_raster_free(void* state) { delete static_cast<pear::State*>(state); }

// means (N, 3), quats (N, 4) wxyz, scales (N, 3), opacities (N,), colors (N, D); view: the upper
// 3x4 of T_camera_world; intrinsics fx, fy, cx, cy; limits eps2d, near, far; background (D,) or
// null. Writes color (D, H, W), alpha (H, W), depth (H, W).
PEAR_EXPORT int pear_raster_forward(void* state, int num_splats, int channels, const float* means,
                                    const float* quats, const float* scales,
                                    const float* opacities, const float* colors,
                                    const float* view, const float* intrinsics,
                                    const float* limits, int width, int height,
                                    const float* background, float* color, float* alpha,
                                    float* depth) {
  pear::State& s = *static_cast<pear::State*>(state);
  pear::Frame& f = s.frame;
  f.num_splats = num_splats;
  f.width = width;
  f.height = height;
  f.tiles_x = (width + pear::kTileWidth - 1) / pear::kTileWidth;
  f.tiles_y = (height + pear::kTileHeight - 1) / pear::kTileHeight;
  for (int i = 0; i < 12; ++i) f.view[i] = view[i];
  f.fx = intrinsics[0];
  f.fy = intrinsics[1];
  f.cx = intrinsics[2];
  f.cy = intrinsics[3];
  f.eps2d = limits[0];
  f.near_plane = limits[1];
  f.far_plane = limits[2];
  try {
    return pear::forward(s, {means, quats, scales, opacities, colors, channels}, background, color,
                         alpha, depth);
  } catch (const std::bad_alloc&) {
    return pear::kOutOfMemory;
  }
}

// The same inputs and the outputs of the forward pass that `state` comes from; null gradients are
// zero. Writes a gradient for every input; grad_view is (3, 4).
PEAR_EXPORT int pear_raster_backward(void* state, int channels, const float* means,
                                     const float* quats, const float* scales,
                                     const float* opacities, const float* colors,
                                     const float* color, const float* alpha, const float* depth,
                                     const float* grad_color, const float* grad_alpha,
                                     const float* grad_depth, float* grad_means,
                                     float* grad_quats, float* grad_scales, float* grad_opacities,
                                     float* grad_colors, float* grad_view) {
  try {
    pear::backward(*static_cast<pear::State*>(state),
                   {means, quats, scales, opacities, colors, channels}, color, alpha, depth,
                   grad_color, grad_alpha, grad_depth,
                   {grad_means, grad_quats, grad_scales, grad_opacities, grad_colors, grad_view});
  } catch (const std::bad_alloc&) {
    return pear::kOutOfMemory;
  }
  return pear::kOk;
}
