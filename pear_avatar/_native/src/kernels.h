// The table of kernels that each instruction set provides. Every kernel works on a range and has
// no state of its own, so the caller decides how to spread ranges over threads.
#pragma once

#include "blend.h"
#include "raster.h"
#include "skin.h"
#include "ssim.h"
#include "update.h"

namespace pear {

struct Kernels {
  const char* name;
  // Splats [begin, end) to records.
  void (*project)(const ProjectArgs& args, int begin, int end);
  // Splats [begin, end) (a block of kProjectBlock) from pair gradients to input gradients.
  void (*project_backward)(const ProjectBackwardArgs& args, int begin, int end);
  // Tiles [begin, end) to pixels.
  void (*composite)(const CompositeArgs& args, int begin, int end);
  // Tiles [begin, end) from pixel gradients to pair gradients.
  void (*composite_backward)(const CompositeArgs& args, int begin, int end);
  // Rows [begin, end) of all channels: where the image loss's pictures differ.
  void (*ssim_spans)(const SsimArgs& args, int begin, int end);
  // The same over all rows within reach of a window.
  void (*ssim_reach)(const SsimArgs& args, int rows, int begin, int end, Span* out);
  // Rows [begin, end) of one channel of the image loss.
  void (*ssim_band)(const SsimArgs& args, int channel, int begin, int end, float* scratch);
  // Panels [begin, end) of a blend of shapes.
  void (*blend_panels)(const BlendArgs& args, int begin, int end);
  // Vertices [begin, end) from rest to posed.
  void (*skin_vertices)(const SkinArgs& args, int begin, int end);
  // Splats [begin, end) onto the posed vertices.
  void (*bind_splats)(const SkinArgs& args, int begin, int end);
  // Splats [begin, end): gradients of what lives in the triangles' frames.
  void (*bind_splats_backward)(const SkinBackwardArgs& args, int begin, int end);
  // Vertices [begin, end) (a block of kSkinBlock): gradients of rest vertices and transforms.
  void (*skin_vertices_backward)(const SkinBackwardArgs& args, int begin, int end);
  // Rows [begin, end) of a table: one step of Adam.
  void (*adam_rows)(const AdamArgs& args, int begin, int end);
  // Splats [begin, end) into their bounds.
  void (*bound_splats)(const BoundArgs& args, int begin, int end);
};

#if defined(__x86_64__)
extern const Kernels kKernels_sse4;
extern const Kernels kKernels_avx2;
extern const Kernels kKernels_avx512;
#else
extern const Kernels kKernels_generic;
#endif

// The best table this processor can run; PEAR_AVATAR_ISA names another. Null if that name is not
// one that can run here.
const Kernels* kernels();

}  // namespace pear
