import { describe, expect, it } from "vitest";
import { readAvatar } from "../src/io/avatar";
import { halfToNumber } from "../src/io/half";
import { packSplats } from "../src/gl/packing";
import { uniqueEdges } from "../src/gl/edges";
import { forwardKinematics, restToPosed, TRANSFORM } from "../src/rig/kinematics";
import {
  between,
  conjugate,
  fromAxisAngle,
  fromColumns,
  fromRotationVector,
  mix,
  multiply,
  normalize,
  rotate,
  type Quat,
  type Vec3,
} from "../src/rig/quaternion";
import { DepthSorter } from "../src/rig/sort";
import { stretchLimbs } from "../src/rig/limbs";
import { Poser } from "../src/worker/poser";
import type { Pose } from "../src/worker/protocol";
import { avatarFile, PARENTS } from "./files";

/** A small reproducible random source. */
function random(seed: number): () => number {
  let s = seed;
  return () => {
    s = (s * 1664525 + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

const next = random(7);
const randomQuat = (): Quat => normalize([next() - 0.5, next() - 0.5, next() - 0.5, next() - 0.5]);
const close = (a: readonly number[], b: readonly number[], digits = 9): void =>
  a.forEach((x, i) => expect(x).toBeCloseTo(b[i], digits));

describe("quaternions", () => {
  it("rotate like their matrices and back", () => {
    for (let i = 0; i < 50; i++) {
      const [a, b] = [randomQuat(), randomQuat()];
      const v: Vec3 = [next(), next(), next()];
      close(rotate(multiply(a, b), v), rotate(a, rotate(b, v)));
      close(rotate(conjugate(a), rotate(a, v)), v);
      const columns = [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ].flatMap((e) => [...rotate(a, e as unknown as Vec3)]);
      const back = fromColumns(columns, 0);
      close(rotate(back, v), rotate(a, v));
    }
  });

  it("carry one direction onto another, opposite ones too", () => {
    for (const [a, b] of [
      [
        [1, 0, 0],
        [0, 1, 0],
      ],
      [
        [0, 1, 0],
        [0, -1, 0],
      ],
      [
        [0, 0, 1],
        [0, 0, 1],
      ],
    ] as [Vec3, Vec3][])
      close(rotate(between(a, b), a), b, 6);
  });

  it("mix exactly at both ends and take the short way", () => {
    const [a, b] = [fromAxisAngle([0, 1, 0], 0.2), fromAxisAngle([0, 1, 0], 1.0)];
    close(mix(a, b, 0), a);
    close(mix(a, b, 1), b);
    close(mix(a, b.map((x) => -x) as unknown as Quat, 0.5), fromAxisAngle([0, 1, 0], 0.6));
    close(fromRotationVector(0, 0.6, 0), fromAxisAngle([0, 1, 0], 0.6));
  });
});

/** Forward kinematics with quaternions only: the readable twin. */
function slowKinematics(
  joints: Float32Array,
  rotations: readonly Quat[],
  transl: Vec3,
): { place: Vec3; turn: Quat }[] {
  const world: { place: Vec3; turn: Quat }[] = [];
  PARENTS.forEach((p, j) => {
    const at = (k: number): Vec3 => [joints[3 * k], joints[3 * k + 1], joints[3 * k + 2]];
    if (p < 0)
      world.push({ place: at(j).map((x, k) => x + transl[k]) as unknown as Vec3, turn: rotations[j] });
    else {
      const arm = rotate(world[p].turn, at(j).map((x, k) => x - at(p)[k]) as unknown as Vec3);
      world.push({
        place: world[p].place.map((x, k) => x + arm[k]) as unknown as Vec3,
        turn: multiply(world[p].turn, rotations[j]),
      });
    }
  });
  return world;
}

const avatar = readAvatar(avatarFile());

function randomPose(): { pose: Pose; quats: Quat[] } {
  const quats = PARENTS.map(() => randomQuat());
  const pose: Pose = {
    rotations: Float32Array.from(quats.flat()),
    transl: [0.1, -0.2, 0.3],
    expression: Float32Array.of(0.5, -1),
    shape: new Float32Array(1),
    head: 1,
    limbs: [1, 1],
  };
  return { pose, quats };
}

describe("posing", () => {
  it("matches the readable twin to a micrometre", () => {
    const { pose, quats } = randomPose();
    const poser = new Poser(avatar.rig, avatar.splats);
    poser.setPose(pose);
    const joints = avatar.rig.joints;
    const world = slowKinematics(joints, quats, pose.transl as unknown as Vec3);
    world.forEach(({ place }, j) =>
      close([...poser.world.subarray(j * TRANSFORM + 9, j * TRANSFORM + 12)], place, 6),
    );
    for (let v = 0; v < 8; v++) {
      const rest = [0, 1, 2].map((k) => {
        const m = [1, 3, 5].indexOf(v);
        const moved = m < 0 ? 0 : 0.5 * 1e-6 * 1000 * (3 * m + k) - 2e-6 * 1000 * (9 + 3 * m + k);
        return avatar.rig.vertices[3 * v + k] + moved;
      });
      const expected = [0, 0, 0];
      for (let i = 0; i < 2; i++) {
        const j = avatar.rig.skinJoints[2 * v + i],
          w = avatar.rig.skinWeights[2 * v + i] / 65535;
        const p = rotate(world[j].turn, rest.map((x, k) => x - joints[3 * j + k]) as unknown as Vec3);
        p.forEach((x, k) => (expected[k] += w * (x + world[j].place[k])));
      }
      close([...poser.posed.subarray(4 * v, 4 * v + 3)], expected, 6);
      expect(poser.posed[4 * v + 3]).toBe(1);
    }
  });

  it("gives the same numbers whatever was posed before", () => {
    const { pose } = randomPose();
    const fresh = new Poser(avatar.rig, avatar.splats);
    fresh.setPose(pose);
    const used = new Poser(avatar.rig, avatar.splats);
    used.setPose({ ...pose, shape: Float32Array.of(2), head: 1.4 });
    used.setPose({ ...pose, expression: Float32Array.of(3, 3) });
    used.setPose(pose);
    expect([...used.posed]).toEqual([...fresh.posed]);
    expect([...used.world]).toEqual([...fresh.world]);
  });

  it("grows the head about its joint, its joints and splats with it", () => {
    const rotations = new Float32Array(220);
    for (let j = 0; j < 55; j++) rotations[4 * j] = 1;
    const pose: Pose = {
      rotations,
      transl: [0, 0, 0],
      expression: new Float32Array(2),
      shape: new Float32Array(1),
      head: 1.5,
      limbs: [1, 1],
    };
    const poser = new Poser(avatar.rig, avatar.splats);
    poser.setPose(pose);
    const { joints, vertices } = avatar.rig;
    for (let k = 0; k < 3; k++) {
      expect(poser.posed[k]).toBeCloseTo(joints[45 + k] + 1.5 * (vertices[k] - joints[45 + k]), 5); // vertex 0 is all head
      expect(poser.world[22 * TRANSFORM + 9 + k]).toBeCloseTo(
        joints[45 + k] + 1.5 * (joints[66 + k] - joints[45 + k]),
        5,
      );
      expect(poser.world[12 * TRANSFORM + 9 + k]).toBeCloseTo(joints[36 + k], 6);
    }
    expect(poser.posed[3]).toBeGreaterThan(1.2);
  });

  it("stretches the bones of arms and legs, and nothing beyond them", () => {
    const joints = Float32Array.from(avatar.rig.joints, (v, i) => v + 0.1 * Math.sin(i));
    const long = joints.slice();
    expect(stretchLimbs(avatar.rig, new Float32Array(0), long, [0.5, 2])).toBe(true);
    const bone = (of: Float32Array, a: number, b: number): number =>
      Math.hypot(...[0, 1, 2].map((k) => of[3 * a + k] - of[3 * b + k]));
    for (const [a, b] of [
      [1, 4],
      [4, 7],
      [2, 5],
      [5, 8],
    ])
      expect(bone(long, a, b) / bone(joints, a, b)).toBeCloseTo(2, 5);
    for (const [a, b] of [
      [16, 18],
      [18, 20],
      [17, 19],
      [19, 21],
    ])
      expect(bone(long, a, b) / bone(joints, a, b)).toBeCloseTo(0.5, 5);
    for (const [a, b] of [
      [7, 10],
      [20, 25],
      [25, 26],
      [0, 1],
      [13, 16],
    ])
      expect(bone(long, a, b) / bone(joints, a, b)).toBeCloseTo(1, 5);
    expect(stretchLimbs(avatar.rig, new Float32Array(0), long, [1, 1])).toBe(false);
  });

  it("moves vertices and joints by a shape", () => {
    const rotations = new Float32Array(220);
    for (let j = 0; j < 55; j++) rotations[4 * j] = 1;
    const poser = new Poser(avatar.rig, avatar.splats);
    poser.setPose({
      rotations,
      transl: [0, 0, 0],
      expression: new Float32Array(2),
      shape: Float32Array.of(2),
      head: 1,
      limbs: [1, 1],
    });
    expect(poser.posed[0]).toBeCloseTo(avatar.rig.vertices[0] + 2 * 100 * 1e-4, 6);
    expect(poser.world[9]).toBeCloseTo(avatar.rig.joints[0] + 0.02, 6);
  });

  it("carries rest points with rotations of any length", () => {
    const world = new Float64Array(55 * TRANSFORM),
      out = new Float64Array(55 * TRANSFORM);
    const scaled = Float32Array.from(randomPose().pose.rotations, (x) => 3 * x);
    forwardKinematics(PARENTS, avatar.rig.joints, scaled, [0, 0, 0], world);
    restToPosed(world, avatar.rig.joints, out);
    for (let j = 0; j < 55; j++)
      expect(Math.hypot(out[j * 12], out[j * 12 + 1], out[j * 12 + 2])).toBeCloseTo(1, 6);
  });
});

describe("the order of splats", () => {
  it("is far to near, each once, ties in index order", () => {
    const count = 5000;
    const depths = Float32Array.from({ length: count }, (_, i) => (i % 7 === 0 ? 1.25 : 3 * next()));
    const order = new Uint32Array(count);
    new DepthSorter(count).sort(depths, order);
    expect(new Set(order).size).toBe(count);
    const step = 3 / 65535;
    for (let i = 1; i < count; i++) {
      expect(depths[order[i]]).toBeLessThanOrEqual(depths[order[i - 1]] + 1.001 * step);
      if (depths[order[i]] === depths[order[i - 1]]) expect(order[i]).toBeGreaterThan(order[i - 1]);
    }
  });

  it("is by the true centres, offsets from the surface included", () => {
    const poser = new Poser(avatar.rig, avatar.splats);
    const { pose } = randomPose();
    poser.setPose(pose);
    const order = new Uint32Array(10);
    const direction = [0.36, 0.48, 0.8];
    poser.sort(direction, order);
    const depth = (s: number): number => {
      const corner = (k: number): Vec3 => {
        const v = avatar.rig.faces[3 * avatar.splats.face[s] + k];
        return [...poser.posed.subarray(4 * v, 4 * v + 3)] as unknown as Vec3;
      };
      const [a, b, c] = [corner(0), corner(1), corner(2)];
      const minus = (p: Vec3, q: Vec3): Vec3 => [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
      const norm = (p: Vec3): Vec3 => p.map((x) => x / Math.hypot(...p)) as unknown as Vec3;
      const crossed = (p: Vec3, q: Vec3): Vec3 => [
        p[1] * q[2] - p[2] * q[1],
        p[2] * q[0] - p[0] * q[2],
        p[0] * q[1] - p[1] * q[0],
      ];
      const e = norm(minus(b, a)),
        n = norm(crossed(minus(b, a), minus(c, a))),
        t = crossed(n, e);
      const [u, v] = [avatar.splats.barycentric[2 * s] / 65535, avatar.splats.barycentric[2 * s + 1] / 65535];
      const o = [0, 1, 2].map((k) => halfToNumber(avatar.splats.offsets[3 * s + k]));
      return [0, 1, 2].reduce(
        (sum, k) =>
          sum +
          direction[k] * ((1 - u - v) * a[k] + u * b[k] + v * c[k] + o[0] * e[k] + o[1] * t[k] + o[2] * n[k]),
        0,
      );
    };
    const depths = [...order].map(depth);
    for (let i = 1; i < depths.length; i++) expect(depths[i]).toBeLessThanOrEqual(depths[i - 1] + 1e-4);
  });
});

describe("packing", () => {
  it("keeps ids, colours and the covariance", () => {
    const { data, rows } = packSplats(avatar);
    expect(rows).toBe(1);
    const f = 3 * avatar.splats.face[4];
    expect([data[32] & 0xffff, data[32] >>> 16, data[33] & 0xffff]).toEqual([
      ...avatar.rig.faces.subarray(f, f + 3),
    ]);
    expect(data[39]).toBe(0xc8c8c8c8);
    const L = [36, 37, 38].flatMap((w) => [halfToNumber(data[w] & 0xffff), halfToNumber(data[w] >>> 16)]);
    close(L, [4, 0, 0, 4, 0, 4], 2);
  });

  it("of a mesh's edges lists each once", () => {
    expect(uniqueEdges(avatar.rig.faces).length / 2).toBe(13); // V + F - 1 of a strip
  });
});
