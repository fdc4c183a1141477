/**
 * Between detections, and ahead of them: a one-euro filter (Casiez, Roussel and Vogel 2012) and a
 * damped speed that carries the pose to the moment of drawing (pear_avatar.live.pose_predictor).
 */

import { conjugate, fromRotationVector, multiply, normalize, type Quat, type Vec3 } from "../rig/quaternion";
import type { LiveBody } from "./reader";

/** Farthest look ahead in seconds; beyond it the pose holds. */
const REACH = 0.12;
const FADE = 0.08;
const SPEED_MEMORY = 0.06;
/** Share of the new speed that is believed: detectors overshoot when motion stops. */
const TRUST = 0.8;
/** rad/s and m/s; more is a jump of the detector. */
const MOST_TURN = 12;
const MOST_WALK = 4;

interface OneEuro {
  readonly minCutoff: number;
  readonly beta: number;
}
const ROTATION: OneEuro = { minCutoff: 1.5, beta: 0.9 };
const TRANSL: OneEuro = { minCutoff: 1, beta: 2 };
const ACTIONS: OneEuro = { minCutoff: 3, beta: 1.5 };
const DERIVATIVE_CUTOFF = 1;

/** A value's filtered speed, and how far to go to the new value. */
function blend(speed: Float64Array, last: Float64Array, span: number, settings: OneEuro): number {
  const keep = share(DERIVATIVE_CUTOFF, span);
  let square = 0;
  for (let k = 0; k < speed.length; k++) {
    last[k] += keep * (speed[k] - last[k]);
    square += last[k] ** 2;
  }
  return share(settings.minCutoff + settings.beta * Math.sqrt(square), span);
}

function share(cutoff: number, span: number): number {
  return 1 / (1 + 1 / (2 * Math.PI * cutoff * span));
}

export class PosePredictor {
  private body: LiveBody | null = null;
  private readonly filterSpeeds = new Map<string, Float64Array>();
  /** Angular speeds in each joint's own frame (55, 3), rad/s; way (3,) m/s. */
  private turns: Float64Array | null = null;
  private walk: Float64Array | null = null;

  /** Take in one detected body; a time that does not increase is left out. */
  push(body: LiveBody): void {
    const last = this.body;
    if (!last) {
      this.body = body;
      return;
    }
    const span = body.time - last.time;
    if (!(span > 0)) return;
    const rotations = this.filterRotations(last, body, span);
    const transl = this.filterVector("transl", last.transl, body.transl, span, TRANSL);
    const actions = this.filterVector("actions", last.actions, body.actions, span, ACTIONS);
    this.learnSpeeds(last, rotations, transl, span);
    this.body = {
      ...body,
      rotations,
      transl: [transl[0], transl[1], transl[2]],
      actions: Float32Array.from(actions),
    };
  }

  /** The body at `time`, seconds of the camera; null before the first detection. */
  at(time: number): LiveBody | null {
    const { body, turns, walk } = this;
    if (!body || !turns || !walk) return body;
    const ahead = Math.min(Math.max(time - body.time, 0), REACH);
    const reach = FADE * (1 - Math.exp(-ahead / FADE));
    const rotations = body.rotations.slice();
    for (let j = 0; j < rotations.length / 4; j++) {
      const by = fromRotationVector(turns[3 * j] * reach, turns[3 * j + 1] * reach, turns[3 * j + 2] * reach);
      rotations.set(normalize(multiply(quat(rotations, j), by)), 4 * j);
    }
    const transl = body.transl.map((t, k) => t + walk[k] * reach) as unknown as Vec3;
    return { ...body, rotations, transl };
  }

  private filterRotations(last: LiveBody, body: LiveBody, span: number): Float32Array {
    const out = new Float32Array(body.rotations.length);
    for (let j = 0; j < out.length / 4; j++) {
      const from = quat(last.rotations, j);
      const step = rotationVector(multiply(conjugate(from), quat(body.rotations, j)));
      const speed = Float64Array.from(step, (v) => v / span);
      const amount = blend(speed, this.speedOf(`joint ${j}`, 3), span, ROTATION);
      const by = fromRotationVector(step[0] * amount, step[1] * amount, step[2] * amount);
      out.set(normalize(multiply(from, by)), 4 * j);
    }
    return out;
  }

  private filterVector(
    name: string,
    last: ArrayLike<number>,
    value: ArrayLike<number>,
    span: number,
    settings: OneEuro,
  ): Float64Array {
    const speed = Float64Array.from(value, (v, i) => (v - last[i]) / span);
    const amount = blend(speed, this.speedOf(name, value.length), span, settings);
    return Float64Array.from(value, (v, i) => last[i] + amount * (v - last[i]));
  }

  private speedOf(name: string, size: number): Float64Array {
    const known = this.filterSpeeds.get(name) ?? new Float64Array(size);
    this.filterSpeeds.set(name, known);
    return known;
  }

  private learnSpeeds(last: LiveBody, rotations: Float32Array, transl: Float64Array, span: number): void {
    const turns = new Float64Array((rotations.length / 4) * 3);
    for (let j = 0; j < rotations.length / 4; j++) {
      const step = rotationVector(multiply(conjugate(quat(last.rotations, j)), quat(rotations, j)));
      turns.set(limited(step.map((v) => v / span) as unknown as Vec3, MOST_TURN), 3 * j);
    }
    const way = transl.map((t, k) => (t - last.transl[k]) / span);
    const walk = Float64Array.from(limited([way[0], way[1], way[2]], MOST_WALK));
    const keep = Math.exp(-span / SPEED_MEMORY);
    this.turns = smoothed(turns, this.turns, keep);
    this.walk = smoothed(walk, this.walk, keep);
  }
}

function smoothed(now: Float64Array, last: Float64Array | null, keep: number): Float64Array {
  return last ? now.map((v, i) => v + keep * (last[i] - v)) : now;
}

function limited(v: Vec3, most: number): Vec3 {
  const factor = TRUST * Math.min(most / Math.max(Math.hypot(...v), 1e-9), 1);
  return [v[0] * factor, v[1] * factor, v[2] * factor];
}

/** The axis-angle vector of a unit quaternion, the shorter way round. */
export function rotationVector(q: Quat): Vec3 {
  const sign = q[0] < 0 ? -1 : 1;
  const sine = Math.hypot(q[1], q[2], q[3]);
  const factor = sine > 1e-9 ? (2 * sign * Math.atan2(sine, Math.abs(q[0]))) / sine : 2 * sign;
  return [q[1] * factor, q[2] * factor, q[3] * factor];
}

function quat(data: Float32Array, j: number): Quat {
  return [data[4 * j], data[4 * j + 1], data[4 * j + 2], data[4 * j + 3]];
}
