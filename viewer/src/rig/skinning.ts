/** Linear blend skinning, and where the splats' centres end up. */

import type { RigData } from "../io/avatar";
import { TRANSFORM } from "./kinematics";

/** Floats of one posed vertex: x, y, z and the growth of its splats. */
export const VERTEX = 4;

/**
 * @param rest (V, 3) rest pose
 * @param transforms (J, 12) rest to posed
 * @param growth (V,) passed on as the fourth number
 * @param out (>= V, 4)
 */
export function skin(
  rig: RigData,
  rest: Float32Array,
  transforms: Float64Array,
  growth: Float32Array,
  out: Float32Array,
): void {
  const { influences: K, skinJoints, skinWeights } = rig;
  const count = rest.length / 3;
  for (let v = 0, i = 0; v < count; v++) {
    const x = rest[3 * v],
      y = rest[3 * v + 1],
      z = rest[3 * v + 2];
    let px = 0,
      py = 0,
      pz = 0;
    for (const end = i + K; i < end; i++) {
      const q = skinWeights[i];
      if (q === 0) continue;
      const w = q / 65535,
        o = skinJoints[i] * TRANSFORM;
      px += w * (transforms[o] * x + transforms[o + 3] * y + transforms[o + 6] * z + transforms[o + 9]);
      py += w * (transforms[o + 1] * x + transforms[o + 4] * y + transforms[o + 7] * z + transforms[o + 10]);
      pz += w * (transforms[o + 2] * x + transforms[o + 5] * y + transforms[o + 8] * z + transforms[o + 11]);
    }
    const o = v * VERTEX;
    out[o] = px;
    out[o + 1] = py;
    out[o + 2] = pz;
    out[o + 3] = growth[v];
  }
}

/** Corners and weights of each splat's point, laid out for one pass over memory. */
export interface SplatAnchors {
  /** (N, 3) offsets of the corners in the posed vertex array. */
  readonly corners: Uint32Array;
  /** (N, 2) weights of the second and third corner. */
  readonly weights: Float32Array;
}

/**
 * Depth of each splat along a direction. Offsets from the surface (under a centimetre) are part of
 * it, along the triangle's frame, so that the order is that of the true centres.
 */
export function splatDepths(
  anchors: SplatAnchors,
  offsets: Float32Array,
  posed: Float32Array,
  direction: readonly number[],
  depths: Float32Array,
): void {
  const { corners, weights } = anchors;
  const [dx, dy, dz] = direction;
  for (let s = 0; s < depths.length; s++) {
    const a = corners[3 * s],
      b = corners[3 * s + 1],
      c = corners[3 * s + 2];
    const u = weights[2 * s],
      v = weights[2 * s + 1];
    const ax = posed[a],
      ay = posed[a + 1],
      az = posed[a + 2];
    const e1x = posed[b] - ax,
      e1y = posed[b + 1] - ay,
      e1z = posed[b + 2] - az;
    const e2x = posed[c] - ax,
      e2y = posed[c + 1] - ay,
      e2z = posed[c + 2] - az;
    const nx = e1y * e2z - e1z * e2y,
      ny = e1z * e2x - e1x * e2z,
      nz = e1x * e2y - e1y * e2x;
    const e = 1 / Math.sqrt(e1x * e1x + e1y * e1y + e1z * e1z + 1e-30);
    const n = 1 / Math.sqrt(nx * nx + ny * ny + nz * nz + 1e-30);
    const dot1 = e1x * dx + e1y * dy + e1z * dz;
    const dotN = (nx * dx + ny * dy + nz * dz) * n;
    // t = n x e, so t . d = (n x e) . d.
    const dotT =
      ((ny * e1z - nz * e1y) * dx + (nz * e1x - nx * e1z) * dy + (nx * e1y - ny * e1x) * dz) * n * e;
    const along = offsets[3 * s] * dot1 * e + offsets[3 * s + 1] * dotT + offsets[3 * s + 2] * dotN;
    depths[s] = ax * dx + ay * dy + az * dz + u * dot1 + v * (e2x * dx + e2y * dy + e2z * dz) + along;
  }
}
