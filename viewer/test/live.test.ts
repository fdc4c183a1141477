/** The lifter in TypeScript against Python's, on frames that the Python test wrote. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { judge, type Landmarks } from "../src/live/landmarks";
import { Lifter } from "../src/live/lift";
import { readLiveModel } from "../src/live/model";

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly pose: number[];
  readonly world: number[];
  readonly left_hand: number[] | null;
  readonly right_hand: number[] | null;
  readonly face: number[] | null;
  readonly actions: number[] | null;
  readonly expected: Readonly<Record<string, number[]>>;
}

const folder = process.env["PEAR_LIVE_FIXTURE"];
const TOLERANCE = 1e-3;

function bytes(path: string): ArrayBuffer {
  return new Uint8Array(readFileSync(path)).buffer;
}

function landmarks(frame: Frame): Landmarks {
  const part = (points: number[] | null): Float32Array | null => points && Float32Array.from(points);
  return {
    width: frame.width,
    height: frame.height,
    pose: Float32Array.from(frame.pose),
    world: Float32Array.from(frame.world),
    leftHand: part(frame.left_hand),
    rightHand: part(frame.right_hand),
    face: part(frame.face),
    actions: part(frame.actions),
  };
}

it.runIf(folder)(
  "lifts every frame as Python does",
  () => {
    const lifter = new Lifter(readLiveModel(bytes(`${folder}/model.bin`)));
    const frames: Frame[] = JSON.parse(readFileSync(`${folder}/frames.json`, "utf8"));
    const worst: Record<string, number> = {};
    for (const frame of frames) {
      const marks = landmarks(frame);
      const trust = judge(marks);
      const lifted = lifter.lift(marks);
      const found: Record<string, ArrayLike<number>> = {
        ...lifted,
        rotations: positive(lifted.rotations),
        trust: [...trust.pose, trust.leftHand, trust.rightHand, trust.face],
      };
      for (const [name, values] of Object.entries(frame.expected)) {
        const wanted = name === "rotations" ? positive(Float32Array.from(values)) : values;
        expect(found[name].length, name).toBe(wanted.length);
        // Python places people in single precision, whose error grows with the distance.
        const unit = name === "transl" ? Math.max(1, Math.abs(wanted[2])) : 1;
        for (let i = 0; i < wanted.length; i++)
          worst[name] = Math.max(worst[name] ?? 0, Math.abs(found[name][i] - wanted[i]) / unit);
      }
    }
    expect(frames.length).toBeGreaterThan(0);
    for (const [name, apart] of Object.entries(worst)) expect(apart, name).toBeLessThan(TOLERANCE);
  },
  60_000,
);

/** Quaternions with their largest part above zero: each rotation has two. */
function positive(q: Float32Array): Float32Array {
  const out = q.slice();
  for (let o = 0; o < q.length; o += 4) {
    const parts = q.subarray(o, o + 4);
    const most = parts.reduce((best, v) => (Math.abs(v) > Math.abs(best) ? v : best), 0);
    if (most < 0)
      out.set(
        parts.map((v) => -v),
        o,
      );
  }
  return out;
}
