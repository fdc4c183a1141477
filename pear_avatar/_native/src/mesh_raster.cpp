// The z-buffer of triangle meshes. Its slow twin is geometry/mesh_raster.py.
#include <algorithm>
#include <cmath>

#include "mesh.h"

namespace pear {
namespace {

constexpr float kEdgeSlack = 1e-6f;
constexpr float kNearest = 1e-3f;
constexpr float kSmallestArea = 1e-9f;

struct Corners {
  float x[3], y[3], z[3], area;
};

Corners corners_of(const MeshView& mesh, int face) {
  Corners c;
  const int32_t* index = mesh.faces + 3 * static_cast<int64_t>(face);
  for (int k = 0; k < 3; ++k) {
    c.x[k] = mesh.points[2 * static_cast<int64_t>(index[k])];
    c.y[k] = mesh.points[2 * static_cast<int64_t>(index[k]) + 1];
    c.z[k] = mesh.depth[index[k]];
  }
  c.area = (c.x[1] - c.x[0]) * (c.y[2] - c.y[0]) - (c.y[1] - c.y[0]) * (c.x[2] - c.x[0]);
  return c;
}

int first_pixel(float low) {
  return std::max(-floor_to_int(0.5f - std::min(std::max(low, -1e6f), 1e6f)), 0);
}

int last_pixel(float high, int size) {
  return std::min(floor_to_int(std::min(std::max(high, -1e6f), 1e6f) - 0.5f), size - 1);
}

}  // namespace

void draw_mesh(const MeshView& mesh, int first_id, const DepthBuffer& buffer) {
  for (int face = 0; face < mesh.num_faces; ++face) {
    const Corners c = corners_of(mesh, face);
    if (!(std::fabs(c.area) > kSmallestArea)) continue;
    if (!(std::min({c.z[0], c.z[1], c.z[2]}) > kNearest)) continue;
    // With y down, the front of a counter-clockwise triangle has negative area.
    if (mesh.two_sided && !mesh.two_sided[face] && c.area > 0) continue;
    const int left = first_pixel(std::min({c.x[0], c.x[1], c.x[2]}));
    const int right = last_pixel(std::max({c.x[0], c.x[1], c.x[2]}), buffer.width);
    const int top = first_pixel(std::min({c.y[0], c.y[1], c.y[2]}));
    const int bottom = last_pixel(std::max({c.y[0], c.y[1], c.y[2]}), buffer.height);
    if (right < left || bottom < top) continue;
    const float w1x = (c.y[2] - c.y[0]) / c.area, w1y = (c.x[2] - c.x[0]) / c.area;
    const float w2x = (c.y[1] - c.y[0]) / c.area, w2y = (c.x[1] - c.x[0]) / c.area;
    const float iz0 = 1.f / c.z[0], iz1 = 1.f / c.z[1], iz2 = 1.f / c.z[2];
    for (int row = top; row <= bottom; ++row) {
      const float dy = (row + 0.5f) - c.y[0];
      const int64_t line = static_cast<int64_t>(row) * buffer.width;
      for (int column = left; column <= right; ++column) {
        const float dx = (column + 0.5f) - c.x[0];
        const float w1 = w1x * dx - w1y * dy, w2 = w2y * dy - w2x * dx, w0 = 1.f - w1 - w2;
        if (w0 < -kEdgeSlack || w1 < -kEdgeSlack || w2 < -kEdgeSlack) continue;
        const float z = 1.f / (w0 * iz0 + w1 * iz1 + w2 * iz2);
        if (z < buffer.depth[line + column]) {
          buffer.depth[line + column] = z;
          buffer.ids[line + column] = first_id + face;
        }
      }
    }
  }
}

void corner_weights(const MeshView& mesh, int face, int column, int row, float weights[3]) {
  const Corners c = corners_of(mesh, face);
  const float dx = (column + 0.5f) - c.x[0], dy = (row + 0.5f) - c.y[0];
  const float w1 = (c.y[2] - c.y[0]) / c.area * dx - (c.x[2] - c.x[0]) / c.area * dy;
  const float w2 = (c.x[1] - c.x[0]) / c.area * dy - (c.y[1] - c.y[0]) / c.area * dx;
  const float p0 = (1.f - w1 - w2) / c.z[0], p1 = w1 / c.z[1], p2 = w2 / c.z[2];
  const float total = 1.f / (p0 + p1 + p2);
  weights[0] = p0 * total;
  weights[1] = p1 * total;
  weights[2] = p2 * total;
}

}  // namespace pear
