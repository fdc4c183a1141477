// Light on meshes: irradiance from spherical harmonics, a shadowed sun, a highlight.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "mesh.h"

namespace pear {
namespace {

constexpr float kWrap = 0.15f;      // light that creeps round the terminator
constexpr float kBackSide = 0.75f;  // the inside of cloth and hair gets less light

float dot(const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

void normalise(float* v) {
  const float length = std::sqrt(std::max(dot(v, v), 1e-20f));
  for (int k = 0; k < 3; ++k) v[k] /= length;
}

void mix3(const float* values, const int32_t* index, const float w[3], float out[3]) {
  for (int k = 0; k < 3; ++k)
    out[k] = w[0] * values[3 * static_cast<int64_t>(index[0]) + k] +
             w[1] * values[3 * static_cast<int64_t>(index[1]) + k] +
             w[2] * values[3 * static_cast<int64_t>(index[2]) + k];
}

// Texel (i, j) of a lattice of resolution r: row i holds r - i + 1 texels.
int lattice(int r, int i, int j) { return i * (2 * r - i + 3) / 2 + j; }

// Display RGB and gloss, interpolated in the face's lattice; i runs to corner 0, j to corner 1.
void lookup(const MeshColors& colors, int face, const float w[3], float out[4]) {
  const int r = colors.resolution[face];
  const uint8_t* texels = colors.texels + 4 * static_cast<int64_t>(colors.start[face]);
  const float u = std::min(std::max(w[0], 0.f), 1.f) * r;
  const float v = std::min(std::max(w[1], 0.f), 1.f - u / r) * r;
  int i = std::min(static_cast<int>(u), r - 1), j = std::min(static_cast<int>(v), r - 1 - i);
  j = std::max(j, 0);
  const float a = u - i, b = v - j;
  int t[3];
  float s[3];
  if (a + b <= 1.f || i + j >= r - 1) {
    t[0] = lattice(r, i, j), t[1] = lattice(r, i + 1, j), t[2] = lattice(r, i, j + 1);
    s[0] = std::max(1.f - a - b, 0.f), s[1] = a, s[2] = b;
  } else {
    t[0] = lattice(r, i + 1, j + 1), t[1] = lattice(r, i, j + 1), t[2] = lattice(r, i + 1, j);
    s[0] = a + b - 1.f, s[1] = 1.f - a, s[2] = 1.f - b;
  }
  const float* linear = linear_table();
  for (int k = 0; k < 3; ++k)
    out[k] = s[0] * linear[texels[4 * t[0] + k]] + s[1] * linear[texels[4 * t[1] + k]] +
             s[2] * linear[texels[4 * t[2] + k]];
  out[3] = (s[0] * texels[4 * t[0] + 3] + s[1] * texels[4 * t[1] + 3] +
            s[2] * texels[4 * t[2] + 3]) / 255.f;
}

void shade_sample(const ShadeArgs& a, int face, int column, int row, float rgb[3]) {
  float w[3], n[3], place[3], coat[4], light[3];
  corner_weights(a.mesh, face, column, row, w);
  const int32_t* index = a.mesh.faces + 3 * static_cast<int64_t>(face);
  mix3(a.normals, index, w, n);
  mix3(a.vertices, index, w, place);
  normalise(n);
  float view[3] = {a.eye[0] - place[0], a.eye[1] - place[1], a.eye[2] - place[2]};
  normalise(view);
  // A normal that looks away belongs to the far side of an open layer, or to a silhouette.
  float side = 1.f;
  if (dot(n, view) < 0 && (!a.mesh.two_sided || a.mesh.two_sided[face])) {
    for (int k = 0; k < 3; ++k) n[k] = -n[k];
    side = kBackSide;
  }
  lookup(a.colors, face, w, coat);
  irradiance(a.light.sh, n, light);
  const float facing = dot(n, a.light.sun);
  float sun = std::max((facing + kWrap) / (1.f + kWrap), 0.f), shine = 0.f;
  if (sun > 0.f && a.shadow.depth) {
    float off[3];
    for (int k = 0; k < 3; ++k) off[k] = place[k] + 2.f * a.light.bias * n[k];
    sun *= sunlight(a.light, a.shadow, off);
  }
  if (sun > 0.f && coat[3] > 0.f) {
    float half[3];
    for (int k = 0; k < 3; ++k) half[k] = view[k] + a.light.sun[k];
    normalise(half);
    float lobe = std::max(dot(n, half), 0.f);
    for (int squared = 0; squared < 5; ++squared) lobe *= lobe;  // to the power of 32
    shine = coat[3] * sun * lobe;
  }
  for (int k = 0; k < 3; ++k)
    rgb[k] = side * coat[k] * (light[k] + sun * a.light.sun_rgb[k]) +
             0.7f * shine * a.light.sun_rgb[k] + 0.02f * coat[3] * light[k];
}

}  // namespace

const float* linear_table() {
  struct Table {
    float value[256];
    Table() {
      for (int i = 0; i < 256; ++i) {
        const double c = i / 255.0;
        value[i] = static_cast<float>(c <= 0.04045 ? c / 12.92
                                                   : std::pow((c + 0.055) / 1.055, 2.4));
      }
    }
  };
  static const Table table;
  return table.value;
}

void irradiance(const float sh[27], const float n[3], float rgb[3]) {
  const float x = n[0], y = n[1], z = n[2];
  const float basis[9] = {0.282095f,           0.488603f * y,     0.488603f * z,
                          0.488603f * x,       1.092548f * x * y, 1.092548f * y * z,
                          0.315392f * (3 * z * z - 1), 1.092548f * x * z,
                          0.546274f * (x * x - y * y)};
  for (int k = 0; k < 3; ++k) {
    float total = 0.f;
    for (int b = 0; b < 9; ++b) total += basis[b] * sh[3 * b + k];
    rgb[k] = std::max(total, 0.f);
  }
}

float sunlight(const Light& light, const ShadowMap& shadow, const float place[3]) {
  if (!shadow.depth) return 1.f;
  float at[3];
  for (int k = 0; k < 3; ++k)
    at[k] = light.shadow[4 * k] * place[0] + light.shadow[4 * k + 1] * place[1] +
            light.shadow[4 * k + 2] * place[2] + light.shadow[4 * k + 3];
  const float limit = at[2] - light.bias;
  const float reach = light.softness + 1.f;
  if (at[0] < -reach || at[1] < -reach || at[0] > shadow.size + reach ||
      at[1] > shadow.size + reach)
    return 1.f;
  float lit = 0.f;
  for (int dy = -1; dy <= 1; ++dy)
    for (int dx = -1; dx <= 1; ++dx) {
      const int column = floor_to_int(at[0] + dx * light.softness);
      const int row = floor_to_int(at[1] + dy * light.softness);
      const bool inside = column >= 0 && row >= 0 && column < shadow.size && row < shadow.size;
      const bool dark =
          inside && shadow.depth[static_cast<int64_t>(row) * shadow.size + column] < limit;
      lit += dark ? 0.f : 1.f / 9.f;
    }
  return lit;
}

void shade_mesh(const ShadeArgs& a) {
  const int s = a.samples, width = a.buffer.width / s, height = a.buffer.height / s;
  const float share = a.share / (s * s);
  std::vector<int> faces(static_cast<std::size_t>(s) * s);
  for (int row = 0; row < height; ++row)
    for (int column = 0; column < width; ++column) {
      int found = 0;
      for (int k = 0; k < s * s; ++k) {
        const int64_t line = static_cast<int64_t>(row * s + k / s) * a.buffer.width;
        const int face = a.buffer.ids[line + column * s + k % s] - a.first_id;
        faces[k] = face >= 0 && face < a.mesh.num_faces ? face : -1;
        found += faces[k] >= 0;
      }
      if (!found) continue;
      const int64_t pixel = static_cast<int64_t>(row) * width + column;
      for (int k = 0; k < s * s; ++k) {
        if (faces[k] < 0) continue;
        // Samples of one face share the colour of the first.
        int same = 1;
        for (int other = k + 1; other < s * s; ++other)
          if (faces[other] == faces[k]) faces[other] = -1, ++same;
        float rgb[3];
        shade_sample(a, faces[k], column * s + k % s, row * s + k / s, rgb);
        for (int c = 0; c < 3; ++c) a.rgb[3 * pixel + c] += share * same * rgb[c];
        a.alpha[pixel] += share * same;
      }
    }
}

}  // namespace pear
