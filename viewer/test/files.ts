/** Small synthetic files for the tests: a safetensors writer, an avatar, a motion. */

import type { DType } from "../src/generated/schema";

export interface TensorInput {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** Bytes of a safetensors file; `patch` may spoil the header. */
export function tensorFile(
  tensors: Readonly<Record<string, TensorInput>>,
  meta: unknown,
  patch: (header: Record<string, unknown>) => void = () => undefined,
): ArrayBuffer {
  const header: Record<string, unknown> = { __metadata__: { meta: JSON.stringify(meta) } };
  let offset = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  patch(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.fill(0x20, 8, 8 + padded);
  bytes.set(text, 8);
  let at = 8 + padded;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes.buffer;
}

export const PARENTS = [
  -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15, 20, 25, 26, 20, 28,
  29, 20, 31, 32, 20, 34, 35, 20, 37, 38, 21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53,
];
const HEAD = 15;

export function avatarMeta(): Record<string, unknown> {
  const joint_names = PARENTS.map((_, j) =>
    j === HEAD ? "head" : j === 22 ? "jaw" : j === 23 ? "left_eye" : j === 24 ? "right_eye" : `joint_${j}`,
  );
  return {
    format: "pear-avatar-view",
    version: 1,
    name: "Test",
    joint_names,
    parents: PARENTS,
    arkit_names: Array.from({ length: 52 }, (_, i) => (i === 0 ? "jawOpen" : `action${i}`)),
    shape_names: ["Tall"],
    info: { source: "test.mp4" },
  };
}

/** A strip of triangles: 8 vertices, 6 faces, 10 splats, 2 expressions, 1 shape. */
export function avatarTensors(): Record<string, TensorInput> {
  const V = 8,
    F = 6,
    N = 10;
  const vertices = Float32Array.from(
    { length: V * 3 },
    (_, i) =>
      [0.1 * Math.floor(i / 6), (i / 3) % 2 < 1 ? 0 : 0.1, 0][i % 3] +
      (i % 3 === 1 ? (Math.floor(i / 3) % 2) * 0.1 : 0),
  );
  const faces = Uint16Array.from({ length: F * 3 }, (_, i) => {
    const f = Math.floor(i / 3),
      k = i % 3;
    return f % 2 ? f + [1, 0, 2][k] : f + k;
  });
  const joints = Float32Array.from({ length: 55 * 3 }, (_, i) => Math.sin(i) * 0.3);
  const skinJoints = Uint8Array.from({ length: V * 2 }, (_, i) => (i % 2 ? HEAD : 12));
  const skinWeights = Uint16Array.from({ length: V * 2 }, (_, i) =>
    i % 2 ? 65535 - 8000 * Math.floor(i / 2) : 8000 * Math.floor(i / 2),
  );
  return {
    "template.vertices": { dtype: "F32", shape: [V, 3], data: vertices },
    "template.faces": { dtype: "U16", shape: [F, 3], data: faces },
    "template.joints": { dtype: "F32", shape: [55, 3], data: joints },
    "template.skin_joints": { dtype: "U8", shape: [V, 2], data: skinJoints },
    "template.skin_weights": { dtype: "U16", shape: [V, 2], data: skinWeights },
    "expression.vertices": { dtype: "U16", shape: [3], data: Uint16Array.of(1, 3, 5) },
    "expression.deltas": {
      dtype: "I16",
      shape: [2, 3, 3],
      data: Int16Array.from({ length: 18 }, (_, i) => i * 1000),
    },
    "expression.scales": { dtype: "F32", shape: [2], data: Float32Array.of(1e-6, 2e-6) },
    "arkit.coef": { dtype: "F32", shape: [52, 2], data: new Float32Array(104).fill(0.5) },
    "arkit.pose": {
      dtype: "F32",
      shape: [52, 9],
      data: Float32Array.from({ length: 468 }, (_, i) => (i === 0 ? 0.4 : 0)),
    },
    "shape.deltas": { dtype: "I16", shape: [1, V, 3], data: new Int16Array(V * 3).fill(100) },
    "shape.scales": { dtype: "F32", shape: [1], data: Float32Array.of(1e-4) },
    "shape.joints": { dtype: "F32", shape: [1, 55, 3], data: new Float32Array(165).fill(0.01) },
    "splat.face": { dtype: "U16", shape: [N], data: Uint16Array.from({ length: N }, (_, i) => i % F) },
    "splat.barycentric": {
      dtype: "U16",
      shape: [N, 2],
      data: Uint16Array.from({ length: N * 2 }, (_, i) => 2000 * i),
    },
    "splat.offsets": { dtype: "F16", shape: [N, 3], data: new Uint16Array(N * 3).fill(0x1c00) },
    "splat.quats": {
      dtype: "I16",
      shape: [N, 4],
      data: Int16Array.from({ length: N * 4 }, (_, i) => [32767, 0, 0, 0][i % 4]),
    },
    "splat.scales": { dtype: "F16", shape: [N, 3], data: new Uint16Array(N * 3).fill(0x4400) },
    "splat.rgba": { dtype: "U8", shape: [N, 4], data: new Uint8Array(N * 4).fill(200) },
  };
}

export function avatarFile(
  change: (tensors: Record<string, TensorInput>, meta: Record<string, unknown>) => void = () => undefined,
): ArrayBuffer {
  const tensors = avatarTensors(),
    meta = avatarMeta();
  change(tensors, meta);
  return tensorFile(tensors, meta);
}

export function motionTensors(frames = 4): Record<string, TensorInput> {
  const rotations = new Float32Array(frames * 55 * 4);
  for (let i = 0; i < rotations.length; i += 4) {
    const angle = 0.1 * Math.floor(i / 220);
    rotations.set([Math.cos(angle), 0, Math.sin(angle), 0], i);
  }
  return {
    rotations: { dtype: "F32", shape: [frames, 55, 4], data: rotations },
    transl: {
      dtype: "F32",
      shape: [frames, 3],
      data: Float32Array.from({ length: frames * 3 }, (_, i) => Math.floor(i / 3)),
    },
    time: { dtype: "F32", shape: [frames], data: Float32Array.from({ length: frames }, (_, i) => i / 10) },
    video_time: {
      dtype: "F32",
      shape: [frames],
      data: Float32Array.from({ length: frames }, (_, i) => 0.5 + i / 10),
    },
  };
}

export const MOTION_META = {
  format: "pear-motion",
  version: 1,
  name: "Walk",
  fps: 10,
  source: "walk.npz",
  width: 0,
  height: 0,
};

export function motionFile(
  change: (tensors: Record<string, TensorInput>, meta: Record<string, unknown>) => void = () => undefined,
): ArrayBuffer {
  const tensors = motionTensors(),
    meta: Record<string, unknown> = { ...MOTION_META };
  change(tensors, meta);
  return tensorFile(tensors, meta);
}
