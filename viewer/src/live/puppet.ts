/** An avatar that follows a live person, as pear_avatar.live.puppet: face, legs, floor and feet. */

import type { AvatarData } from "../io/avatar";
import type { Sample } from "../motion/sample";
import { forwardKinematics, TRANSFORM } from "../rig/kinematics";
import {
  conjugate,
  fromAxisAngle,
  fromRotationVector,
  IDENTITY,
  multiply,
  type Quat,
  rotate,
  type Vec3,
} from "../rig/quaternion";
import { FootLock } from "./footLock";
import { FEET, LEFT, LEGS, legLength, mirrorActions, mirrorJoints, RIGHT, SPINE1 } from "./joints";
import { weighted } from "./lift";
import type { LiveBody } from "./reader";

export type LegMode = "auto" | "track" | "stand" | "sit";

export interface DriveSettings {
  readonly mirror: boolean;
  readonly body: boolean;
  readonly hands: boolean;
  readonly face: boolean;
  readonly legs: LegMode;
  readonly lockFeet: boolean;
}

export const DRIVE_DEFAULTS: DriveSettings = {
  mirror: true,
  body: true,
  hands: true,
  face: true,
  legs: "auto",
  lockFeet: true,
};

/** A person who stands still and faces the camera. */
interface Neutral {
  readonly turn: Quat;
  readonly pelvis: Vec3;
}

const BODY_JOINTS = 22;
const FIRST_FINGER = 25;
/** Radians by which the arms of a body that does not follow hang. */
const ARM_DOWN = 1.15;
const SIT = (Math.PI / 2) * 0.92;
const LEGS_SEEN = 0.65;
const LEGS_LOST = 0.4;
/** Time constants in seconds with which the floor is found: down at once, up slowly. */
const FLOOR_DOWN = 0.15;
const FLOOR_UP = 4;
/** The sole lies so far below the lowest joint of the foot, as a share of the leg. */
const SOLE = 0.03;

export class Puppet {
  private readonly avatar: AvatarData;
  private readonly legs: number;
  private readonly jointMirror: readonly number[];
  private readonly actionMirror: readonly number[];
  private readonly lock = new FootLock();
  private readonly world: Float64Array;
  private neutral: Neutral | null = null;
  private floor: number | null = null;
  private tracked = false;
  private time = Number.NEGATIVE_INFINITY;

  constructor(avatar: AvatarData) {
    this.avatar = avatar;
    this.legs = legLength(avatar.rig.joints);
    this.jointMirror = mirrorJoints(avatar.meta.joint_names);
    this.actionMirror = mirrorActions(avatar.meta.arkit_names);
    this.world = new Float64Array(avatar.rig.parents.length * TRANSFORM);
  }

  /** Take the next body for the neutral stance: its heading, and where its pelvis is. */
  calibrate(): void {
    this.neutral = null;
  }

  /** The avatar's pose on a floor at height 0; `time` in seconds must increase. */
  pose(body: LiveBody, settings: DriveSettings, time: number): Sample {
    const { avatar } = this;
    this.neutral ??= { turn: heading(quat(body.rotations, 0)), pelvis: pelvisOf(body) };
    const { rotations, way } = this.person(body, settings, this.neutral);
    this.tracked = legsFollow(rotations, settings.legs, body.legs, this.tracked);
    const expression = settings.face
      ? this.face(body.actions, settings.mirror, rotations)
      : new Float32Array(0);
    const scale = this.legs / body.legLength;
    const transl = way.map((v, k) => v * scale - avatar.rig.joints[k]) as unknown as Vec3;
    return { rotations, transl: this.onFloor(rotations, transl, settings, time), expression };
  }

