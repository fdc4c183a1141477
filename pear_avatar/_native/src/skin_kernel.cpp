// Linear blend skinning, and splats carried by the posed triangles.
//
// A splat's frame has the columns e (along the first edge), t = n x e and n (the normal). Its mean
// is a barycentric point plus R offset, its rotation quat(R) * local. The backward pass holds R
// constant: vertices get their gradient through the barycentric point alone.
#include "kernel_decls.h"

namespace pear {
namespace PEAR_ISA {
namespace {

typedef float Vec4 __attribute__((vector_size(16)));
typedef float Vec4Unaligned __attribute__((vector_size(16), aligned(4), may_alias));

PEAR_INLINE Vec4 load4(const float* p) { return *reinterpret_cast<const Vec4Unaligned*>(p); }
PEAR_INLINE void store4(float* p, Vec4 v) { *reinterpret_cast<Vec4Unaligned*>(p) = v; }

// The rows of a vertex's blended transform.
PEAR_INLINE void blend(const float* transforms, const int32_t* joints, const float* weights,
                       int influences, Vec4* rows) {
  for (int i = 0; i < 3; ++i) rows[i] = Vec4{};
  for (int k = 0; k < influences; ++k) {
    if (weights[k] == 0) continue;
    const float* transform = transforms + 12 * static_cast<int64_t>(joints[k]);
    for (int i = 0; i < 3; ++i) rows[i] += weights[k] * load4(transform + 4 * i);
  }
}

PEAR_INLINE VecF dot(const VecF* a, const VecF* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

PEAR_INLINE void cross(const VecF* a, const VecF* b, VecF* out) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

// A degenerate triangle ends with a finite, meaningless frame rather than NaN.
PEAR_INLINE void normalise(VecF* v) {
  const VecF scale = 1.f / sqrt(max(dot(v, v), broadcast(1e-30f)));
  for (int k = 0; k < 3; ++k) v[k] *= scale;
}

// Corners of the triangles of `count` splats: corner[3 c + d] is coordinate d of corner c.
PEAR_INLINE void load_corners(const SkinArgs& args, int first, int count, VecF* corner) {
  float lanes[9][kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    const int32_t* face = args.faces + 3 * static_cast<int64_t>(first + (lane < count ? lane : 0));
    for (int c = 0; c < 3; ++c)
      for (int d = 0; d < 3; ++d)
        lanes[3 * c + d][lane] = args.vertices[3 * static_cast<int64_t>(face[c]) + d];
  }
  for (int i = 0; i < 9; ++i) corner[i] = load(lanes[i]);
}

// Unit quaternion (w >= 0) of the rotation with columns e, t, n. The four rows below are q q^T
// times 4; the one with the largest diagonal is q times a factor of at least 1 (Shepperd 1978).
PEAR_INLINE void quat_of_columns(const VecF* e, const VecF* t, const VecF* n, VecF* q) {
  const VecF wx = t[2] - n[1], wy = n[0] - e[2], wz = e[1] - t[0];
  const VecF xy = e[1] + t[0], xz = n[0] + e[2], yz = t[2] + n[1];
  const VecF rows[4][4] = {{1.f + e[0] + t[1] + n[2], wx, wy, wz},
                           {wx, 1.f + e[0] - t[1] - n[2], xy, xz},
                           {wy, xy, 1.f - e[0] + t[1] - n[2], yz},
                           {wz, xz, yz, 1.f - e[0] - t[1] + n[2]}};
  VecF best = rows[0][0];
  for (int k = 0; k < 4; ++k) q[k] = rows[0][k];
  for (int row = 1; row < 4; ++row) {
    const VecI better = rows[row][row] > best;
    best = better ? rows[row][row] : best;
    for (int k = 0; k < 4; ++k) q[k] = better ? rows[row][k] : q[k];
  }
  const VecF length2 = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];
  const VecF scale = 1.f / sqrt(length2);
  const VecF signed_scale = q[0] < VecF{} ? -scale : scale;
  for (int k = 0; k < 4; ++k) q[k] *= signed_scale;
}

PEAR_INLINE void quat_product(const VecF* a, const VecF* b, VecF* out) {
  out[0] = a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3];
  out[1] = a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2];
  out[2] = a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1];
  out[3] = a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0];
}

// v turned back by the unit quaternion q: R(q)^T v = v - 2 w (u x v) + 2 u x (u x v).
PEAR_INLINE void rotate_back(const VecF* q, const VecF* v, VecF* out) {
  VecF once[3], twice[3];
  cross(q + 1, v, once);
  cross(q + 1, once, twice);
  for (int k = 0; k < 3; ++k) out[k] = v[k] + 2 * (twice[k] - q[0] * once[k]);
}

}  // namespace

