// Projection of 3D Gaussians to screen-space Gaussians and its adjoint.
//
// The maths is EWA splatting (Zwicker et al. 2001) with gsplat's conventions: the perspective
// Jacobian is taken at a point clamped to 1.3 times the field of view, and eps2d is added to the
// diagonal of the screen covariance. With M = R(q) diag(s) and the rows t0, t1 of J W, the screen
// covariance is [[u.u, u.v], [u.v, v.v]] for u = M^T t0 and v = M^T t1. Its determinant is taken as
// |u x v|^2 (Lagrange's identity), which stays exact for needles where u.u v.v - (u.v)^2 cancels.
#include "kernel_decls.h"

namespace pear {
namespace PEAR_ISA {
namespace {

// Bounds of x/z and y/z at which the Jacobian is taken.
struct ViewLimits {
  float x_min, x_max, y_min, y_max;
};

PEAR_INLINE ViewLimits view_limits(const Frame& f) {
  const float margin_x = 0.3f * 0.5f * f.width / f.fx;
  const float margin_y = 0.3f * 0.5f * f.height / f.fy;
  return {-(f.cx / f.fx + margin_x), (f.width - f.cx) / f.fx + margin_x,
          -(f.cy / f.fy + margin_y), (f.height - f.cy) / f.fy + margin_y};
}

struct Projected {
  VecF mean[3], quat[4], scale[3];        // inputs; quat is normalised
  VecF inv_norm;                          // 1 / |q|
  VecF xc, yc, zc, inv_z;                 // camera space
  VecF slope_x, slope_y;                  // x/z and y/z
  VecF tx, ty;                            // the same, clamped
  VecF R[9];                              // rotation of the splat, row-major
  VecF j00, j02, j11, j12;                // Jacobian
  VecF t0[3], t1[3];                      // rows of J W
  VecF r0[3], r1[3];                      // R^T t0, R^T t1
  VecF u[3], v[3];                        // r0 * s, r1 * s
  VecF a, b, c, inv_det;                  // screen covariance with eps2d
  VecI valid;                             // the covariance is usable
};

PEAR_INLINE void rotation_of(const VecF* q, VecF* R) {
  const VecF w = q[0], x = q[1], y = q[2], z = q[3];
  R[0] = 1 - 2 * (y * y + z * z);
  R[1] = 2 * (x * y - w * z);
  R[2] = 2 * (x * z + w * y);
  R[3] = 2 * (x * y + w * z);
  R[4] = 1 - 2 * (x * x + z * z);
  R[5] = 2 * (y * z - w * x);
  R[6] = 2 * (x * z - w * y);
  R[7] = 2 * (y * z + w * x);
  R[8] = 1 - 2 * (x * x + y * y);
}

PEAR_INLINE VecF dot3(const VecF* a, const VecF* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

PEAR_INLINE void project_lanes(const Frame& f, const ViewLimits& limits, const Splats& splats,
                               int first, int count, Projected& p) {
  load_rows<3>(splats.means + 3 * static_cast<int64_t>(first), count, p.mean);
  load_rows<4>(splats.quats + 4 * static_cast<int64_t>(first), count, p.quat);
  load_rows<3>(splats.scales + 3 * static_cast<int64_t>(first), count, p.scale);
  const float* w = f.view;
  const VecF* m = p.mean;
  p.xc = w[0] * m[0] + w[1] * m[1] + w[2] * m[2] + w[3];
  p.yc = w[4] * m[0] + w[5] * m[1] + w[6] * m[2] + w[7];
  p.zc = w[8] * m[0] + w[9] * m[1] + w[10] * m[2] + w[11];

  VecF* q = p.quat;
  p.inv_norm = 1.f / sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
  for (int k = 0; k < 4; ++k) q[k] *= p.inv_norm;
  rotation_of(q, p.R);

  p.inv_z = 1.f / p.zc;
  p.slope_x = p.xc * p.inv_z;
  p.slope_y = p.yc * p.inv_z;
  p.tx = max(min(p.slope_x, broadcast(limits.x_max)), broadcast(limits.x_min));
  p.ty = max(min(p.slope_y, broadcast(limits.y_max)), broadcast(limits.y_min));
  p.j00 = f.fx * p.inv_z;
  p.j11 = f.fy * p.inv_z;
  p.j02 = -p.j00 * p.tx;
  p.j12 = -p.j11 * p.ty;
  for (int k = 0; k < 3; ++k) {
    p.t0[k] = p.j00 * w[k] + p.j02 * w[8 + k];
    p.t1[k] = p.j11 * w[4 + k] + p.j12 * w[8 + k];
  }
  for (int k = 0; k < 3; ++k) {
    p.r0[k] = p.R[k] * p.t0[0] + p.R[3 + k] * p.t0[1] + p.R[6 + k] * p.t0[2];
    p.r1[k] = p.R[k] * p.t1[0] + p.R[3 + k] * p.t1[1] + p.R[6 + k] * p.t1[2];
    p.u[k] = p.r0[k] * p.scale[k];
    p.v[k] = p.r1[k] * p.scale[k];
  }
  const VecF *u = p.u, *v = p.v;
  const VecF uu = dot3(u, u), vv = dot3(v, v);
  const VecF n[3] = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2],
                     u[0] * v[1] - u[1] * v[0]};
  const VecF det = dot3(n, n) + f.eps2d * (uu + vv) + f.eps2d * f.eps2d;
  p.a = uu + f.eps2d;
  p.b = dot3(u, v);
  p.c = vv + f.eps2d;
  p.inv_det = 1.f / det;
  p.valid = (det > VecF{}) & is_finite(det) & is_finite(p.inv_det) & (p.zc > f.near_plane) &
            (p.zc < f.far_plane);
}

PEAR_INLINE bool colors_finite(const float* colors, int channels) {
  float zero = 0;
  for (int c = 0; c < channels; ++c) zero += colors[c] * 0.f;
  return zero == 0;
}

}  // namespace

void project(const ProjectArgs& args, int begin, int end) {
  const Frame& f = args.frame;
  const Splats& splats = args.splats;
  const ViewLimits limits = view_limits(f);
  const int inline_colors = min_int(splats.channels, kFirstChannels);
  const VecF width = broadcast(f.width), height = broadcast(f.height), zero = VecF{};
  for (int first = begin; first < end; first += kLanes) {
    const int count = min_int(kLanes, end - first);
    Projected p;
    VecF opacity;
    load_rows<1>(splats.opacities + first, count, &opacity);
    project_lanes(f, limits, splats, first, count, p);

    // Where alpha falls to its threshold: Mahalanobis distance^2 = 2 ln(255 o).
    const VecF log2_opacity = log2(opacity);
    const VecF reach = (log2_opacity - kLog2AlphaMin) * (2.f / kLog2E);
    const VecF x = f.fx * p.slope_x + f.cx, y = f.fy * p.slope_y + f.cy;
    const VecF reach_x = sqrt(reach * p.a) + 0.501f, reach_y = sqrt(reach * p.c) + 0.501f;
    const VecI x0 = __builtin_convertvector(min(max(x - reach_x + 1.f, zero), width), VecI);
    const VecI x1 = __builtin_convertvector(min(max(x + reach_x, zero), width), VecI);
    const VecI y0 = __builtin_convertvector(min(max(y - reach_y + 1.f, zero), height), VecI);
    const VecI y1 = __builtin_convertvector(min(max(y + reach_y, zero), height), VecI);
    // One common factor: its rounding scales the splat, where three would also shear it.
    const VecF factor = kLog2E * p.inv_det;
    const VecF a = -0.5f * p.c * factor, b = p.b * factor, c = -0.5f * p.a * factor;
    // Comparisons with NaN are false, so whatever is not a number is culled here.
    const VecI visible = p.valid & (opacity >= kAlphaMin) & is_finite(opacity) & is_finite(x) &
                         is_finite(y) & is_finite(a) & is_finite(b) & is_finite(c) & (x1 > x0) &
                         (y1 > y0);
    for (int lane = 0; lane < count; ++lane) {
      SplatRecord& r = args.records[first + lane];
      const float* color = splats.colors + (first + lane) * static_cast<int64_t>(splats.channels);
      if (!visible[lane] || !colors_finite(color, splats.channels)) {
        r.box.x0 = r.box.x1 = 0;
        continue;
      }
      r.x = x[lane];
      r.y = y[lane];
      r.a = a[lane];
      r.b = b[lane];
      r.c = c[lane];
      r.log2_opacity = log2_opacity[lane];
      for (int k = 0; k < kFirstChannels; ++k) r.feature[k] = k < inline_colors ? color[k] : 0.f;
      r.feature[kFirstChannels] = p.zc[lane];
      r.box = {static_cast<int16_t>(x0[lane]), static_cast<int16_t>(x1[lane]),
               static_cast<int16_t>(y0[lane]), static_cast<int16_t>(y1[lane])};
    }
  }
}

namespace {

constexpr int kPairFloats = sizeof(PairGradient) / sizeof(float);

// Sums the pairs of up to kLanes splats: one splat a lane. Returns the lanes that were drawn.
PEAR_INLINE VecI gather_pairs(const ProjectBackwardArgs& args, int first, int count, VecF* total) {
  const int channels = args.splats.channels;
  const int extra = max_int(channels - kFirstChannels, 0);
  float lanes[kPairFloats][kLanes];
  VecI drawn = VecI{};
  for (int lane = 0; lane < kLanes; ++lane) {
    float sums[kPairFloats] = {};
    const PairRange range = lane < count ? args.ranges[first + lane] : PairRange{0, 0};
    if (range.begin < range.end) drawn[lane] = -1;
    for (int k = range.begin; k < range.end; ++k) {
      const float* pair = reinterpret_cast<const float*>(args.pairs + k);
      for (int d = 0; d < kPairFloats; ++d) sums[d] += pair[d];
    }
    for (int d = 0; d < kPairFloats; ++d) lanes[d][lane] = sums[d];
    if (lane >= count) continue;

    float* grad_color = args.grad_colors + (first + lane) * static_cast<int64_t>(channels);
    const PairGradient& pair = *reinterpret_cast<const PairGradient*>(sums);
    for (int c = 0; c < min_int(channels, kFirstChannels); ++c) grad_color[c] = pair.feature[c];
    float* grad_extra = grad_color + kFirstChannels;
    for (int c = 0; c < extra; ++c) grad_extra[c] = 0;
    for (int k = range.begin; k < range.end && extra > 0; ++k) {
      const float* from = args.pair_extra + k * static_cast<int64_t>(extra);
      for (int c = 0; c < extra; ++c) grad_extra[c] += from[c];
    }
  }
  for (int d = 0; d < kPairFloats; ++d) total[d] = load(lanes[d]);
  return drawn;
}

// dL/dq of a unit quaternion from dL/dR, then through the normalisation.
PEAR_INLINE void quat_gradient(const Projected& p, const VecF* gR, VecF* grad) {
  const VecF w = p.quat[0], x = p.quat[1], y = p.quat[2], z = p.quat[3];
  const VecF g[4] = {
      2 * (x * (gR[7] - gR[5]) + y * (gR[2] - gR[6]) + z * (gR[3] - gR[1])),
      2 * (-2 * x * (gR[4] + gR[8]) + y * (gR[1] + gR[3]) + z * (gR[2] + gR[6]) +
           w * (gR[7] - gR[5])),
      2 * (x * (gR[1] + gR[3]) - 2 * y * (gR[0] + gR[8]) + z * (gR[5] + gR[7]) +
           w * (gR[2] - gR[6])),
      2 * (x * (gR[2] + gR[6]) + y * (gR[5] + gR[7]) - 2 * z * (gR[0] + gR[4]) +
           w * (gR[3] - gR[1])),
  };
  const VecF radial = g[0] * w + g[1] * x + g[2] * y + g[3] * z;
  for (int k = 0; k < 4; ++k) grad[k] = (g[k] - radial * p.quat[k]) * p.inv_norm;
}

// Gradients of one vector of splats; adds the camera's share to `camera`.
PEAR_INLINE void project_backward_lanes(const Frame& f, const Projected& p, const VecF* pair,
                                        VecF* g_mean, VecF* g_quat, VecF* g_scale, VecI drawn,
                                        VecF* camera) {
  const VecF gx = pair[1], gy = pair[2], gxx = pair[3], gxy = pair[4], gyy = pair[5];
  const VecF g_depth = pair[6 + kFirstChannels];
  // The conic (A, B; B, C) is the inverse covariance; sigma = (A dx^2 + 2 B dx dy + C dy^2) / 2.
  const VecF A = p.c * p.inv_det, B = -p.b * p.inv_det, C = p.a * p.inv_det;
  const VecF g_x = A * gx + B * gy, g_y = B * gx + C * gy;
  const VecF gA = -0.5f * gxx, gB = -0.5f * gxy, gC = -0.5f * gyy;
  // dL/dSigma = -Conic dL/dConic Conic.
  const VecF k00 = A * gA + B * gB, k01 = A * gB + B * gC;
  const VecF k10 = B * gA + C * gB, k11 = B * gB + C * gC;
  const VecF ga = -(k00 * A + k01 * B), gb = -(k00 * B + k01 * C), gc = -(k10 * B + k11 * C);

  VecF gR[9], g_t0[3], g_t1[3], gu[3], gv[3];
  for (int k = 0; k < 3; ++k) {
    gu[k] = 2 * (ga * p.u[k] + gb * p.v[k]);
    gv[k] = 2 * (gb * p.u[k] + gc * p.v[k]);
    g_scale[k] = gu[k] * p.r0[k] + gv[k] * p.r1[k];
    gu[k] *= p.scale[k];
    gv[k] *= p.scale[k];
  }
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 3; ++k) gR[3 * i + k] = p.t0[i] * gu[k] + p.t1[i] * gv[k];
    g_t0[i] = dot3(p.R + 3 * i, gu);
    g_t1[i] = dot3(p.R + 3 * i, gv);
  }
  quat_gradient(p, gR, g_quat);