  /** Rotations, and the pelvis relative to the neutral stance, mirrored where wished. */
  private person(
    body: LiveBody,
    settings: DriveSettings,
    neutral: Neutral,
  ): { rotations: Float32Array; way: Vec3 } {
    const back = conjugate(neutral.turn);
    const rotations = body.rotations.slice();
    rotations.set(multiply(back, quat(rotations, 0)));
    const rest = (from: number, to: number): void => {
      for (let j = from; j < to; j++) rotations.set(IDENTITY, 4 * j);
    };
    const pelvis = pelvisOf(body).map((v, k) => v - neutral.pelvis[k]) as unknown as Vec3;
    let way = settings.body ? rotate(back, pelvis) : ([0, 0, 0] as const);
    if (!settings.body) {
      rest(0, BODY_JOINTS);
      rotations.set(fromAxisAngle([0, 0, 1], -ARM_DOWN), 4 * LEFT.shoulder);
      rotations.set(fromAxisAngle([0, 0, 1], ARM_DOWN), 4 * RIGHT.shoulder);
    }
    if (!settings.hands) rest(FIRST_FINGER, rotations.length / 4);
    if (!settings.mirror) return { rotations, way };
    way = [-way[0], way[1], way[2]];
    const mirrored = new Float32Array(rotations.length);
    this.jointMirror.forEach((other, j) => {
      const [w, x, y, z] = quat(rotations, other);
      mirrored.set([w, x, -y, -z], 4 * j);
    });
    return { rotations: mirrored, way };
  }

  /** Expression coefficients of the avatar's own face; sets its jaw and eyes. */
  private face(actions: Float32Array, mirror: boolean, rotations: Float32Array): Float32Array {
    const { avatar } = this;
    const own = mirror ? actions.map((_, i) => actions[this.actionMirror[i]]) : actions;
    const turns = weighted(own, avatar.arkitPose, 9);
    ["jaw", "left_eye", "right_eye"].forEach((name, k) => {
      const [x, y, z] = turns.subarray(3 * k, 3 * k + 3);
      rotations.set(fromRotationVector(x, y, z), 4 * avatar.meta.joint_names.indexOf(name));
    });
    return weighted(own, avatar.arkitCoef, avatar.expressionCount);
  }

  /** Stand on the floor; keep standing feet in place. */
  private onFloor(rotations: Float32Array, transl: Vec3, settings: DriveSettings, time: number): Vec3 {
    const span = Math.min(Math.max(time - this.time, 1e-3), 0.5);
    this.time = time;
    const { parents, joints } = this.avatar.rig;
    forwardKinematics(parents, joints, rotations, transl, this.world);
    const lowest = Math.min(...FEET.map((j) => this.world[j * TRANSFORM + 10])) - SOLE * this.legs;
    if (!this.tracked || this.floor === null) this.floor = lowest;
    else {
      const constant = lowest < this.floor ? FLOOR_DOWN : FLOOR_UP;
      this.floor += (lowest - this.floor) * (1 - Math.exp(-span / constant));
    }
    const [x, z] = settings.lockFeet && this.tracked ? this.lock.shift(this.world, time) : [0, 0];
    return [transl[0] + x, transl[1] - this.floor, transl[2] + z];
  }
}

/** Changes rotations so that the legs follow, stand or sit; whether they follow. */
function legsFollow(rotations: Float32Array, legs: LegMode, seen: number, tracked: boolean): boolean {
  if (legs === "track" || (legs === "auto" && seen > (tracked ? LEGS_LOST : LEGS_SEEN))) return true;
  for (const joint of LEGS) rotations.set(IDENTITY, 4 * joint);
  if (legs === "sit") {
    for (const side of [LEFT, RIGHT]) {
      rotations.set(fromAxisAngle([1, 0, 0], -SIT), 4 * side.hip);
      rotations.set(fromAxisAngle([1, 0, 0], SIT), 4 * side.knee);
    }
  }
  // A trunk above unseen legs keeps its heading but does not tip the legs with it.
  const root = quat(rotations, 0);
  const upright = heading(root);
  rotations.set(upright, 0);
  rotations.set(multiply(multiply(conjugate(upright), root), quat(rotations, SPINE1)), 4 * SPINE1);
  return false;
}

/** The part of a root's rotation about the vertical. */
function heading(root: Quat): Quat {
  const forward = rotate(root, [0, 0, 1]);
  return fromAxisAngle([0, 1, 0], Math.atan2(forward[0], forward[2]));
}

function pelvisOf(body: LiveBody): Vec3 {
  return [0, 1, 2].map((k) => body.transl[k] + body.restPelvis[k]) as unknown as Vec3;
}

function quat(data: Float32Array, j: number): Quat {
  return [data[4 * j], data[4 * j + 1], data[4 * j + 2], data[4 * j + 3]];
}
