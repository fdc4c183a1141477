/** Landmarks -> the network's inputs, as in pear_avatar.recovery.lifter.features. */

import { between, type Quat, unit } from "../rig/quaternion";
import { HAND, type Landmarks, POSE, type Trust } from "./landmarks";
import type { Inputs } from "./network";

/** Pose landmarks with less confidence are not shown to the network. */
const LEAST_CONFIDENCE = 0.25;
/** Focal length in lengths of the longer side: a usual lens. */
const FOCAL_GUESS = 1.1;

/** Landmarks as rays from the camera. */
export interface Seen {
  readonly pose: Float32Array;
  readonly poseConfidence: Float32Array;
  /** (33,) 1 where a landmark is shown to the network. */
  readonly shown: Float32Array;
  /** (33, 3) metres, y up, z towards the camera */
  readonly world: Float32Array;
  readonly leftHand: Float32Array;
  readonly rightHand: Float32Array;
  readonly face: Float32Array;
  readonly trust: Trust;
  /** Left, top, right and bottom edge of the picture. */
  readonly border: readonly [number, number, number, number];
}

/** Where the person is, in rays; `turn` from the camera's axis to the person's direction. */
export interface Box {
  readonly centre: readonly [number, number];
  readonly size: number;
  readonly turn: Quat;
}

export function see(marks: Landmarks, trust: Trust, facePoints: Uint16Array): Seen {
  const focal = FOCAL_GUESS * Math.max(marks.width, marks.height);
  const [cx, cy] = [marks.width / 2, marks.height / 2];
  const ray = (v: number, k: number): number => (v - (k % 2 ? cy : cx)) / focal;
  const pose = new Float32Array(2 * POSE);
  for (let i = 0; i < POSE; i++) {
    pose[2 * i] = ray(marks.pose[3 * i], 0);
    pose[2 * i + 1] = ray(marks.pose[3 * i + 1], 1);
  }
  const hand = (points: Float32Array | null): Float32Array => (points ?? new Float32Array(2 * HAND)).map(ray);
  const face = new Float32Array(2 * facePoints.length);
  facePoints.forEach((p, i) => {
    for (let k = 0; k < 2; k++) face[2 * i + k] = ray(marks.face?.[2 * p + k] ?? 0, k);
  });
  return {
    pose,
    poseConfidence: trust.pose,
    shown: trust.pose.map((c) => (c >= LEAST_CONFIDENCE ? 1 : 0)),
    world: marks.world.map((v, i) => (i % 3 ? -v : v)),
    leftHand: hand(marks.leftHand),
    rightHand: hand(marks.rightHand),
    face,
    trust,
    border: [ray(0, 0), ray(0, 1), ray(marks.width, 0), ray(marks.height, 1)],
  };
}

/** The square around everything that was found. */
export function personBox(seen: Seen): Box {
  const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const grow = (points: Float32Array, use: (i: number) => boolean): void =>
    points.forEach((v, i) => {
      if (!use(i >> 1)) return;
      low[i % 2] = Math.min(low[i % 2], v);
      high[i % 2] = Math.max(high[i % 2], v);
    });
  grow(seen.pose, (i) => seen.shown[i] > 0);
  grow(seen.leftHand, () => seen.trust.leftHand > 0);
  grow(seen.rightHand, () => seen.trust.rightHand > 0);
  grow(seen.face, () => seen.trust.face > 0);
  if (!(low[0] <= high[0])) {
    low.fill(-0.5);
    high.fill(0.5);
  }
  const centre = [0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1])] as const;
  const size = Math.max(high[0] - low[0], high[1] - low[1], 1e-3);
  return { centre, size, turn: between([0, 0, -1], unit([centre[0], -centre[1], -1])) };
}

export function encode(seen: Seen, box: Box): Inputs {
  const { centre, size } = box;
  const inBox = (v: number, k: number): number => ((v - centre[k % 2]) / size) * 2;
  const body = new Float32Array(POSE * 6 + 8);
  for (let i = 0; i < POSE; i++) {
    if (!seen.shown[i]) continue;
    const row = [
      inBox(seen.pose[2 * i], 0),
      inBox(seen.pose[2 * i + 1], 1),
      seen.poseConfidence[i],
      seen.world[3 * i],
      seen.world[3 * i + 1],
      seen.world[3 * i + 2],
    ];
    body.set(
      row.map((v) => clamp(v, -4, 4)),
      6 * i,
    );
  }
  const world = seen.world.some((v) => v !== 0) ? 1 : 0;
  const border = seen.border.map((v, k) => clamp(inBox(v, k), -2.5, 2.5));
  body.set([centre[0], centre[1], Math.log(size) + 1, ...border, world], POSE * 6);
  const mirror = (v: number, i: number): number => (i % 2 ? v : -v);
  const { trust } = seen;
  return {
    body,
    leftHand: part(seen.leftHand.map(mirror), trust.leftHand, [-centre[0], centre[1]], size),
    rightHand: part(seen.rightHand, trust.rightHand, centre, size),
    face: part(seen.face, trust.face, centre, size),
  };
}

/** A part in its own square, followed by where and how large that is, and the confidence. */
function part(
  points: Float32Array,
  confidence: number,
  boxCentre: readonly [number, number],
  boxSize: number,
): Float32Array {
  const out = new Float32Array(points.length + 5);
  if (!(confidence > 0)) return out;
  const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  points.forEach((v, i) => {
    low[i % 2] = Math.min(low[i % 2], v);
    high[i % 2] = Math.max(high[i % 2], v);
  });
  const centre = [0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1])];
  const size = Math.max(high[0] - low[0], high[1] - low[1], 1e-4);
  out.set(points.map((v, i) => ((v - centre[i % 2]) / size) * 2));
  out.set(
    [
      clamp(((centre[0] - boxCentre[0]) / boxSize) * 2, -4, 4),
      clamp(((centre[1] - boxCentre[1]) / boxSize) * 2, -4, 4),
      Math.log(clamp(size / boxSize, 1e-3, 4)) + 1.5,
      1,
      confidence,
    ],
    points.length,
  );
  return out;
}

function clamp(v: number, low: number, high: number): number {
  return Math.min(Math.max(v, low), high);
}