  const float* w = f.view;
  const VecF g_j00 = g_t0[0] * w[0] + g_t0[1] * w[1] + g_t0[2] * w[2];
  const VecF g_j02 = g_t0[0] * w[8] + g_t0[1] * w[9] + g_t0[2] * w[10];
  const VecF g_j11 = g_t1[0] * w[4] + g_t1[1] * w[5] + g_t1[2] * w[6];
  const VecF g_j12 = g_t1[0] * w[8] + g_t1[1] * w[9] + g_t1[2] * w[10];
  // j02 = -fx tx / z, where tx is x/z inside the limits and constant outside of them.
  const VecF inv_z2 = p.inv_z * p.inv_z;
  const VecF e_x = f.fx * inv_z2 * g_j02, e_y = f.fy * inv_z2 * g_j12;
  const VecI inside_x = p.tx == p.slope_x, inside_y = p.ty == p.slope_y;
  const VecF g_xc = zero_unless(inside_x, -e_x) + p.j00 * g_x;
  const VecF g_yc = zero_unless(inside_y, -e_y) + p.j11 * g_y;
  const VecF g_zc = g_depth - (g_j00 * f.fx + g_j11 * f.fy) * inv_z2 +
                    (inside_x ? 2 * p.tx : p.tx) * e_x + (inside_y ? 2 * p.ty : p.ty) * e_y -
                    (p.j00 * p.slope_x * g_x + p.j11 * p.slope_y * g_y);
  for (int k = 0; k < 3; ++k) g_mean[k] = w[k] * g_xc + w[4 + k] * g_yc + w[8 + k] * g_zc;

