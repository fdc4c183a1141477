/** The avatar payload: parsed, held to the schema, and safe to index. */

import { AVATAR_FORMAT, AVATAR_TENSORS, SCHEMA_VERSION, type AvatarMeta } from "../generated/schema";
import { FileError, isRecord, readTensorFile, type TensorData, type TensorFile } from "./safetensors";

export const JOINT_COUNT = 55;

/** What skinning needs; it travels to the worker as it is. */
export interface RigData {
  readonly vertices: Float32Array;
  readonly faces: Uint16Array | Uint32Array;
  readonly joints: Float32Array;
  readonly parents: readonly number[];
  readonly influences: number;
  readonly skinJoints: Uint8Array;
  readonly skinWeights: Uint16Array;
  /** Weight of head and its descendants at each vertex: how far it follows the head's size. */
  readonly headWeight: Float32Array;
  readonly headJoint: number;
  readonly headDescendant: readonly boolean[];
  readonly expressionVertices: Uint16Array | Uint32Array;
  readonly expressionDeltas: Int16Array;
  readonly expressionScales: Float32Array;
  readonly shapeDeltas: Int16Array;
  readonly shapeScales: Float32Array;
  readonly shapeJoints: Float32Array;
}

export interface SplatData {
  readonly count: number;
  readonly face: Uint16Array | Uint32Array;
  readonly barycentric: Uint16Array;
  /** Half-float bits, metres along e, t, n. */
  readonly offsets: Uint16Array;
  readonly quats: Int16Array;
  /** Half-float bits, millimetres. */
  readonly scales: Uint16Array;
  readonly rgba: Uint8Array;
}

export interface AvatarData {
  readonly meta: AvatarMeta;
  readonly rig: RigData;
  readonly splats: SplatData;
  readonly arkitCoef: Float32Array;
  readonly arkitPose: Float32Array;
  readonly expressionCount: number;
  readonly shapeCount: number;
}

/** Vertex ids are 16-bit in the splat texture. */
const MAX_VERTICES = 65536;

export function readAvatar(buffer: ArrayBuffer): AvatarData {
  const file = readTensorFile(buffer, AVATAR_TENSORS);
  const meta = readAvatarMeta(file.meta);
  const size = (symbol: string): number => file.sizes.get(symbol) ?? 0;
  checkSizes(size, meta);
  const vertices = size("V");
  const joints = get(file, "template.joints", Float32Array).length / 3;
  if (joints !== JOINT_COUNT)
    throw new FileError(`The avatar has ${joints} joints, expected ${JOINT_COUNT}.`);
  const rig = readRig(file, meta, vertices, size("K"));
  const splats = readSplats(file, size("N"));
  checkIndices("template.faces", rig.faces, vertices);
  checkIndices("template.skin_joints", rig.skinJoints, JOINT_COUNT);
  checkIndices("expression.vertices", rig.expressionVertices, vertices);
  checkIndices("splat.face", splats.face, size("F"));
  const arkitCoef = get(file, "arkit.coef", Float32Array);
  const arkitPose = get(file, "arkit.pose", Float32Array);
  const floats = {
    "template.vertices": rig.vertices,
    "template.joints": rig.joints,
    "expression.scales": rig.expressionScales,
    "shape.scales": rig.shapeScales,
    "shape.joints": rig.shapeJoints,
    "arkit.coef": arkitCoef,
    "arkit.pose": arkitPose,
  };
  for (const [name, data] of Object.entries(floats)) checkFinite(name, data);
  return {
    meta,
    rig,
    splats,
    arkitCoef,
    arkitPose,
    expressionCount: size("E"),
    shapeCount: rig.shapeScales.length,
  };
}

function checkSizes(size: (symbol: string) => number, meta: AvatarMeta): void {
  if (size("V") < 3 || size("F") < 1 || size("N") < 1)
    throw new FileError("The avatar holds no mesh or no splats.");
  if (size("V") > MAX_VERTICES)
    throw new FileError(`The avatar's mesh has ${size("V")} vertices; at most ${MAX_VERTICES} can be shown.`);
  if (size("K") < 1) throw new FileError("The avatar's vertices follow no joint.");
  if (meta.shape_names.length !== size("S"))
    throw new FileError(`The avatar names ${meta.shape_names.length} shapes but holds ${size("S")}.`);
}

