// Entry points of mesh drawing. Each call runs on the caller's thread: pictures are made side by
// side in processes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include "abi.h"
#include "mesh.h"

namespace pear {
namespace {

Light read_light(const float* values) {
  Light light;
  static_assert(sizeof(Light) == 47 * sizeof(float), "geometry/native_mesh.py packs 47 floats");
  std::memcpy(&light, values, sizeof(Light));
  return light;
}

uint32_t scramble(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  return x ^ (x >> 16);
}

// About normal, mean 0 and variance 1: four uniform numbers out of one hash.
float bell(uint32_t seed, uint32_t counter) {
  const uint32_t a = scramble(seed ^ scramble(counter));
  const float total = static_cast<float>((a & 255) + (a >> 8 & 255) + (a >> 16 & 255) + (a >> 24));
  return (total - 510.f) * 0.0067658f;
}

// Linear light to a display value 0 to 255, with a shoulder above .8.
struct Curve {
  static constexpr int kSize = 4096;
  static constexpr float kTop = 4.f;
  uint8_t value[kSize + 1];
  Curve() {
    for (int i = 0; i <= kSize; ++i) {
      double x = kTop * i / kSize;
      if (x > 0.8) x = 0.8 + 0.2 * (1 - std::exp(-(x - 0.8) / 0.2));
      const double c = x <= 0.0031308 ? 12.92 * x : 1.055 * std::pow(x, 1 / 2.4) - 0.055;
      value[i] = static_cast<uint8_t>(std::min(std::max(c * 255 + 0.5, 0.0), 255.0));
    }
  }
};

}  // namespace
}  // namespace pear

// points (V, 2), depth (V,), faces (F, 3), two_sided (F,) or null. Draws into z and ids
// (H, W), which the caller filled with infinity and -1 before the first mesh.
PEAR_EXPORT int pear_mesh_draw(const float* points, const float* depth, const int32_t* faces,
                               const uint8_t* two_sided, int num_faces, int first_id, int width,
                               int height, float* z, int32_t* ids) {
  pear::draw_mesh({points, depth, faces, two_sided, num_faces}, first_id,
                  {width, height, z, ids});
  return pear::kOk;
}

// Weights (H, W, 3) of the corners where ids (H, W) show faces of this mesh; others stay.
PEAR_EXPORT int pear_mesh_weights(const float* points, const float* depth, const int32_t* faces,
                                  int num_faces, int first_id, int width, int height,
                                  const int32_t* ids, float* weights) {
  const pear::MeshView mesh = {points, depth, faces, nullptr, num_faces};
  for (int64_t pixel = 0; pixel < static_cast<int64_t>(width) * height; ++pixel) {
    const int face = ids[pixel] - first_id;
    if (ids[pixel] < first_id || face >= num_faces) continue;
    pear::corner_weights(mesh, face, static_cast<int>(pixel % width),
                         static_cast<int>(pixel / width), weights + 3 * pixel);
  }
  return pear::kOk;
}

// Area-weighted unit normals (V, 3).
PEAR_EXPORT int pear_mesh_normals(const float* vertices, int num_vertices, const int32_t* faces,
                                  int num_faces, float* normals) {
  std::fill(normals, normals + 3 * static_cast<int64_t>(num_vertices), 0.f);
  for (int face = 0; face < num_faces; ++face) {
    const int32_t* index = faces + 3 * static_cast<int64_t>(face);
    const float* p[3];
    for (int k = 0; k < 3; ++k) p[k] = vertices + 3 * static_cast<int64_t>(index[k]);
    float a[3], b[3];
    for (int k = 0; k < 3; ++k) a[k] = p[1][k] - p[0][k], b[k] = p[2][k] - p[0][k];
    const float cross[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
                            a[0] * b[1] - a[1] * b[0]};
    for (int corner = 0; corner < 3; ++corner)
      for (int k = 0; k < 3; ++k) normals[3 * static_cast<int64_t>(index[corner]) + k] += cross[k];
  }
  for (int64_t v = 0; v < num_vertices; ++v) {
    float* n = normals + 3 * v;
    const float length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int k = 0; k < 3; ++k) n[k] /= std::max(length, 1e-12f);
  }
  return pear::kOk;
}

// light: as of mesh.h; shadow (size, size) or null. Adds to rgb (H, W, 3) and alpha (H, W), whose
// size is that of ids over `samples`.
PEAR_EXPORT int pear_mesh_shade(const float* points, const float* depth, const int32_t* faces,
                                const uint8_t* two_sided, int num_faces, int first_id, int width,
                                int height, int32_t* ids, const float* vertices,
                                const float* normals, const int32_t* start,
                                const uint8_t* resolution, const uint8_t* texels,
                                const float* light, const float* shadow, int shadow_size,
                                const float* eye, int samples, float share, float* rgb,
                                float* alpha) {
  pear::ShadeArgs args = {};
  args.mesh = {points, depth, faces, two_sided, num_faces};
  args.first_id = first_id;
  args.buffer = {width, height, nullptr, ids};
  args.vertices = vertices;
  args.normals = normals;
  args.colors = {start, resolution, texels};
  args.light = pear::read_light(light);
  args.shadow = {shadow, shadow_size};
  for (int k = 0; k < 3; ++k) args.eye[k] = eye[k];
  args.samples = samples;
  args.share = share;
  args.rgb = rgb;
  args.alpha = alpha;
  pear::shade_mesh(args);
  return pear::kOk;
}

// camera: fx, fy, cx, cy, R_world_camera (9), eye (3). place: floor, room (5), ground and wall
// scale. Writes rgb (H, W, 3).
PEAR_EXPORT int pear_backdrop(int width, int height, const float* camera, const float* place,
                              const float* panorama, int panorama_width, int panorama_height,
                              const uint8_t* ground, const uint8_t* wall, int texture_size,
                              const float* light, const float* shadow, int shadow_size,
                              float* rgb) {
  pear::BackdropArgs args = {};
  args.width = width;
  args.height = height;
  args.fx = camera[0], args.fy = camera[1], args.cx = camera[2], args.cy = camera[3];
  std::memcpy(args.R_world_camera, camera + 4, 9 * sizeof(float));
  std::memcpy(args.eye, camera + 13, 3 * sizeof(float));
  args.floor = place[0];
  std::memcpy(args.room, place + 1, 5 * sizeof(float));
  args.ground_scale = place[6], args.wall_scale = place[7];
  args.panorama = panorama;
  args.panorama_width = panorama_width, args.panorama_height = panorama_height;
  args.ground = ground, args.wall = wall, args.texture_size = texture_size;
  args.light = pear::read_light(light);
  args.shadow = {shadow, shadow_size};
  args.rgb = rgb;
  pear::draw_backdrop(args);
  return pear::kOk;
}

// Linear light (N, 3) times gains (3,), with noise of variance read^2 + shot * light, to display.
PEAR_EXPORT int pear_develop(const float* linear, int num_pixels, const float* gains, float read,
                             float shot, uint32_t seed, uint8_t* out) {
  static const pear::Curve curve;
  for (int i = 0; i < 3 * num_pixels; ++i) {
    float light = std::max(linear[i] * gains[i % 3], 0.f);
    light += std::sqrt(read * read + shot * light) * pear::bell(seed, static_cast<uint32_t>(i));
    const float place = light * (pear::Curve::kSize / pear::Curve::kTop) + 0.5f;
    const int entry = std::min(std::max(static_cast<int>(place), 0), pear::Curve::kSize);
    out[i] = curve.value[entry];
  }
  return pear::kOk;
}
