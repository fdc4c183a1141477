/** Motion, sliders and hand edits -> one pose. */

import type { AvatarData } from "../io/avatar";
import type { Sample } from "../motion/sample";
import { fromRotationVector, multiply, type Quat } from "../rig/quaternion";
import type { Pose } from "../worker/protocol";
import type { EditState } from "./edits";
import type { SliderBank } from "./sliders";

/** Radians at full slider. */
const JAW_OPEN = 0.45;
const EYE_TURN = 0.5;

export interface FaceJoints {
  readonly jaw: number;
  readonly leftEye: number;
  readonly rightEye: number;
}

export function faceJoints(names: readonly string[]): FaceJoints {
  return {
    jaw: names.indexOf("jaw"),
    leftEye: names.indexOf("left_eye"),
    rightEye: names.indexOf("right_eye"),
  };
}

export function composePose(avatar: AvatarData, sample: Sample, sliders: SliderBank, edits: EditState): Pose {
  const rotations = sample.rotations.slice();
  const expression = new Float32Array(avatar.expressionCount);
  expression.set(sample.expression.subarray(0, expression.length));
  applyFace(avatar, sliders, rotations, expression);
  for (const [joint, turn] of edits.turns) turnLocal(rotations, joint, turn);
  const shape = Float32Array.from({ length: avatar.shapeCount }, (_, i) => sliders.get(`shape:${i}`));
  const transl = sample.transl.map((t, k) => t + edits.shift[k]) as [number, number, number];
  const limbs = [sliders.get("arms"), sliders.get("legs")] as const;
  return { rotations, transl, expression, shape, head: sliders.get("head"), limbs };
}

/** Facial actions add to the motion's expression; their jaw and eye turns follow the motion's own. */
function applyFace(
  avatar: AvatarData,
  sliders: SliderBank,
  rotations: Float32Array,
  expression: Float32Array,
): void {
  const turn = new Float64Array(9);
  avatar.meta.arkit_names.forEach((name, action) => {
    const strength = sliders.get(`arkit:${name}`);
    if (!strength) return;
    for (let e = 0; e < expression.length; e++)
      expression[e] += strength * avatar.arkitCoef[action * expression.length + e];
    for (let k = 0; k < 9; k++) turn[k] += strength * avatar.arkitPose[action * 9 + k];
  });
  turn[0] += JAW_OPEN * sliders.get("jaw");
  for (const eye of [3, 6]) {
    turn[eye] -= EYE_TURN * sliders.get("eyes:y");
    turn[eye + 1] += EYE_TURN * sliders.get("eyes:x");
  }
  const { jaw, leftEye, rightEye } = faceJoints(avatar.meta.joint_names);
  [jaw, leftEye, rightEye].forEach((joint, i) => {
    const [x, y, z] = turn.subarray(3 * i, 3 * i + 3);
    if (joint >= 0 && (x || y || z)) turnLocal(rotations, joint, fromRotationVector(x, y, z));
  });
}

function turnLocal(rotations: Float32Array, joint: number, turn: Quat): void {
  const o = 4 * joint;
  rotations.set(multiply([rotations[o], rotations[o + 1], rotations[o + 2], rotations[o + 3]], turn), o);
}
