// A kinematic chain from corrections of a pose to transforms of rest points, and its adjoint.
//
// Joint j turns by R_j = B_j exp(w_j), B_j the pose as it was found and w_j its correction. Its
// world rotation is Q_j = Q_parent R_j and its place p_j = p_parent + Q_parent (r_j - r_parent), r
// the rest places; the root turns about its own. Rest points move by (Q_j, p_j - Q_j r_j + t).
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "abi.h"

namespace pear {
namespace {

struct Vec3 {
  double v[3];
};
struct Mat3 {
  double m[9];
};

Vec3 load_vector(const float* p) { return {{p[0], p[1], p[2]}}; }

Mat3 load_matrix(const float* p) {
  Mat3 out;
  for (int i = 0; i < 9; ++i) out.m[i] = p[i];
  return out;
}

Mat3 product(const Mat3& a, const Mat3& b) {
  Mat3 out;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      out.m[3 * i + j] =
          a.m[3 * i] * b.m[j] + a.m[3 * i + 1] * b.m[3 + j] + a.m[3 * i + 2] * b.m[6 + j];
  return out;
}

Mat3 transposed(const Mat3& a) {
  return {{a.m[0], a.m[3], a.m[6], a.m[1], a.m[4], a.m[7], a.m[2], a.m[5], a.m[8]}};
}

Vec3 product(const Mat3& a, const Vec3& b) {
  Vec3 out;
  for (int i = 0; i < 3; ++i)
    out.v[i] = a.m[3 * i] * b.v[0] + a.m[3 * i + 1] * b.v[1] + a.m[3 * i + 2] * b.v[2];
  return out;
}

void add(Mat3& to, const Mat3& from) {
  for (int i = 0; i < 9; ++i) to.m[i] += from.m[i];
}

void add(Vec3& to, const Vec3& from, double factor = 1) {
  for (int i = 0; i < 3; ++i) to.v[i] += factor * from.v[i];
}

void add_outer(Mat3& to, const Vec3& a, const Vec3& b, double factor) {
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) to.m[3 * i + j] += factor * a.v[i] * b.v[j];
}

// exp(w) = I + a K + b K^2 for the cross-product matrix K of w, and the derivatives of a and b by
// the squared angle. Series below a hundredth of a radian, where the closed forms cancel.
struct Coefficients {
  double a, b, da, db;
};

Coefficients coefficients(const Vec3& w) {
  const double square = w.v[0] * w.v[0] + w.v[1] * w.v[1] + w.v[2] * w.v[2];
  if (square < 1e-4)
    return {1 - square / 6 * (1 - square / 20), 0.5 - square / 24 * (1 - square / 30),
            -1.0 / 6 + square / 60, -1.0 / 24 + square / 360};
  const double angle = std::sqrt(square), half = std::sin(0.5 * angle) / angle;
  const double a = std::sin(angle) / angle, b = 2 * half * half;
  return {a, b, (std::cos(angle) - a) / (2 * square), (0.5 * a - b) / square};
}

Mat3 cross_matrix(const Vec3& w) {
  return {{0, -w.v[2], w.v[1], w.v[2], 0, -w.v[0], -w.v[1], w.v[0], 0}};
}

Mat3 exponential(const Vec3& w) {
  const Coefficients c = coefficients(w);
  const Mat3 k = cross_matrix(w), square = product(k, k);
  Mat3 out;
  for (int i = 0; i < 9; ++i) out.m[i] = c.a * k.m[i] + c.b * square.m[i] + (i % 4 == 0 ? 1 : 0);
  return out;
}

double dot(const Mat3& a, const Mat3& b) {
  double total = 0;
  for (int i = 0; i < 9; ++i) total += a.m[i] * b.m[i];
  return total;
}

// dL/dw from dL/d exp(w).
Vec3 exponential_gradient(const Vec3& w, const Mat3& g) {
  const Coefficients c = coefficients(w);
  const Mat3 k = cross_matrix(w), kt = transposed(k);
  const double by_square = 2 * (c.da * dot(g, k) + c.db * dot(g, product(k, k)));
  Mat3 gk = product(g, kt);  // d(K K): G K^T + K^T G
  add(gk, product(kt, g));
  for (int i = 0; i < 9; ++i) gk.m[i] = c.a * g.m[i] + c.b * gk.m[i];
  const Vec3 axial = {{gk.m[7] - gk.m[5], gk.m[2] - gk.m[6], gk.m[3] - gk.m[1]}};
  Vec3 out = axial;
  add(out, w, by_square);
  return out;
}

// World rotations and places of the joints.
struct Chain {
  std::vector<Mat3> turn, world;
  std::vector<Vec3> bone, place;  // r_j - r_parent; p_j
};

Chain walk(int num_joints, const int32_t* parents, const float* base, const float* correction,
           const float* rest) {
  Chain c;
  c.turn.resize(static_cast<std::size_t>(num_joints));
  c.world = c.turn;
  c.bone.resize(static_cast<std::size_t>(num_joints));
  c.place = c.bone;
  for (int j = 0; j < num_joints; ++j) {
    c.turn[j] = product(load_matrix(base + 9 * j), exponential(load_vector(correction + 3 * j)));
    c.bone[j] = load_vector(rest + 3 * j);
    const int parent = parents[j];
    if (parent < 0) {
      c.world[j] = c.turn[j];
      c.place[j] = c.bone[j];
      continue;
    }
    add(c.bone[j], load_vector(rest + 3 * parent), -1);
    c.world[j] = product(c.world[parent], c.turn[j]);
    c.place[j] = product(c.world[parent], c.bone[j]);
    add(c.place[j], c.place[parent]);
  }
  return c;
}

}  // namespace
}  // namespace pear

