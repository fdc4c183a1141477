/** Landmarks of one frame -> a posed body before the camera, as in pear_avatar.recovery.lifter. */

import { JOINT_COUNT } from "../io/avatar";
import { forwardKinematics, TRANSFORM } from "../rig/kinematics";
import {
  cross,
  fromColumns,
  fromRotationVector,
  multiply,
  type Quat,
  unit,
  type Vec3,
} from "../rig/quaternion";
import { encode, personBox, type Seen, see } from "./features";
import { judge, type Landmarks, type Trust } from "./landmarks";
import type { LandmarkRig, LiveModel } from "./model";
import { lifterNetwork, type Outputs } from "./network";
import { place } from "./place";

/** y up, the camera at the origin looking along -z; metres. */
export interface Lifted {
  /** (55, 4) local wxyz */
  readonly rotations: Float32Array;
  readonly betas: Float32Array;
  readonly transl: Vec3;
  /** (52,) in [0, 1] */
  readonly actions: Float32Array;
  readonly headScale: Vec3;
  readonly handScale: Vec3;
  readonly trust: Trust;
}

/** Facial actions weaker than this are taken for none. */
const FAINT = 0.05;
const LOG_DEPTH: readonly [number, number] = [-3, 4];
const MOST_SCALE = 0.5;
const PLACE_WEIGHT = { pose: 1, leftHand: 0.3, rightHand: 0.3, face: 0.1 } as const;
const [JAW, LEFT_EYE, RIGHT_EYE, LEFT_FINGERS, RIGHT_FINGERS] = [22, 23, 24, 25, 40];
const BODY_JOINTS = 22;
const FINGER_JOINTS = 15;
const ONE: Vec3 = [1, 1, 1];

export class Lifter {
  private readonly model: LiveModel;
  private readonly network: ReturnType<typeof lifterNetwork>;
  /** Which actions landmarks can show: none lies on the tongue. */
  private readonly visible: readonly boolean[];

  constructor(model: LiveModel) {
    this.model = model;
    this.visible = model.meta.arkit_names.map((name) => name !== "tongueOut");
    this.network = lifterNetwork(model);
  }

  lift(marks: Landmarks): Lifted {
    const { model } = this;
    const trust = judge(marks);
    const seen = see(marks, trust, model.facePoints);
    const box = personBox(seen);
    const out = withSeenActions(this.network(encode(seen, box)), this.visible, marks.actions);
    const actions = trust.face > 0 ? out.actions : new Float32Array(out.actions.length);
    const rotations = this.rotations(out, trust, box.turn, actions);
    const scales = out.scales.map((s) => Math.exp(Math.min(Math.max(s, -MOST_SCALE), MOST_SCALE)));
    const headScale: Vec3 = trust.face > 0 ? [scales[0], scales[1], scales[2]] : ONE;
    const hands = trust.leftHand > 0 || trust.rightHand > 0;
    const handScale: Vec3 = hands ? [scales[3], scales[4], scales[5]] : ONE;
    const depth = Math.exp(Math.min(Math.max(out.camera[2], LOG_DEPTH[0]), LOG_DEPTH[1])) / box.size;
    const guess: Vec3 = [
      (box.centre[0] + 0.5 * box.size * out.camera[0]) * depth,
      -(box.centre[1] + 0.5 * box.size * out.camera[1]) * depth,
      -depth,
    ];
    const posed = poseLandmarks(model.rig, rotations, {
      betas: out.betas,
      // A hidden face is at rest in the answer; its landmarks then carry no weight either.
      expression: weighted(actions, model.arkitCoef, model.rig.expressions),
      headScale,
      handScale,
    });
    const pelvis = place(posed.points, raysAndWeights(seen), guess);
    const transl = [0, 1, 2].map((k) => pelvis[k] - posed.pelvis[k]) as unknown as Vec3;
    return { rotations, betas: out.betas, transl, actions, headScale, handScale, trust };
  }

  /** Hands and faces out of sight are relaxed and at rest, never predicted. */
  private rotations(out: Outputs, trust: Trust, turn: Quat, actions: Float32Array): Float32Array {
    const rotations = new Float32Array(JOINT_COUNT * 4);
    for (let j = 0; j < BODY_JOINTS; j++) {
      const local = from6D(out.body, 6 * j);
      rotations.set(j === 0 ? multiply(turn, local) : local, 4 * j);
    }
    const turns = weighted(actions, this.model.arkitPose, 9);
    const gaze = out.gaze;
    [JAW, LEFT_EYE, RIGHT_EYE].forEach((joint, k) => {
      const [pitch, yaw] = k > 0 ? [gaze[2 * k - 2], gaze[2 * k - 1]] : [0, 0];
      const [x, y, z] = turns.subarray(3 * k, 3 * k + 3);
      rotations.set(trust.face > 0 ? fromRotationVector(x + pitch, y + yaw, z) : [1, 0, 0, 0], 4 * joint);
    });
    const relaxed = this.model.relaxedFingers;
    for (let j = 0; j < FINGER_JOINTS; j++) {
      const [w, x, y, z] = from6D(out.leftFingers, 6 * j);
      const left = trust.leftHand > 0 ? [w, x, -y, -z] : relaxed.subarray(4 * j, 4 * j + 4);
      rotations.set(left, 4 * (LEFT_FINGERS + j));
      const k = 4 * (FINGER_JOINTS + j);
      const right = trust.rightHand > 0 ? from6D(out.rightFingers, 6 * j) : relaxed.subarray(k, k + 4);
      rotations.set(right, 4 * (RIGHT_FINGERS + j));
    }
    return rotations;
  }
}

