/** Quaternions as [w, x, y, z], the order of every file here. */

export type Quat = readonly [number, number, number, number];
export type Vec3 = readonly [number, number, number];

export const IDENTITY: Quat = [1, 0, 0, 0];

export function multiply(a: Quat, b: Quat): Quat {
  return [
    a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
    a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
    a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
    a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
  ];
}

export function conjugate(q: Quat): Quat {
  return [q[0], -q[1], -q[2], -q[3]];
}

export function normalize(q: Quat): Quat {
  const n = Math.hypot(q[0], q[1], q[2], q[3]);
  return n > 1e-12 ? [q[0] / n, q[1] / n, q[2] / n, q[3] / n] : IDENTITY;
}

/** A turn of `angle` radians about a unit axis. */
export function fromAxisAngle(axis: Vec3, angle: number): Quat {
  const s = Math.sin(angle / 2);
  return [Math.cos(angle / 2), axis[0] * s, axis[1] * s, axis[2] * s];
}

/** The turn whose axis-angle vector is (x, y, z). */
export function fromRotationVector(x: number, y: number, z: number): Quat {
  const angle = Math.hypot(x, y, z);
  return angle > 1e-9 ? fromAxisAngle([x / angle, y / angle, z / angle], angle) : IDENTITY;
}

export function rotate(q: Quat, v: Vec3): Vec3 {
  const [w, x, y, z] = q;
  const tx = 2 * (y * v[2] - z * v[1]);
  const ty = 2 * (z * v[0] - x * v[2]);
  const tz = 2 * (x * v[1] - y * v[0]);
  return [v[0] + w * tx + y * tz - z * ty, v[1] + w * ty + z * tx - x * tz, v[2] + w * tz + x * ty - y * tx];
}

/** The shortest turn that carries unit vector a onto unit vector b. */
export function between(a: Vec3, b: Vec3): Quat {
  const d = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  if (d < -0.999999) {
    const axis: Vec3 = Math.abs(a[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0];
    const c = cross(a, axis);
    return normalize([0, c[0], c[1], c[2]]);
  }
  const c = cross(a, b);
  return normalize([1 + d, c[0], c[1], c[2]]);
}

/** Normalised interpolation along the shorter way; exact at both ends. */
export function mix(a: Quat, b: Quat, t: number): Quat {
  const d = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
  const s = d < 0 ? -t : t;
  const r = 1 - t;
  return normalize([r * a[0] + s * b[0], r * a[1] + s * b[1], r * a[2] + s * b[2], r * a[3] + s * b[3]]);
}

/** Rotation of a column-major 3x3 matrix stored in the first nine of `m` from `o`. */
export function fromColumns(m: ArrayLike<number>, o: number): Quat {
  const [m00, m10, m20, m01, m11, m21, m02, m12, m22] = [
    m[o],
    m[o + 1],
    m[o + 2],
    m[o + 3],
    m[o + 4],
    m[o + 5],
    m[o + 6],
    m[o + 7],
    m[o + 8],
  ];
  const trace = m00 + m11 + m22;
  if (trace > 0) return normalize([1 + trace, m21 - m12, m02 - m20, m10 - m01]);
  if (m00 >= m11 && m00 >= m22) return normalize([m21 - m12, 1 + m00 - m11 - m22, m01 + m10, m02 + m20]);
  if (m11 >= m22) return normalize([m02 - m20, m01 + m10, 1 + m11 - m00 - m22, m12 + m21]);
  return normalize([m10 - m01, m02 + m20, m12 + m21, 1 + m22 - m00 - m11]);
}

export function cross(a: Vec3, b: Vec3): Vec3 {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function unit(v: Vec3): Vec3 {
  const n = Math.hypot(v[0], v[1], v[2]);
  return n > 1e-12 ? [v[0] / n, v[1] / n, v[2] / n] : [0, 0, 1];
}
