// What lies behind the people: sky or a picture all round, ground, or the walls of a room.
#include <algorithm>
#include <cmath>

#include "mesh.h"

namespace pear {
namespace {

constexpr float kPi = 3.14159265358979f;
constexpr float kFadeFrom = 18.f, kFadeTo = 45.f;  // metres over which ground turns to horizon

struct Texture {
  const uint8_t* data;
  int size;
  float scale;
  float mean[3];
};

Texture texture_of(const uint8_t* data, int size, float scale) {
  Texture t = {data, size, scale, {0, 0, 0}};
  const float* linear = linear_table();
  for (int64_t texel = 0; texel < static_cast<int64_t>(size) * size; ++texel)
    for (int k = 0; k < 3; ++k) t.mean[k] += linear[data[3 * texel + k]];
  for (int k = 0; k < 3; ++k) t.mean[k] /= static_cast<float>(size) * size;
  return t;
}

float wrap(float x) { return x - static_cast<float>(floor_to_int(x)); }

// Bilinear colour of a repeating texture, faded towards its mean where a pixel covers many texels.
void sample(const Texture& t, float x, float y, float footprint, float rgb[3]) {
  const float* linear = linear_table();
  const float u = wrap(x / t.scale) * t.size, v = wrap(y / t.scale) * t.size;
  const int i = std::min(static_cast<int>(u), t.size - 1);
  const int j = std::min(static_cast<int>(v), t.size - 1);
  const int i1 = (i + 1) % t.size, j1 = (j + 1) % t.size;
  const float a = u - i, b = v - j;
  const float texels = footprint / (t.scale / t.size);
  const float blur = std::min(std::max((std::log2(std::max(texels, 1.f)) - 0.5f) / 4.f, 0.f), 1.f);
  for (int k = 0; k < 3; ++k) {
    auto at = [&](int c, int r) {
      return linear[t.data[3 * (static_cast<int64_t>(r) * t.size + c) + k]];
    };
    const float sharp = (1 - b) * ((1 - a) * at(i, j) + a * at(i1, j)) +
                        b * ((1 - a) * at(i, j1) + a * at(i1, j1));
    rgb[k] = (1 - blur) * sharp + blur * t.mean[k];
  }
}

void sky(const BackdropArgs& a, const float d[3], float rgb[3]) {
  if (!a.panorama) {
    irradiance(a.light.sh, d, rgb);
    return;
  }
  const float longitude = std::atan2(d[0], d[2]), latitude = std::asin(std::min(std::max(d[1], -1.f), 1.f));
  const float u = wrap(longitude / (2 * kPi) + 0.5f) * a.panorama_width - 0.5f;
  const float v = (0.5f - latitude / kPi) * a.panorama_height - 0.5f;
  const int i = floor_to_int(u), j = floor_to_int(v);
  const float p = u - i, q = v - j;
  const int w = a.panorama_width, h = a.panorama_height;
  const int i0 = (i + w) % w, i1 = (i + 1 + w) % w;
  const int j0 = std::min(std::max(j, 0), h - 1), j1 = std::min(std::max(j + 1, 0), h - 1);
  for (int k = 0; k < 3; ++k) {
    auto at = [&](int c, int r) { return a.panorama[3 * (static_cast<int64_t>(r) * w + c) + k]; };
    rgb[k] = (1 - q) * ((1 - p) * at(i0, j0) + p * at(i1, j0)) +
             q * ((1 - p) * at(i0, j1) + p * at(i1, j1));
  }
}

// The first surface on a ray: its distance, normal and texture coordinates.
struct Hit {
  float t;
  float n[3];
  float u, v;
  bool wall;
};

void meet(Hit& hit, float t, int axis, float sign, float u, float v, bool wall) {
  if (!(t > 1e-3f) || t >= hit.t) return;
  hit.t = t;
  hit.n[0] = hit.n[1] = hit.n[2] = 0.f;
  hit.n[axis] = sign;
  hit.u = u;
  hit.v = v;
  hit.wall = wall;
}

Hit trace(const BackdropArgs& a, const float d[3]) {
  Hit hit = {1e9f, {0, 1, 0}, 0, 0, false};
  if (d[1] < -1e-5f) {
    const float t = (a.floor - a.eye[1]) / d[1];
    meet(hit, t, 1, 1.f, a.eye[0] + t * d[0], a.eye[2] + t * d[2], false);
  }
  if (a.room[0] >= a.room[1]) return hit;
  if (d[1] > 1e-5f) {
    const float t = (a.room[4] - a.eye[1]) / d[1];
    meet(hit, t, 1, -1.f, 0.f, 0.f, true);
  }
  for (int side = 0; side < 4; ++side) {
    const int axis = side < 2 ? 0 : 2;
    const float sign = side % 2 ? -1.f : 1.f;  // the wall's normal looks into the room
    if (d[axis] * sign > -1e-5f) continue;
    const float t = (a.room[side] - a.eye[axis]) / d[axis];
    const int across = axis == 0 ? 2 : 0;
    meet(hit, t, axis, sign, a.eye[across] + t * d[across], a.eye[1] + t * d[1] - a.floor, true);
  }
  return hit;
}

void pixel(const BackdropArgs& a, const Texture& ground, const Texture& wall, int column, int row, float rgb[3]) {
  const float c[3] = {(column + 0.5f - a.cx) / a.fx, (row + 0.5f - a.cy) / a.fy, 1.f};
  float d[3];
  for (int k = 0; k < 3; ++k)
    d[k] = a.R_world_camera[3 * k] * c[0] + a.R_world_camera[3 * k + 1] * c[1] +
           a.R_world_camera[3 * k + 2] * c[2];
  const float length = std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
  for (int k = 0; k < 3; ++k) d[k] /= length;
  const Hit hit = trace(a, d);
  const bool outdoors = a.room[0] >= a.room[1];
  const float far = outdoors ? std::min(std::max((hit.t - kFadeFrom) / (kFadeTo - kFadeFrom), 0.f), 1.f) : 0.f;
  float behind[3] = {0, 0, 0};
  if (far > 0.f || hit.t > 1e8f) sky(a, d, behind);
  if (far >= 1.f) {
    for (int k = 0; k < 3; ++k) rgb[k] = behind[k];
    return;
  }
  const float slant = std::max(std::fabs(d[0] * hit.n[0] + d[1] * hit.n[1] + d[2] * hit.n[2]), 0.05f);
  float color[3], light[3], place[3];
  sample(hit.wall ? wall : ground, hit.u, hit.v, hit.t / (a.fx * slant), color);
  irradiance(a.light.sh, hit.n, light);
  for (int k = 0; k < 3; ++k) place[k] = a.eye[k] + hit.t * d[k];
  float sun = std::max(hit.n[0] * a.light.sun[0] + hit.n[1] * a.light.sun[1] +
                       hit.n[2] * a.light.sun[2], 0.f);
  if (sun > 0.f) sun *= sunlight(a.light, a.shadow, place);
  for (int k = 0; k < 3; ++k) {
    const float near = color[k] * (light[k] + sun * a.light.sun_rgb[k]);
    rgb[k] = (1 - far) * near + far * behind[k];
  }
}

}  // namespace

void draw_backdrop(const BackdropArgs& a) {
  const Texture ground = texture_of(a.ground, a.texture_size, a.ground_scale);
  const Texture wall = texture_of(a.wall, a.texture_size, a.wall_scale);
  for (int row = 0; row < a.height; ++row)
    for (int column = 0; column < a.width; ++column)
      pixel(a, ground, wall, column, row, a.rgb + 3 * (static_cast<int64_t>(row) * a.width + column));
}

}  // namespace pear
