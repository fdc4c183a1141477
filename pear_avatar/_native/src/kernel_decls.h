// The kernels of one instruction set, by the namespace that keeps them apart.
#pragma once

#include "blend.h"
#include "raster.h"
#include "simd.h"
#include "skin.h"
#include "ssim.h"
#include "update.h"

namespace pear {
namespace PEAR_ISA {

void project(const ProjectArgs& args, int begin, int end);
void project_backward(const ProjectBackwardArgs& args, int begin, int end);
void composite_forward(const CompositeArgs& args, int begin, int end);
void composite_backward(const CompositeArgs& args, int begin, int end);
void ssim_spans(const SsimArgs& args, int begin, int end);
void ssim_reach(const SsimArgs& args, int rows, int begin, int end, Span* out);
void ssim_band(const SsimArgs& args, int channel, int begin, int end, float* scratch);
void blend_panels(const BlendArgs& args, int begin, int end);
void skin_vertices(const SkinArgs& args, int begin, int end);
void bind_splats(const SkinArgs& args, int begin, int end);
void bind_splats_backward(const SkinBackwardArgs& args, int begin, int end);
void skin_vertices_backward(const SkinBackwardArgs& args, int begin, int end);
void adam_rows(const AdamArgs& args, int begin, int end);
void bound_splats(const BoundArgs& args, int begin, int end);

}  // namespace PEAR_ISA
}  // namespace pear
