// Entry points of skinning and binding. Sums over vertices have a fixed order, so that results do
// not depend on the number of threads.
#include <cstddef>
#include <new>
#include <vector>

#include "abi.h"
#include "kernels.h"
#include "thread_pool.h"

namespace pear {
namespace {

void backward(SkinBackwardArgs args, int num_vertices, int num_splats, float* grad_transforms) {
  const Kernels& k = *kernels();
  parallel_for(num_splats, kSkinBlock,
               [&](int begin, int end) { k.bind_splats_backward(args, begin, end); });
  const int blocks = (num_vertices + kSkinBlock - 1) / kSkinBlock;
  const int size = 12 * args.num_joints;
  std::vector<float> partials(static_cast<std::size_t>(blocks) * size);
  args.transform_partials = partials.data();
  parallel_for(blocks, 1, [&](int begin, int end) {
    for (int block = begin; block < end; ++block) {
      const int first = block * kSkinBlock;
      k.skin_vertices_backward(
          args, first, first + kSkinBlock < num_vertices ? first + kSkinBlock : num_vertices);
    }
  });
  for (int i = 0; i < size; ++i) {
    double total = 0;
    for (int block = 0; block < blocks; ++block)
      total += partials[static_cast<std::size_t>(block) * size + i];
    grad_transforms[i] = static_cast<float>(total);
  }
}

}  // namespace
}  // namespace pear

// Shapes as in skin.h. Writes vertices, means, quats and frame_quats.
PEAR_EXPORT int pear_skin_forward(int num_vertices, int num_splats, int num_joints, int influences,
                                  const int32_t* skin_joints, const float* skin_weights,
                                  const float* rest, const float* transforms, const int32_t* faces,
                                  const float* barycentric, const float* offsets,
                                  const float* local_quats, float* vertices, float* means,
                                  float* quats, float* frame_quats) {
  const pear::Kernels& k = *pear::kernels();
  const pear::SkinArgs args = {num_joints,  influences, skin_joints, skin_weights, rest,
                               transforms,  faces,      barycentric, offsets,      local_quats,
                               vertices,    means,      quats,       frame_quats};
  pear::parallel_for(num_vertices, pear::kSkinBlock,
                     [&](int begin, int end) { k.skin_vertices(args, begin, end); });
  pear::parallel_for(num_splats, pear::kSkinBlock,
                     [&](int begin, int end) { k.bind_splats(args, begin, end); });
  return pear::kOk;
}

// Null gradients are zero. Writes a gradient for every differentiable input.
PEAR_EXPORT int pear_skin_backward(int num_vertices, int num_splats, int num_joints, int influences,
                                   const int32_t* skin_joints, const float* skin_weights,
                                   const float* rest, const float* transforms,
                                   const float* frame_quats, const int32_t* incident_offsets,
                                   const int32_t* incident_splats, const float* incident_weights,
                                   const float* grad_vertices, const float* grad_means,
                                   const float* grad_quats, float* grad_rest,
                                   float* grad_transforms, float* grad_offsets,
                                   float* grad_local_quats) {
  const pear::SkinBackwardArgs args = {
      num_joints,      influences,       skin_joints,      skin_weights,  rest,
      transforms,      frame_quats,      incident_offsets, incident_splats, incident_weights,
      grad_vertices,   grad_means,       grad_quats,       grad_rest,     nullptr,
      grad_offsets,    grad_local_quats};
  try {
    pear::backward(args, num_vertices, num_splats, grad_transforms);
  } catch (const std::bad_alloc&) {
    return pear::kOutOfMemory;
  }
  return pear::kOk;
}