  const VecF g_cam[3] = {g_xc, g_yc, g_zc};
  for (int k = 0; k < 3; ++k) {
    camera[k] += zero_unless(drawn, g_xc * p.mean[k] + p.j00 * g_t0[k]);
    camera[4 + k] += zero_unless(drawn, g_yc * p.mean[k] + p.j11 * g_t1[k]);
    camera[8 + k] +=
        zero_unless(drawn, g_zc * p.mean[k] + p.j02 * g_t0[k] + p.j12 * g_t1[k]);
    camera[4 * k + 3] += zero_unless(drawn, g_cam[k]);
  }
}

}  // namespace

void project_backward(const ProjectBackwardArgs& args, int begin, int end) {
  const Frame& f = args.frame;
  const ViewLimits limits = view_limits(f);
  VecF camera[12];
  for (int k = 0; k < 12; ++k) camera[k] = VecF{};
  for (int first = begin; first < end; first += kLanes) {
    const int count = min_int(kLanes, end - first);
    VecF pair[kPairFloats];
    for (int i = first + 2 * kLanes; i < min_int(first + 3 * kLanes, end); ++i)
      __builtin_prefetch(args.pairs + args.ranges[i].begin);
    const VecI drawn = gather_pairs(args, first, count, pair);
    VecF g_mean[3] = {}, g_quat[4] = {}, g_scale[3] = {}, g_opacity = VecF{};
    if (any(drawn)) {
      Projected p;
      VecF opacity;
      load_rows<1>(args.splats.opacities + first, count, &opacity);
      project_lanes(f, limits, args.splats, first, count, p);
      project_backward_lanes(f, p, pair, g_mean, g_quat, g_scale, drawn, camera);
      // Lanes that were not drawn may hold anything, NaN included.
      for (int k = 0; k < 3; ++k) g_mean[k] = zero_unless(drawn, g_mean[k]);
      for (int k = 0; k < 4; ++k) g_quat[k] = zero_unless(drawn, g_quat[k]);
      for (int k = 0; k < 3; ++k) g_scale[k] = zero_unless(drawn, g_scale[k]);
      g_opacity = zero_unless(drawn, pair[0] / opacity);
    }
    store_rows<3>(args.grad_means + 3 * static_cast<int64_t>(first), count, g_mean);
    store_rows<4>(args.grad_quats + 4 * static_cast<int64_t>(first), count, g_quat);
    store_rows<3>(args.grad_scales + 3 * static_cast<int64_t>(first), count, g_scale);
    store_rows<1>(args.grad_opacities + first, count, &g_opacity);
  }
  float* partial = args.camera_partials + 12 * (begin / kProjectBlock);
  for (int k = 0; k < 12; ++k) partial[k] = sum(camera[k]);
}

}  // namespace PEAR_ISA
}  // namespace pear