// parents (J,), -1 for the first, else before the child; base (J, 3, 3); correction (J, 3) axis
// times angle; rest (J, 3); transl (3,). Writes turns (J, 3, 3), each joint's own rotation, and
// transforms (J, 3, 4).
PEAR_EXPORT int pear_chain_forward(int num_joints, const int32_t* parents, const float* base,
                                   const float* correction, const float* rest,
                                   const float* transl, float* turns, float* transforms) {
  using namespace pear;
  try {
    const Chain chain = walk(num_joints, parents, base, correction, rest);
    for (int j = 0; j < num_joints; ++j) {
      Vec3 shift = chain.place[j];
      add(shift, product(chain.world[j], load_vector(rest + 3 * j)), -1);
      for (int i = 0; i < 3; ++i) {
        for (int k = 0; k < 3; ++k) {
          turns[9 * j + 3 * i + k] = static_cast<float>(chain.turn[j].m[3 * i + k]);
          transforms[12 * j + 4 * i + k] = static_cast<float>(chain.world[j].m[3 * i + k]);
        }
        transforms[12 * j + 4 * i + 3] = static_cast<float>(shift.v[i] + transl[i]);
      }
    }
  } catch (const std::bad_alloc&) {
    return kOutOfMemory;
  }
  return kOk;
}

// The same inputs; grad_turns (J, 3, 3) or null, grad_transforms (J, 3, 4). Writes the gradients of
// correction, rest and transl.
PEAR_EXPORT int pear_chain_backward(int num_joints, const int32_t* parents, const float* base,
                                    const float* correction, const float* rest,
                                    const float* grad_turns, const float* grad_transforms,
                                    float* grad_correction, float* grad_rest,
                                    float* grad_transl) {
  using namespace pear;
  try {
    const Chain chain = walk(num_joints, parents, base, correction, rest);
    const std::size_t count = static_cast<std::size_t>(num_joints);
    std::vector<Mat3> world(count, Mat3{});
    std::vector<Vec3> place(count, Vec3{}), at_rest(count, Vec3{});
    Vec3 transl = {};
    for (int j = 0; j < num_joints; ++j) {
      const float* g = grad_transforms + 12 * j;
      for (int i = 0; i < 3; ++i) {
        for (int k = 0; k < 3; ++k) world[j].m[3 * i + k] = g[4 * i + k];
        place[j].v[i] = g[4 * i + 3];
      }
      add(transl, place[j]);
      add_outer(world[j], place[j], load_vector(rest + 3 * j), -1);
      add(at_rest[j], product(transposed(chain.world[j]), place[j]), -1);
    }
    for (int j = num_joints - 1; j >= 0; --j) {
      const int parent = parents[j];
      Mat3 turn = world[j];
      if (parent < 0) {
        add(at_rest[j], place[j]);
      } else {
        const Mat3 up = transposed(chain.world[parent]);
        turn = product(up, world[j]);
        add(world[parent], product(world[j], transposed(chain.turn[j])));
        add_outer(world[parent], place[j], chain.bone[j], 1);
        const Vec3 bone = product(up, place[j]);
        add(place[parent], place[j]);
        add(at_rest[j], bone);
        add(at_rest[parent], bone, -1);
      }
      if (grad_turns) add(turn, load_matrix(grad_turns + 9 * j));
      const Mat3 inner = product(transposed(load_matrix(base + 9 * j)), turn);
      const Vec3 gradient = exponential_gradient(load_vector(correction + 3 * j), inner);
      for (int i = 0; i < 3; ++i) grad_correction[3 * j + i] = static_cast<float>(gradient.v[i]);
    }
    for (int j = 0; j < num_joints; ++j)
      for (int i = 0; i < 3; ++i) grad_rest[3 * j + i] = static_cast<float>(at_rest[j].v[i]);
    for (int i = 0; i < 3; ++i) grad_transl[i] = static_cast<float>(transl.v[i]);
  } catch (const std::bad_alloc&) {
    return kOutOfMemory;
  }
  return kOk;
}
