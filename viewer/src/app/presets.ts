/** Expressions and poses to begin from, by the names of facial actions and joints. */

import { fromAxisAngle, type Quat, type Vec3 } from "../rig/quaternion";
import type { Viewer } from "./viewer";

export interface Preset<T> {
  readonly name: string;
  readonly values: Readonly<Record<string, T>>;
}

function both(name: string, strength: number): Record<string, number> {
  return { [`${name}Left`]: strength, [`${name}Right`]: strength };
}

export const EXPRESSIONS: readonly Preset<number>[] = [
  {
    name: "Smile",
    values: { ...both("mouthSmile", 0.8), ...both("cheekSquint", 0.5), ...both("eyeSquint", 0.2) },
  },
  {
    name: "Laugh",
    values: {
      ...both("mouthSmile", 1),
      ...both("cheekSquint", 0.8),
      ...both("eyeSquint", 0.4),
      jawOpen: 0.45,
    },
  },
  {
    name: "Surprise",
    values: {
      browInnerUp: 1,
      ...both("browOuterUp", 0.9),
      ...both("eyeWide", 0.8),
      jawOpen: 0.5,
      mouthFunnel: 0.3,
    },
  },
  {
    name: "Sad",
    values: { browInnerUp: 0.9, ...both("mouthFrown", 0.8), mouthShrugLower: 0.4, ...both("eyeSquint", 0.2) },
  },
  {
    name: "Angry",
    values: {
      ...both("browDown", 1),
      ...both("noseSneer", 0.5),
      ...both("mouthPress", 0.5),
      ...both("eyeSquint", 0.4),
    },
  },
  { name: "Kiss", values: { mouthPucker: 1, ...both("eyeBlink", 0.3) } },
  { name: "Wink", values: { eyeBlinkLeft: 1, mouthSmileLeft: 0.6, cheekSquintLeft: 0.6 } },
];

/** Axis-angle turns in degrees. */
type Turn = Vec3;

function mirrored(name: string, [x, y, z]: Turn): Record<string, Turn> {
  return { [`left_${name}`]: [x, y, z], [`right_${name}`]: [x, -y, -z] };
}

export const POSES: readonly Preset<Turn>[] = [
  { name: "T-pose", values: {} },
  { name: "A-pose", values: mirrored("shoulder", [0, 0, -42]) },
  { name: "Arms down", values: { ...mirrored("shoulder", [0, 0, -68]), ...mirrored("elbow", [0, -12, 0]) } },
  { name: "Arms up", values: { ...mirrored("collar", [0, 0, 14]), ...mirrored("shoulder", [0, 0, 62]) } },
  {
    name: "Sit",
    values: {
      ...mirrored("shoulder", [0, 0, -64]),
      ...mirrored("elbow", [0, -40, 0]),
      ...mirrored("hip", [-84, 6, 4]),
      ...mirrored("knee", [86, 0, 0]),
    },
  },
];

/** Show an expression; sliders of the face that it does not name go to rest. */
export function applyExpression(
  viewer: Viewer,
  preset: Preset<number>,
  isFace: (id: string) => boolean,
): void {
  viewer.history.group(() => {
    viewer.sliders.reset((spec) => isFace(spec.id));
    for (const [name, value] of Object.entries(preset.values))
      if (viewer.sliders.has(`arkit:${name}`)) viewer.sliders.set(`arkit:${name}`, value);
  });
}

/** Stand in a pose: no motion plays, and joints are turned as by hand. */
export function applyPose(viewer: Viewer, preset: Preset<Turn>): void {
  const names = viewer.avatar.meta.joint_names;
  const turns = new Map<number, Quat>();
  for (const [name, turn] of Object.entries(preset.values)) {
    const angle = Math.hypot(...turn);
    const axis = turn.map((v) => v / angle) as unknown as Vec3;
    turns.set(names.indexOf(name), fromAxisAngle(axis, (angle * Math.PI) / 180));
  }
  viewer.player.select(-1);
  viewer.history.group(() => viewer.edits.load({ turns, shift: [0, 0, 0] }));
}