/**
 * The detector's facial actions, which know lips and lids better, where it has any. They turn the
 * eyes too, so the network's own gaze counts only where they are missing.
 */
function withSeenActions(out: Outputs, visible: readonly boolean[], seen: Landmarks["actions"]): Outputs {
  if (seen?.some((a) => a > 0)) return { ...out, actions: seen, gaze: new Float32Array(out.gaze.length) };
  // A sigmoid never says nothing.
  const own = out.actions.map((a, i) => (visible[i] ? Math.max((a - FAINT) / (1 - FAINT), 0) : 0));
  return { ...out, actions: own };
}

/** The (C,) sum of (N, C) rows, each as strong as its weight. */
export function weighted(weights: Float32Array, rows: Float32Array, columns: number): Float32Array {
  const out = new Float32Array(columns);
  weights.forEach((w, i) => {
    if (w !== 0) for (let k = 0; k < columns; k++) out[k] += w * rows[i * columns + k];
  });
  return out;
}

/** Rest joints (55, 3) of a shape, metres. */
export function restJoints(rig: LandmarkRig, betas: Float32Array): Float32Array {
  return shaped(rig.jointTemplate, rig.jointDirs, betas, 0);
}

/** The rotation whose first two columns a 6D vector gives (Gram-Schmidt). */
function from6D(v: Float32Array, o: number): Quat {
  const first = unit([v[o], v[o + 1], v[o + 2]]);
  const b: Vec3 = [v[o + 3], v[o + 4], v[o + 5]];
  const along = first[0] * b[0] + first[1] * b[1] + first[2] * b[2];
  const second = unit([b[0] - along * first[0], b[1] - along * first[1], b[2] - along * first[2]]);
  return fromColumns([...first, ...second, ...cross(first, second)], 0);
}

interface Shape {
  readonly betas: Float32Array;
  readonly expression: Float32Array;
  readonly headScale: Vec3;
  readonly handScale: Vec3;
}

/** Posed landmarks (L, 3) about the pelvis, and the pelvis of the rest pose. */
function poseLandmarks(
  rig: LandmarkRig,
  rotations: Float32Array,
  shape: Shape,
): { points: Float64Array; pelvis: Vec3 } {
  const joints = restJoints(rig, shape.betas);
  const points = shaped(rig.pairTemplate, rig.pairDirs, shape.betas, 0);
  const moved = shaped(points, rig.pairDirs, shape.expression, rig.shapes);
  const centres = [
    [0, 0, 0],
    middle(joints, LEFT_EYE, RIGHT_EYE + 1),
    middle(joints, LEFT_FINGERS, RIGHT_FINGERS),
    middle(joints, RIGHT_FINGERS, JOINT_COUNT),
  ];
  const scales = [ONE, shape.headScale, shape.handScale, shape.handScale];
  scaleAbout(joints, rig.jointPart, centres, scales);
  scaleAbout(moved, rig.pairPart, centres, scales);
  const world = new Float64Array(JOINT_COUNT * TRANSFORM);
  forwardKinematics(rig.parents, joints, rotations, [0, 0, 0], world);
  const landmarks = Math.max(...rig.pairLandmark) + 1;
  const out = new Float64Array(3 * landmarks);
  rig.pairJoint.forEach((joint, q) => {
    const o = joint * TRANSFORM;
    const d = [0, 1, 2].map((k) => moved[3 * q + k] - joints[3 * joint + k]);
    for (let r = 0; r < 3; r++) {
      const turned = world[o + r] * d[0] + world[o + 3 + r] * d[1] + world[o + 6 + r] * d[2];
      // Relative to the pelvis, which is what is placed.
      out[3 * rig.pairLandmark[q] + r] += rig.pairShare[q] * (turned + world[o + 9 + r] - world[9 + r]);
    }
  });
  return { points: out, pelvis: [world[9], world[10], world[11]] };
}

function shaped(
  template: Float32Array,
  dirs: Float32Array,
  weights: Float32Array,
  first: number,
): Float32Array {
  const out = template.slice();
  weights.forEach((w, c) => {
    const o = (first + c) * template.length;
    if (w !== 0) for (let i = 0; i < out.length; i++) out[i] += w * dirs[o + i];
  });
  return out;
}

function middle(joints: Float32Array, from: number, to: number): number[] {
  const sum = [0, 0, 0];
  for (let i = 3 * from; i < 3 * to; i++) sum[i % 3] += joints[i] / (to - from);
  return sum;
}

function scaleAbout(
  points: Float32Array,
  parts: Uint8Array,
  centres: readonly (readonly number[])[],
  scales: readonly Vec3[],
): void {
  parts.forEach((part, i) => {
    if (part > 0)
      for (let k = 0; k < 3; k++)
        points[3 * i + k] = centres[part][k] + scales[part][k] * (points[3 * i + k] - centres[part][k]);
  });
}

/** Rays (L, 2) in the rig's order and their weights (L,). */
function raysAndWeights(seen: Seen): { rays: Float32Array; weights: Float32Array } {
  const rays: number[] = [];
  const weights: number[] = [];
  seen.poseConfidence.forEach((c, i) => {
    rays.push(seen.pose[2 * i], seen.pose[2 * i + 1]);
    weights.push(PLACE_WEIGHT.pose * c * seen.shown[i]);
  });
  for (const part of ["leftHand", "rightHand", "face"] as const) {
    const points = seen[part];
    for (let i = 0; i < points.length; i += 2) {
      rays.push(points[i], points[i + 1]);
      weights.push(PLACE_WEIGHT[part] * seen.trust[part]);
    }
  }
  return { rays: Float32Array.from(rays), weights: Float32Array.from(weights) };
}
