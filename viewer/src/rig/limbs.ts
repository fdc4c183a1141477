/**
 * Longer and shorter arms and legs: bones are stretched along themselves at rest, and the skin
 * follows by its weights, so that nothing tears and hands and feet keep their size.
 */

import type { RigData } from "../io/avatar";

/** Lengths of arms and legs as multiples of the person's own. */
export type Limbs = readonly [arms: number, legs: number];

/** SMPL-X's joints: the two bones of each limb, then where hand or foot begins. */
const CHAINS: readonly (readonly [limb: 0 | 1, joints: readonly [number, number, number]])[] = [
  [0, [16, 18, 20]],
  [0, [17, 19, 21]],
  [1, [1, 4, 7]],
  [1, [2, 5, 8]],
];

/** What a joint does to the rest points that follow it: a shift, and a stretch along its bone. */
interface Move {
  readonly shift: readonly number[];
  readonly stretch: number;
  readonly origin: readonly number[];
  readonly axis: readonly number[];
  /** Points behind the first joint of a limb stay. */
  readonly first: boolean;
}

/** Changes rest vertices (V, 3) and joints (J, 3); whether anything is stretched. */
export function stretchLimbs(
  rig: RigData,
  vertices: Float32Array,
  joints: Float32Array,
  limbs: Limbs,
): boolean {
  if (limbs[0] === 1 && limbs[1] === 1) return false;
  const moves = new Map<number, Move>();
  for (const [limb, chain] of CHAINS) {
    const stretch = limbs[limb] - 1;
    let shift = [0, 0, 0];
    chain.forEach((joint, i) => {
      const origin = at(joints, joint);
      const end = i < 2 ? at(joints, chain[i + 1]) : origin;
      const bone = end.map((v, k) => v - origin[k]);
      const length = Math.hypot(...bone);
      const axis = bone.map((v) => (length > 0 ? v / length : 0));
      moves.set(joint, { shift, stretch: i < 2 ? stretch : 0, origin, axis, first: i === 0 });
      shift = shift.map((v, k) => v + stretch * bone[k]);
    });
  }
  // Whatever hangs on a wrist or an ankle goes with it.
  rig.parents.forEach((parent, j) => {
    const above = moves.get(parent);
    if (above && !moves.has(j)) moves.set(j, { ...above, stretch: 0 });
  });
  moveVertices(rig, vertices, moves);
  for (const [joint, { shift }] of moves) for (let k = 0; k < 3; k++) joints[3 * joint + k] += shift[k];
  return true;
}

function moveVertices(rig: RigData, vertices: Float32Array, moves: ReadonlyMap<number, Move>): void {
  const { influences, skinJoints, skinWeights } = rig;
  for (let v = 0; v < vertices.length / 3; v++) {
    const point = at(vertices, v);
    for (let i = v * influences; i < (v + 1) * influences; i++) {
      const move = skinWeights[i] > 0 ? moves.get(skinJoints[i]) : undefined;
      if (!move) continue;
      let along = 0;
      for (let k = 0; k < 3; k++) along += move.axis[k] * (point[k] - move.origin[k]);
      if (move.first) along = Math.max(along, 0);
      for (let k = 0; k < 3; k++)
        vertices[3 * v + k] +=
          (skinWeights[i] / 65535) * (move.shift[k] + move.stretch * along * move.axis[k]);
    }
  }
}

function at(points: Float32Array, i: number): number[] {
  return [points[3 * i], points[3 * i + 1], points[3 * i + 2]];
}
