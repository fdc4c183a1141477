/** Where to look at a person from, and where their floor is. */

import { DEFAULT_ORBIT, type OrbitState } from "../camera/orbit";
import { JOINT_COUNT, type AvatarData } from "../io/avatar";
import type { Motion } from "../io/motion";
import { forwardKinematics, TRANSFORM } from "../rig/kinematics";
import { stretchLimbs } from "../rig/limbs";
import type { Pose } from "../worker/protocol";

const CLEAR_OPACITY = 80;
const FILL = 0.8;
const FACE_FILL = 0.66;
/** Vertices that follow the head by more than this are of it. */
const ON_HEAD = 0.9;

/** A camera before the person that shows all their visible splats. */
export function homeOrbit(avatar: AvatarData, posed: Float32Array, aspect: number): OrbitState {
  const { splats, rig } = avatar;
  const axes: number[][] = [[], [], []];
  for (let s = 0; s < splats.count; s += 4) {
    if (splats.rgba[4 * s + 3] < CLEAR_OPACITY) continue;
    const v = rig.faces[3 * splats.face[s]];
    for (let k = 0; k < 3; k++) axes[k].push(posed[3 * v + k]);
  }
  if (axes[0].length === 0) return DEFAULT_ORBIT;
  const ranges = axes.map((values) => {
    values.sort((a, b) => a - b);
    const at = (q: number): number => values[Math.min(values.length - 1, Math.floor(q * values.length))];
    return { low: at(0.001), high: at(0.999) };
  });
  const middle = ranges.map((r) => (r.low + r.high) / 2);
  const extent = ranges.map((r) => r.high - r.low);
  // Metres seen at one metre's distance; see orbitView for what the shorter side does.
  const seen = (2 * Math.tan(DEFAULT_ORBIT.fov / 2)) / Math.min(1, aspect * 1.15);
  const distance = Math.max(extent[1] / seen, Math.max(extent[0], extent[2]) / (seen * aspect)) / FILL;
  return { ...DEFAULT_ORBIT, distance: Math.max(distance, 0.5), target: [middle[0], middle[1], middle[2]] };
}

/** A camera before the head that shows it with some air, on the side it faces. */
export function faceOrbit(avatar: AvatarData, posed: Float32Array, aspect: number): OrbitState {
  const { rig } = avatar;
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let v = 0; v < rig.headWeight.length; v++) {
    if (rig.headWeight[v] < ON_HEAD) continue;
    for (let k = 0; k < 3; k++) {
      low[k] = Math.min(low[k], posed[3 * v + k]);
      high[k] = Math.max(high[k], posed[3 * v + k]);
    }
  }
  if (!(low[1] < high[1])) return DEFAULT_ORBIT;
  const size = Math.max(...high.map((h, k) => h - low[k]));
  const seen = (2 * Math.tan(DEFAULT_ORBIT.fov / 2)) / Math.min(1, aspect * 1.15);
  const middle = low.map((l, k) => (l + high[k]) / 2);
  return {
    ...DEFAULT_ORBIT,
    yaw: 0.15,
    pitch: 0.02,
    distance: size / seen / FACE_FILL + size / 2,
    target: [middle[0], middle[1], middle[2]],
  };
}

/** How much higher than the person's own the feet of a shape are at rest, in metres. */
export function footDrop(avatar: AvatarData, { shape, limbs }: Pick<Pose, "shape" | "limbs">): number {
  const { rig, meta } = avatar;
  const foot = meta.joint_names.indexOf("left_ankle");
  if (foot < 0) return 0;
  const joints = rig.joints.slice();
  shape.forEach((c, s) => {
    for (let i = 0; i < joints.length; i++) joints[i] += c * (rig.shapeJoints[s * joints.length + i] ?? 0);
  });
  stretchLimbs(rig, new Float32Array(0), joints, limbs);
  return joints[3 * foot + 1] - rig.joints[3 * foot + 1];
}

/** Height of the floor under a motion: where the lower foot usually is. */
export function floorHeight(avatar: AvatarData, motion: Motion | null): number {
  const { rig, meta } = avatar;
  let lowest = Infinity;
  for (let i = 1; i < rig.vertices.length; i += 3) lowest = Math.min(lowest, rig.vertices[i]);
  if (!motion) return lowest;
  const feet = ["left_foot", "right_foot", "left_ankle", "right_ankle"]
    .map((n) => meta.joint_names.indexOf(n))
    .filter((j) => j >= 0);
  const restFoot = Math.min(...feet.map((j) => rig.joints[3 * j + 1]));
  const step = Math.max(1, Math.floor(motion.frames / 100));
  const world = new Float64Array(JOINT_COUNT * TRANSFORM);
  const heights: number[] = [];
  for (let f = 0; f < motion.frames; f += step) {
    forwardKinematics(
      rig.parents,
      rig.joints,
      motion.rotations.subarray(f * JOINT_COUNT * 4, (f + 1) * JOINT_COUNT * 4),
      motion.transl.subarray(3 * f, 3 * f + 3),
      world,
    );
    heights.push(Math.min(...feet.map((j) => world[j * TRANSFORM + 10])));
  }
  heights.sort((a, b) => a - b);
  return heights[Math.floor(heights.length * 0.15)] - (restFoot - lowest);
}
