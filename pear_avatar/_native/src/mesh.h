// Drawing triangle meshes for synthetic pictures: see mesh_api.cpp for the entry points.
#pragma once

#include <stdint.h>

namespace pear {

// One mesh as it is seen: V vertices, F faces.
struct MeshView {
  const float* points;       // (V, 2) pixels, y down
  const float* depth;        // (V,) camera-space z
  const int32_t* faces;      // (F, 3)
  const uint8_t* two_sided;  // (F,) or null where all are
  int num_faces;
};

// A z-buffer; ids hold the face that is seen, counted from each mesh's first id, -1 for none.
struct DepthBuffer {
  int width, height;
  float* depth;
  int32_t* ids;
};

// Colours of a mesh: each face holds a triangular lattice of (r + 1)(r + 2) / 2 texels.
struct MeshColors {
  const int32_t* start;       // (F,) first texel of each face
  const uint8_t* resolution;  // (F,) r >= 1
  const uint8_t* texels;      // (T, 4) display RGB and gloss
};

// Light: irradiance as spherical harmonics, and one sun with its shadow map.
struct Light {
  float sh[27];       // nine coefficients, RGB each, convolved with the cosine lobe over pi
  float sun[3];       // unit vector towards it
  float sun_rgb[3];   // irradiance at normal incidence over pi
  float shadow[12];   // world to shadow map: (column, row, depth) = M (x, 1)
  float bias;         // metres
  float softness;     // texels of the shadow's edge
};

struct ShadowMap {
  const float* depth;  // (size, size), infinite where empty; null for no shadow
  int size;
};

void draw_mesh(const MeshView& mesh, int first_id, const DepthBuffer& buffer);

// Perspective-correct weights of a face's corners at a pixel centre.
void corner_weights(const MeshView& mesh, int face, int column, int row, float weights[3]);

struct ShadeArgs {
  MeshView mesh;
  int first_id;
  DepthBuffer buffer;      // supersampled
  const float* vertices;   // (V, 3) world
  const float* normals;    // (V, 3) world
  MeshColors colors;
  Light light;
  ShadowMap shadow;
  float eye[3];
  int samples;             // a side, of each pixel
  float share;             // of the exposure
  float* rgb;              // (H, W, 3) linear, added to
  float* alpha;            // (H, W), added to
};

void shade_mesh(const ShadeArgs& args);

struct BackdropArgs {
  int width, height;
  float fx, fy, cx, cy;
  float R_world_camera[9];
  float eye[3];
  float floor;             // world y
  float room[5];           // x0, x1, z0, z1, ceiling; x0 >= x1 outdoors
  const float* panorama;   // (ph, pw, 3) linear, longitude 0 at +z, or null
  int panorama_width, panorama_height;
  const uint8_t* ground;   // (size, size, 3) display RGB
  const uint8_t* wall;
  int texture_size;
  float ground_scale, wall_scale;  // metres that a texture covers
  Light light;
  ShadowMap shadow;
  float* rgb;              // (H, W, 3) linear
};

void draw_backdrop(const BackdropArgs& args);

// Irradiance over pi of a unit normal.
void irradiance(const float sh[27], const float n[3], float rgb[3]);
// Share of the sun that reaches a place, 0 to 1.
float sunlight(const Light& light, const ShadowMap& shadow, const float place[3]);
// std::floor is a call on processors without SSE4.1, for which this file is built.
inline int floor_to_int(float x) {
  const int whole = static_cast<int>(x);
  return whole - (x < static_cast<float>(whole));
}
// Display value 0 to 255 to linear.
const float* linear_table();

}  // namespace pear
