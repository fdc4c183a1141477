/** A body at one moment of a motion. */

import { JOINT_COUNT } from "../io/avatar";
import type { Motion } from "../io/motion";
import { mix, type Quat, type Vec3 } from "../rig/quaternion";

export interface Sample {
  /** (55, 4) wxyz, a copy. */
  readonly rotations: Float32Array;
  readonly transl: Vec3;
  /** (up to E,), a copy. */
  readonly expression: Float32Array;
}

const PER_FRAME = JOINT_COUNT * 4;

/** The template as it is: every joint unturned. */
export function restSample(): Sample {
  const rotations = new Float32Array(PER_FRAME);
  for (let j = 0; j < JOINT_COUNT; j++) rotations[4 * j] = 1;
  return { rotations, transl: [0, 0, 0], expression: new Float32Array(0) };
}

/** Frame number, with a fraction, of a time in seconds; exactly whole on a frame's own time. */
export function frameAt(motion: Motion, seconds: number): number {
  const { time, frames } = motion;
  if (seconds <= 0) return 0;
  if (seconds >= time[frames - 1]) return frames - 1;
  let low = 0,
    high = frames - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (time[middle] <= seconds) low = middle;
    else high = middle;
  }
  return low + (seconds - time[low]) / (time[high] - time[low]);
}

/** Whole frames are exact; between them rotations and numbers are interpolated. */
export function sampleMotion(motion: Motion, frame: number): Sample {
  const low = Math.min(Math.max(Math.floor(frame), 0), motion.frames - 1);
  const high = Math.min(low + 1, motion.frames - 1);
  const t = high > low ? frame - low : 0;
  const rotations = motion.rotations.slice(low * PER_FRAME, (low + 1) * PER_FRAME);
  const expression = motion.expression.slice(
    low * motion.expressionCount,
    (low + 1) * motion.expressionCount,
  );
  const at = (k: number): number =>
    motion.transl[3 * low + k] + (t ? t * (motion.transl[3 * high + k] - motion.transl[3 * low + k]) : 0);
  if (t) {
    for (let j = 0; j < PER_FRAME; j += 4)
      rotations.set(
        mix(quat(motion.rotations, low * PER_FRAME + j), quat(motion.rotations, high * PER_FRAME + j), t),
        j,
      );
    for (let e = 0; e < expression.length; e++)
      expression[e] += t * (motion.expression[high * motion.expressionCount + e] - expression[e]);
  }
  return { rotations, transl: [at(0), at(1), at(2)], expression };
}

function quat(data: Float32Array, o: number): Quat {
  return [data[o], data[o + 1], data[o + 2], data[o + 3]];
}

/** The frame whose moment in the video is nearest. */
export function frameAtVideoTime(videoTime: Float32Array, seconds: number): number {
  let best = 0;
  for (let i = 1; i < videoTime.length; i++)
    if (Math.abs(videoTime[i] - seconds) < Math.abs(videoTime[best] - seconds)) best = i;
  return best;
}
