/**
 * Detected landmarks of one frame, and how far each part of them is believed: the rules of
 * pear_avatar.perception.cleaning for a single frame.
 */

export const POSE = 33;
export const HAND = 21;

/** One person in one frame, in pixels; a part that was not found is null. */
export interface Landmarks {
  readonly width: number;
  readonly height: number;
  /** (33, 3) x, y, visibility */
  readonly pose: Float32Array;
  /** (33, 3) metres about the hips; x right, y down, z away from the camera */
  readonly world: Float32Array;
  /** (21, 2), (21, 2), (478, 2) */
  readonly leftHand: Float32Array | null;
  readonly rightHand: Float32Array | null;
  readonly face: Float32Array | null;
  /** (52,) facial actions in [0, 1], in ARKit's order */
  readonly actions: Float32Array | null;
}

export interface Trust {
  /** (33,) in [0, 1] */
  readonly pose: Float32Array;
  readonly leftHand: number;
  readonly rightHand: number;
  readonly face: number;
}

const SEEN = 0.5;
const WRIST_GAP = 0.06 * 1.7;
const HAND_SIZE: readonly [number, number] = [0.035, 0.4];
const SAME_HAND = 0.03;
const FACE_GAP = 0.12;
const FACE_SIZE: readonly [number, number] = [0.09, 0.36];
const [NOSE, LEFT_WRIST, RIGHT_WRIST] = [0, 15, 16];
const [NOSE_TIP, FOREHEAD, CHIN] = [1, 10, 152];
/** Share of the longer side by which a landmark may leave the picture. */
const RIM = 0.02;

export function judge(marks: Landmarks): Trust {
  const pose = poseConfidence(marks);
  const scale = pixelsPerMetre(marks, pose);
  const left = handTrust(marks, marks.leftHand, LEFT_WRIST, scale);
  const right = handTrust(marks, marks.rightHand, RIGHT_WRIST, scale);
  const twice =
    left.trust > 0 &&
    right.trust > 0 &&
    marks.leftHand !== null &&
    marks.rightHand !== null &&
    meanGap(marks.leftHand, marks.rightHand) / scale < SAME_HAND;
  return {
    pose,
    leftHand: twice && left.gap > right.gap ? 0 : left.trust,
    rightHand: twice && left.gap <= right.gap ? 0 : right.trust,
    face: faceTrust(marks, scale),
  };
}

function poseConfidence({ pose, width, height }: Landmarks): Float32Array {
  const rim = RIM * Math.max(width, height);
  return Float32Array.from({ length: POSE }, (_, i) => {
    const inside = isInside(pose[3 * i] + rim, pose[3 * i + 1] + rim, width + 2 * rim, height + 2 * rim);
    return inside ? Math.min(Math.max(pose[3 * i + 2], 0), 1) : 0;
  });
}

/** The image scale, from the detector's own 3D estimate; NaN where too little is seen. */
function pixelsPerMetre({ pose, world }: Landmarks, confidence: Float32Array): number {
  let total = 1e-9;
  let seen = 0;
  const centre = [0, 0, 0, 0];
  const at = (i: number): number[] => [pose[3 * i], pose[3 * i + 1], world[3 * i], world[3 * i + 1]];
  for (let i = 0; i < POSE; i++) {
    if (confidence[i] <= SEEN) continue;
    seen++;
    total += confidence[i];
    at(i).forEach((v, k) => {
      centre[k] += confidence[i] * v;
    });
  }
  let [pixels, metres] = [0, 0];
  for (let i = 0; i < POSE; i++) {
    if (confidence[i] <= SEEN) continue;
    const d = at(i).map((v, k) => v - centre[k] / total);
    pixels += confidence[i] * (d[0] ** 2 + d[1] ** 2);
    metres += confidence[i] * (d[2] ** 2 + d[3] ** 2);
  }
  const scale = Math.sqrt(pixels / metres);
  return seen >= 4 && Number.isFinite(scale) && scale > 0 ? scale : Number.NaN;
}

function handTrust(
  marks: Landmarks,
  hand: Float32Array | null,
  wrist: number,
  scale: number,
): { trust: number; gap: number } {
  if (!hand) return { trust: 0, gap: Number.POSITIVE_INFINITY };
  const { pose } = marks;
  const gap = Math.hypot(hand[0] - pose[3 * wrist], hand[1] - pose[3 * wrist + 1]) / scale;
  const size = extent(hand) / scale;
  const good =
    gap < WRIST_GAP && insideShare(hand, marks) >= 0.6 && size > HAND_SIZE[0] && size < HAND_SIZE[1];
  const sight = Math.min(Math.max(pose[3 * wrist + 2], 0.3), 1);
  return { trust: good ? (1 - (0.5 * gap) / WRIST_GAP) * sight : 0, gap };
}

function faceTrust(marks: Landmarks, scale: number): number {
  const { face, pose } = marks;
  if (!face) return 0;
  const between = (a: number, x: number, y: number): number =>
    Math.hypot(face[2 * a] - x, face[2 * a + 1] - y);
  const nose = between(NOSE_TIP, pose[3 * NOSE], pose[3 * NOSE + 1]) / scale;
  const length = between(FOREHEAD, face[2 * CHIN], face[2 * CHIN + 1]) / scale;
  const good =
    nose < FACE_GAP && insideShare(face, marks) > 0.7 && length > FACE_SIZE[0] && length < FACE_SIZE[1];
  return good ? 1 - (0.5 * nose) / FACE_GAP : 0;
}

function isInside(x: number, y: number, width: number, height: number): boolean {
  return x >= 0 && x < width && y >= 0 && y < height;
}

function insideShare(points: Float32Array, { width, height }: Landmarks): number {
  let count = 0;
  for (let i = 0; i < points.length; i += 2) if (isInside(points[i], points[i + 1], width, height)) count++;
  return count / (points.length / 2);
}

function extent(points: Float32Array): number {
  const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  points.forEach((v, i) => {
    low[i % 2] = Math.min(low[i % 2], v);
    high[i % 2] = Math.max(high[i % 2], v);
  });
  return Math.max(high[0] - low[0], high[1] - low[1]);
}

function meanGap(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 2) sum += Math.hypot(a[i] - b[i], a[i + 1] - b[i + 1]);
  return sum / (a.length / 2);
}
