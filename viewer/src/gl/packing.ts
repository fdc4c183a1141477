/** Splats as texels: two RGBA32UI each, holding all that does not change with the pose. */

import { halfToNumber, numberToHalf } from "../io/half";
import type { AvatarData, SplatData } from "../io/avatar";

export const SPLATS_PER_ROW = 512;
export const WORDS = 8;

/**
 * Words of one splat: vertex ids a, b, c and barycentric b, c (16 bits each); the offset along
 * e, t, n (halfs, metres); the lower Cholesky factor of its covariance in the triangle's frame
 * (six halfs, millimetres); rgba8.
 */
export function packSplats(avatar: AvatarData): { data: Uint32Array; rows: number } {
  const { splats, rig } = avatar;
  const rows = Math.ceil(splats.count / SPLATS_PER_ROW);
  const data = new Uint32Array(rows * SPLATS_PER_ROW * WORDS);
  const bytes = new Uint32Array(
    splats.rgba.buffer.slice(splats.rgba.byteOffset, splats.rgba.byteOffset + splats.rgba.byteLength),
  );
  for (let s = 0; s < splats.count; s++) {
    const f = 3 * splats.face[s],
      o = s * WORDS;
    const { barycentric: uv, offsets } = splats;
    data[o] = rig.faces[f] | (rig.faces[f + 1] << 16);
    data[o + 1] = rig.faces[f + 2] | (uv[2 * s] << 16);
    data[o + 2] = uv[2 * s + 1] | (offsets[3 * s] << 16);
    data[o + 3] = offsets[3 * s + 1] | (offsets[3 * s + 2] << 16);
    const L = choleskyOfSplat(splats, s).map(numberToHalf);
    for (let k = 0; k < 3; k++) data[o + 4 + k] = L[2 * k] | (L[2 * k + 1] << 16);
    data[o + 7] = bytes[s];
  }
  return { data, rows };
}

/** L00, L10, L20, L11, L21, L22 of R diag(s^2) R^T. */
function choleskyOfSplat(splats: SplatData, s: number): number[] {
  const q = splats.quats;
  const norm = 1 / (Math.hypot(q[4 * s], q[4 * s + 1], q[4 * s + 2], q[4 * s + 3]) || 1);
  const [w, x, y, z] = [q[4 * s] * norm, q[4 * s + 1] * norm, q[4 * s + 2] * norm, q[4 * s + 3] * norm];
  const rows = [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
  const scale = [0, 1, 2].map((k) => halfToNumber(splats.scales[3 * s + k]));
  const cov = (i: number, j: number): number =>
    [0, 1, 2].reduce((sum, k) => sum + rows[i][k] * rows[j][k] * scale[k] ** 2, 0);
  const L00 = Math.sqrt(Math.max(cov(0, 0), 1e-12));
  const L10 = cov(1, 0) / L00,
    L20 = cov(2, 0) / L00;
  const L11 = Math.sqrt(Math.max(cov(1, 1) - L10 * L10, 1e-12));
  const L21 = (cov(2, 1) - L20 * L10) / L11;
  const L22 = Math.sqrt(Math.max(cov(2, 2) - L20 * L20 - L21 * L21, 0));
  return [L00, L10, L20, L11, L21, L22];
}
