// Linear blend skinning of a mesh and the splats that ride on its triangles.
#pragma once

#include <stdint.h>

namespace pear {

// Vertices or splats per task, and per partial sum of the transforms' gradient.
constexpr int kSkinBlock = 1024;

struct SkinArgs {
  int num_joints, influences;
  const int32_t* skin_joints;  // (V, K)
  const float* skin_weights;   // (V, K)
  const float* rest;           // (V, 3)
  const float* transforms;     // (J, 3, 4) rest to posed
  const int32_t* faces;        // (N, 3) vertices of each splat's triangle
  const float* barycentric;    // (N, 3)
  const float* offsets;        // (N, 3) in the triangle's frame
  const float* local_quats;    // (N, 4) relative to the triangle's frame
  float* vertices;             // (V, 3)
  float* means;                // (N, 3)
  float* quats;                // (N, 4)
  float* frame_quats;          // (N, 4) the triangles' frames, for the backward pass
};

struct SkinBackwardArgs {
  int num_joints, influences;
  const int32_t* skin_joints;
  const float* skin_weights;
  const float* rest;
  const float* transforms;
  const float* frame_quats;
  // For each vertex the splats whose triangle it belongs to, with its barycentric weight there.
  const int32_t* incident_offsets;  // (V + 1,)
  const int32_t* incident_splats;   // (3 N,)
  const float* incident_weights;    // (3 N,)
  const float *grad_vertices, *grad_means, *grad_quats;  // null where zero
  float* grad_rest;           // (V, 3)
  float* transform_partials;  // (blocks, J, 3, 4)
  float* grad_offsets;        // (N, 3)
  float* grad_local_quats;    // (N, 4)
};

}  // namespace pear
