/**
 * Lifted frames -> a person who can drive an avatar, with the memory that a live run needs
 * (pear_avatar.live.live_body): lost hands are held and then relax, the face is read against the
 * person's neutral one, the shape settles.
 */

import { conjugate, mix, multiply, type Quat, type Vec3 } from "../rig/quaternion";
import { legLength } from "./joints";
import type { Landmarks } from "./landmarks";
import { type Lifted, Lifter, restJoints } from "./lift";
import type { LiveModel } from "./model";

/** One recovered frame; what the worker sends to the page. */
export interface LiveBody {
  /** Seconds of the camera. */
  readonly time: number;
  /** (55, 4) local wxyz */
  readonly rotations: Float32Array;
  readonly transl: Vec3;
  /** (52,) relative to the neutral face. */
  readonly actions: Float32Array;
  /** In [0, 1], how clearly knees and ankles are seen. */
  readonly legs: number;
  readonly restPelvis: Vec3;
  readonly legLength: number;
}

const HOLD = 0.5;
const RELAX = 0.4;
/** Fastest turn of a finger joint, rad/s: a hand that comes back does not jump. */
const FINGER_SPEED = 14;
const LEG_LANDMARKS = [25, 26, 27, 28] as const;
const LEGS_SHARE = 0.2;
/** The person's shape is a running mean over about so many frames. */
const SHAPE_MEMORY = 90;
/** Seconds in front of the camera whose median face is the neutral one. */
const CALIBRATION = 0.8;
const MOST_NEUTRAL = 0.6;
const FIRST_FINGER = 25;
const FINGERS = 15;

export class LiveReader {
  private readonly lifter: Lifter;
  private readonly model: LiveModel;
  private readonly hands: HandMemory;
  private betas: Float32Array | null = null;
  private count = 0;
  private legs = 0;
  private neutral: Float32Array | null = null;
  private calibrating: { readonly since: number; readonly actions: Float32Array[] } | null = null;

  constructor(model: LiveModel) {
    this.model = model;
    this.lifter = new Lifter(model);
    this.hands = new HandMemory(model.relaxedFingers);
  }

  /** Take the next moment for the person's neutral face. */
  calibrate(): void {
    this.neutral = null;
    this.calibrating = null;
  }

  read(marks: Landmarks, time: number): LiveBody {
    const found = this.lifter.lift(marks);
    this.hands.apply(found.rotations, [found.trust.leftHand > 0, found.trust.rightHand > 0], time);
    const sight = LEG_LANDMARKS.reduce((sum, i) => sum + found.trust.pose[i] / LEG_LANDMARKS.length, 0);
    this.legs += LEGS_SHARE * (sight - this.legs);
    const rest = restJoints(this.model.rig, this.shape(found));
    return {
      time,
      rotations: found.rotations,
      transl: found.transl,
      actions: this.face(found.actions, time),
      legs: this.legs,
      restPelvis: [rest[0], rest[1], rest[2]],
      legLength: legLength(rest),
    };
  }

  private shape(found: Lifted): Float32Array {
    this.count = Math.min(this.count + 1, SHAPE_MEMORY);
    const last = this.betas ?? found.betas;
    this.betas = last.map((b, i) => b + (found.betas[i] - b) / this.count);
    return this.betas;
  }

  private face(actions: Float32Array, time: number): Float32Array {
    const { neutral } = this;
    if (!neutral) {
      this.calibrating ??= { since: time, actions: [] };
      this.calibrating.actions.push(actions);
      if (time - this.calibrating.since >= CALIBRATION) this.neutral = medians(this.calibrating.actions);
      return actions;
    }
    return actions.map((a, i) => {
      const rest = Math.min(Math.max(neutral[i], 0), MOST_NEUTRAL);
      return Math.min(Math.max((a - rest) / (1 - rest), 0), 1);
    });
  }
}

/** Fingers over time: held when lost, relaxed after a while, never faster than a hand is. */
class HandMemory {
  private readonly relaxed: Float32Array;
  private now: Float32Array | null = null;
  private readonly lost = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  private time = 0;

  constructor(relaxed: Float32Array) {
    this.relaxed = relaxed;
  }

  /** Changes the fingers among (55, 4) rotations to what is to be shown. */
  apply(rotations: Float32Array, seen: readonly [boolean, boolean], time: number): void {
    const first = this.now === null;
    const now = this.now ?? this.relaxed.slice();
    this.now = now;
    const span = first ? 1 : Math.max(time - this.time, 1e-3);
    this.time = time;
    const fresh = rotations.subarray(4 * FIRST_FINGER);
    seen.forEach((found, side) => {
      this.lost[side] = found ? 0 : this.lost[side] + span;
      for (let j = side * FINGERS; j < (side + 1) * FINGERS; j++) {
        const last = quat(now, j);
        let goal = last;
        if (found) goal = quat(fresh, j);
        else if (this.lost[side] > HOLD) goal = mix(last, quat(this.relaxed, j), 1 - Math.exp(-span / RELAX));
        now.set(toward(last, goal, FINGER_SPEED * span), 4 * j);
      }
    });
    fresh.set(now);
  }
}

/** A quaternion moved toward another by at most so many radians. */
function toward(from: Quat, to: Quat, most: number): Quat {
  const angle = 2 * Math.acos(Math.min(Math.abs(multiply(conjugate(from), to)[0]), 1));
  return angle <= most ? to : mix(from, to, most / angle);
}

function quat(data: Float32Array, j: number): Quat {
  return [data[4 * j], data[4 * j + 1], data[4 * j + 2], data[4 * j + 3]];
}

function medians(rows: readonly Float32Array[]): Float32Array {
  return rows[0].map((_, i) => {
    const column = rows.map((row) => row[i]).sort((a, b) => a - b);
    return column[(column.length - 1) >> 1];
  });
}
