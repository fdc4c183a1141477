/** Where a posed body stands: its landmarks must lie on their rays (pear_avatar.recovery.lifter.place). */

import type { Vec3 } from "../rig/quaternion";

/** Metres; landmarks further off count little, and less from pass to pass. */
const KERNELS = [1e3, 0.4, 0.15, 0.05, 0.05] as const;
/** Trust in the guess as a share of the landmarks' weight: sideways, in depth. */
const PRIOR: Vec3 = [1e-3, 1e-3, 5e-5];
/** People stand in front of the camera. */
const NEAREST = -0.05;

export function place(
  points: Float64Array,
  { rays, weights }: { readonly rays: Float32Array; readonly weights: Float32Array },
  guess: Vec3,
): Vec3 {
  const trust = Math.max(
    weights.reduce((a, b) => a + b, 0),
    1e-3,
  );
  const squares = new Float64Array(weights.length);
  let t = guess;
  for (const kernel of KERNELS) {
    const normal = new Float64Array(9);
    const right = new Float64Array(3);
    PRIOR.forEach((p, k) => {
      normal[4 * k] = p * trust;
      right[k] = p * trust * guess[k];
    });
    weights.forEach((weight, i) => {
      const w = weight / (1 + squares[i] / kernel ** 2);
      if (w === 0) return;
      for (const axis of [0, 1] as const) {
        const { slope, wanted } = row(points, rays, i, axis);
        normal[4 * axis] += w;
        normal[3 * axis + 2] += w * slope;
        normal[6 + axis] += w * slope;
        normal[8] += w * slope * slope;
        right[axis] += w * wanted;
        right[2] += w * slope * wanted;
      }
    });
    t = solve(normal, right);
    for (let i = 0; i < squares.length; i++) {
      squares[i] = 0;
      for (const axis of [0, 1] as const) {
        const { slope, wanted } = row(points, rays, i, axis);
        squares[i] += (t[axis] + slope * t[2] - wanted) ** 2;
      }
    }
  }
  let nearest = Number.NEGATIVE_INFINITY;
  for (let i = 2; i < points.length; i += 3) nearest = Math.max(nearest, points[i]);
  return nearest + t[2] > NEAREST ? guess : t;
}

/** t[axis] + slope t[2] = wanted: the landmark lies on its ray, seen along one axis. */
function row(
  points: Float64Array,
  rays: Float32Array,
  i: number,
  axis: 0 | 1,
): { slope: number; wanted: number } {
  const slope = axis === 0 ? rays[2 * i] : -rays[2 * i + 1];
  return { slope, wanted: -points[3 * i + axis] - slope * points[3 * i + 2] };
}

/** The solution of a symmetric 3x3 system by Cramer's rule. */
function solve(m: Float64Array, b: Float64Array): Vec3 {
  const minor = (r: number, c: number): number => {
    const [r1, r2] = [(r + 1) % 3, (r + 2) % 3];
    const [c1, c2] = [(c + 1) % 3, (c + 2) % 3];
    return m[3 * r1 + c1] * m[3 * r2 + c2] - m[3 * r1 + c2] * m[3 * r2 + c1];
  };
  const determinant = m[0] * minor(0, 0) + m[1] * minor(0, 1) + m[2] * minor(0, 2);
  const at = (k: number): number =>
    (b[0] * minor(0, k) + b[1] * minor(1, k) + b[2] * minor(2, k)) / determinant;
  return [at(0), at(1), at(2)];
}