void skin_vertices(const SkinArgs& args, int begin, int end) {
  for (int v = begin; v < end; ++v) {
    const int64_t influence = static_cast<int64_t>(v) * args.influences;
    Vec4 rows[3];
    blend(args.transforms, args.skin_joints + influence, args.skin_weights + influence,
          args.influences, rows);
    const float* p = args.rest + 3 * static_cast<int64_t>(v);
    float* out = args.vertices + 3 * static_cast<int64_t>(v);
    for (int i = 0; i < 3; ++i)
      out[i] = rows[i][0] * p[0] + rows[i][1] * p[1] + rows[i][2] * p[2] + rows[i][3];
  }
}

void bind_splats(const SkinArgs& args, int begin, int end) {
  for (int first = begin; first < end; first += kLanes) {
    const int count = min_int(kLanes, end - first);
    const int64_t at = first;
    VecF corner[9], weight[3], offset[3], local[4];
    load_corners(args, first, count, corner);
    load_rows<3>(args.barycentric + 3 * at, count, weight);
    load_rows<3>(args.offsets + 3 * at, count, offset);
    load_rows<4>(args.local_quats + 4 * at, count, local);
    VecF e[3], other[3], n[3], t[3], mean[3];
    for (int d = 0; d < 3; ++d) {
      e[d] = corner[3 + d] - corner[d];
      other[d] = corner[6 + d] - corner[d];
      mean[d] = weight[0] * corner[d] + weight[1] * corner[3 + d] + weight[2] * corner[6 + d];
    }
    cross(e, other, n);
    normalise(e);
    normalise(n);
    cross(n, e, t);
    for (int d = 0; d < 3; ++d) mean[d] += e[d] * offset[0] + t[d] * offset[1] + n[d] * offset[2];
    VecF frame[4], quat[4];
    quat_of_columns(e, t, n, frame);
    quat_product(frame, local, quat);
    store_rows<3>(args.means + 3 * at, count, mean);
    store_rows<4>(args.quats + 4 * at, count, quat);
    store_rows<4>(args.frame_quats + 4 * at, count, frame);
  }
}

void bind_splats_backward(const SkinBackwardArgs& args, int begin, int end) {
  for (int first = begin; first < end; first += kLanes) {
    const int count = min_int(kLanes, end - first);
    const int64_t at = first;
    VecF frame[4], grad_mean[3] = {}, grad_quat[4] = {}, grad_offset[3], grad_local[4];
    load_rows<4>(args.frame_quats + 4 * at, count, frame);
    if (args.grad_means) load_rows<3>(args.grad_means + 3 * at, count, grad_mean);
    if (args.grad_quats) load_rows<4>(args.grad_quats + 4 * at, count, grad_quat);
    rotate_back(frame, grad_mean, grad_offset);
    const VecF conjugate[4] = {frame[0], -frame[1], -frame[2], -frame[3]};
    quat_product(conjugate, grad_quat, grad_local);
    store_rows<3>(args.grad_offsets + 3 * at, count, grad_offset);
    store_rows<4>(args.grad_local_quats + 4 * at, count, grad_local);
  }
}

void skin_vertices_backward(const SkinBackwardArgs& args, int begin, int end) {
  float* partial =
      args.transform_partials + 12 * static_cast<int64_t>(args.num_joints) * (begin / kSkinBlock);
  for (int i = 0; i < 12 * args.num_joints; ++i) partial[i] = 0;
  for (int v = begin; v < end; ++v) {
    const int64_t at = 3 * static_cast<int64_t>(v);
    float g[3] = {0, 0, 0};
    if (args.grad_vertices)
      for (int d = 0; d < 3; ++d) g[d] = args.grad_vertices[at + d];
    if (args.grad_means)
      for (int k = args.incident_offsets[v]; k < args.incident_offsets[v + 1]; ++k) {
        const float* from = args.grad_means + 3 * static_cast<int64_t>(args.incident_splats[k]);
        for (int d = 0; d < 3; ++d) g[d] += args.incident_weights[k] * from[d];
      }
    const Vec4 p = {args.rest[at], args.rest[at + 1], args.rest[at + 2], 1.f};
    const Vec4 outer[3] = {g[0] * p, g[1] * p, g[2] * p};
    Vec4 grad_rest = Vec4{};
    const int64_t influence = static_cast<int64_t>(v) * args.influences;
    for (int k = 0; k < args.influences; ++k) {
      const float weight = args.skin_weights[influence + k];
      if (weight == 0) continue;
      const int64_t joint = 12 * static_cast<int64_t>(args.skin_joints[influence + k]);
      for (int i = 0; i < 3; ++i) {
        float* sum = partial + joint + 4 * i;
        store4(sum, load4(sum) + weight * outer[i]);
        grad_rest += weight * g[i] * load4(args.transforms + joint + 4 * i);
      }
    }
    for (int d = 0; d < 3; ++d) args.grad_rest[at + d] = grad_rest[d];
  }
}

}  // namespace PEAR_ISA
}  // namespace pear
