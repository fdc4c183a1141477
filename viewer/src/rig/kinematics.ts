/** Forward kinematics: local rotations -> each joint's world transform, as in Python's body.skinning. */

/** Floats of one joint's transform: three columns of the rotation, then the translation. */
export const TRANSFORM = 12;

/**
 * @param parents parents before children, -1 for the root
 * @param joints (J, 3) rest positions
 * @param rotations (J, 4) local wxyz, unit length
 * @param world (J, 12) out: world rotation and position of each joint
 */
export function forwardKinematics(
  parents: readonly number[],
  joints: Float32Array,
  rotations: ArrayLike<number>,
  transl: ArrayLike<number>,
  world: Float64Array,
): void {
  const local = new Float64Array(9);
  for (let j = 0; j < parents.length; j++) {
    columnsOf(rotations, 4 * j, local);
    const p = parents[j];
    const o = j * TRANSFORM;
    if (p < 0) {
      world.set(local, o);
      for (let r = 0; r < 3; r++) world[o + 9 + r] = joints[3 * j + r] + transl[r];
      continue;
    }
    const q = p * TRANSFORM;
    const dx = joints[3 * j] - joints[3 * p];
    const dy = joints[3 * j + 1] - joints[3 * p + 1];
    const dz = joints[3 * j + 2] - joints[3 * p + 2];
    for (let r = 0; r < 3; r++) {
      const a = world[q + r],
        b = world[q + 3 + r],
        c = world[q + 6 + r];
      for (let k = 0; k < 9; k += 3) world[o + k + r] = a * local[k] + b * local[k + 1] + c * local[k + 2];
      world[o + 9 + r] = a * dx + b * dy + c * dz + world[q + 9 + r];
    }
  }
}

/** Transforms that carry rest points along: subtract where the joint was at rest. */
export function restToPosed(world: Float64Array, joints: Float32Array, out: Float64Array): void {
  for (let o = 0, i = 0; o < world.length; o += TRANSFORM, i += 3) {
    const x = joints[i],
      y = joints[i + 1],
      z = joints[i + 2];
    for (let k = 0; k < 9; k++) out[o + k] = world[o + k];
    for (let r = 0; r < 3; r++)
      out[o + 9 + r] = world[o + 9 + r] - (world[o + r] * x + world[o + 3 + r] * y + world[o + 6 + r] * z);
  }
}

/** Columns of the rotation that a wxyz quaternion at `o` stands for; any length. */
function columnsOf(q: ArrayLike<number>, o: number, out: Float64Array): void {
  const n = 1 / Math.hypot(q[o], q[o + 1], q[o + 2], q[o + 3]);
  const w = q[o] * n,
    x = q[o + 1] * n,
    y = q[o + 2] * n,
    z = q[o + 3] * n;
  out[0] = 1 - 2 * (y * y + z * z);
  out[1] = 2 * (x * y + w * z);
  out[2] = 2 * (x * z - w * y);
  out[3] = 2 * (x * y - w * z);
  out[4] = 1 - 2 * (x * x + z * z);
  out[5] = 2 * (y * z + w * x);
  out[6] = 2 * (x * z + w * y);
  out[7] = 2 * (y * z - w * x);
  out[8] = 1 - 2 * (x * x + y * y);
}