function readRig(file: TensorFile, meta: AvatarMeta, vertices: number, influences: number): RigData {
  const skinJoints = get(file, "template.skin_joints", Uint8Array);
  const skinWeights = get(file, "template.skin_weights", Uint16Array);
  const headJoint = meta.joint_names.indexOf("head");
  const headDescendant = meta.parents.map((_, j) => descends(meta.parents, j, headJoint));
  const headWeight = new Float32Array(vertices);
  for (let v = 0; v < vertices; v++) {
    for (let k = 0; k < influences; k++) {
      const i = v * influences + k;
      if (headDescendant[skinJoints[i]]) headWeight[v] += skinWeights[i] / 65535;
    }
  }
  const shapes =
    file.tensors.has("shape.deltas") && file.tensors.has("shape.scales") && file.tensors.has("shape.joints");
  return {
    vertices: get(file, "template.vertices", Float32Array),
    faces: getIndices(file, "template.faces"),
    joints: get(file, "template.joints", Float32Array),
    parents: meta.parents,
    influences,
    skinJoints,
    skinWeights,
    headWeight,
    headJoint,
    headDescendant,
    expressionVertices: getIndices(file, "expression.vertices"),
    expressionDeltas: get(file, "expression.deltas", Int16Array),
    expressionScales: get(file, "expression.scales", Float32Array),
    shapeDeltas: shapes ? get(file, "shape.deltas", Int16Array) : new Int16Array(0),
    shapeScales: shapes ? get(file, "shape.scales", Float32Array) : new Float32Array(0),
    shapeJoints: shapes ? get(file, "shape.joints", Float32Array) : new Float32Array(0),
  };
}

function readSplats(file: TensorFile, count: number): SplatData {
  return {
    count,
    face: getIndices(file, "splat.face"),
    barycentric: get(file, "splat.barycentric", Uint16Array),
    offsets: get(file, "splat.offsets", Uint16Array),
    quats: get(file, "splat.quats", Int16Array),
    scales: get(file, "splat.scales", Uint16Array),
    rgba: get(file, "splat.rgba", Uint8Array),
  };
}

function descends(parents: readonly number[], joint: number, ancestor: number): boolean {
  for (let j = joint; j >= 0; j = parents[j]) if (j === ancestor) return true;
  return false;
}

type Constructor<T> = new (...args: never[]) => T;

export function get<T extends TensorData>(file: TensorFile, name: string, type: Constructor<T>): T {
  const data = file.tensors.get(name)?.data;
  if (!(data instanceof type)) throw new FileError(`${name} is missing or of the wrong type.`);
  return data;
}

function getIndices(file: TensorFile, name: string): Uint16Array | Uint32Array {
  const data = file.tensors.get(name)?.data;
  if (data instanceof Uint16Array || data instanceof Uint32Array) return data;
  throw new FileError(`${name} is missing or of the wrong type.`);
}

function checkIndices(name: string, data: ArrayLike<number>, limit: number): void {
  for (let i = 0; i < data.length; i++) {
    if (data[i] >= limit)
      throw new FileError(`${name} points at ${data[i]}, past the last one (${limit - 1}).`);
  }
}

export function checkFinite(name: string, data: Float32Array): void {
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) throw new FileError(`${name} holds a number that is not finite.`);
  }
}

function readAvatarMeta(value: unknown): AvatarMeta {
  if (!isRecord(value) || value["format"] !== AVATAR_FORMAT)
    throw new FileError("The file is not an avatar for this viewer.");
  if (value["version"] !== SCHEMA_VERSION)
    throw new FileError(
      `The avatar has version ${String(value["version"])}; this viewer reads ${SCHEMA_VERSION}.`,
    );
  const { name, joint_names, parents, arkit_names, shape_names, info } = value;
  const complete =
    typeof name === "string" &&
    isStrings(joint_names, JOINT_COUNT) &&
    isStrings(arkit_names, 52) &&
    isStrings(shape_names) &&
    isTree(parents) &&
    joint_names.includes("head");
  if (!complete) throw new FileError("The avatar's description is incomplete.");
  const texts = isRecord(info)
    ? Object.entries(info).filter((e): e is [string, string] => typeof e[1] === "string")
    : [];
  return {
    format: AVATAR_FORMAT,
    version: SCHEMA_VERSION,
    name,
    joint_names,
    parents,
    arkit_names,
    shape_names,
    info: Object.fromEntries(texts),
  };
}

function isStrings(value: unknown, length?: number): value is string[] {
  return (
    Array.isArray(value) &&
    value.every((s) => typeof s === "string") &&
    (length === undefined || value.length === length)
  );
}

/** Parents before children, one root in front. */
function isTree(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length === JOINT_COUNT &&
    value.every((p, j) => Number.isInteger(p) && (j === 0 ? p === -1 : p >= 0 && p < j))
  );
}
