/** The live model file: the lifter's network and the rig of the landmarks that it reads. */

import { LIVE_FORMAT, LIVE_TENSORS, type LiveMeta, SCHEMA_VERSION } from "../generated/schema";
import { checkFinite, get, JOINT_COUNT } from "../io/avatar";
import { halfToNumber } from "../io/half";
import { FileError, isRecord, readTensorFile, type TensorFile } from "../io/safetensors";

/** y = weight x + bias; weight (outputs, inputs), row after row. */
export interface Linear {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** y = (x - mean) matrix, as the training measured them. */
export interface Whitening {
  readonly matrix: Float32Array;
  readonly mean: Float32Array;
}

export interface Norm {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** Landmark pairs: one point for each landmark and joint that moves it. */
export interface LandmarkRig {
  readonly parents: readonly number[];
  /** (55, 3), (S, 55, 3), (55,) */
  readonly jointTemplate: Float32Array;
  readonly jointDirs: Float32Array;
  readonly jointPart: Uint8Array;
  /** (Q,), ..., (Q, 3), (S + E, Q, 3) */
  readonly pairJoint: Uint8Array;
  readonly pairPart: Uint8Array;
  readonly pairLandmark: Uint16Array;
  readonly pairShare: Float32Array;
  readonly pairTemplate: Float32Array;
  readonly pairDirs: Float32Array;
  readonly shapes: number;
  readonly expressions: number;
}

export interface LiveModel {
  readonly meta: LiveMeta;
  readonly rig: LandmarkRig;
  readonly linear: (name: string) => Linear;
  readonly norm: (name: string) => Norm;
  readonly whitening: (name: string) => Whitening;
  readonly arkitCoef: Float32Array;
  readonly arkitPose: Float32Array;
  /** (30, 4) wxyz */
  readonly relaxedFingers: Float32Array;
  readonly facePoints: Uint16Array;
}

export function readLiveModel(buffer: ArrayBuffer): LiveModel {
  const file = readTensorFile(buffer, LIVE_TENSORS);
  const meta = readMeta(file.meta);
  const halves = new Map<string, Float32Array>();
  for (const [name, tensor] of file.tensors)
    if (tensor.dtype === "F16") halves.set(name, Float32Array.from(tensor.data as Uint16Array, halfToNumber));
  const half = (name: string): Float32Array => {
    const data = halves.get(name);
    if (!data) throw new FileError(`${name} is missing.`);
    return data;
  };
  const pair = (name: string): { weight: Float32Array; bias: Float32Array } => ({
    weight: half(`${name}.weight`),
    bias: half(`${name}.bias`),
  });
  return {
    meta,
    rig: readRig(file, meta),
    linear: pair,
    norm: pair,
    whitening: (name) => ({
      matrix: get(file, `${name}.matrix`, Float32Array),
      mean: get(file, `${name}.mean`, Float32Array),
    }),
    arkitCoef: get(file, "arkit.coef", Float32Array),
    arkitPose: get(file, "arkit.pose", Float32Array),
    relaxedFingers: get(file, "fingers.relaxed", Float32Array),
    facePoints: get(file, "face.points", Uint16Array),
  };
}

function readRig(file: TensorFile, meta: LiveMeta): LandmarkRig {
  const shapes = file.sizes.get("S") ?? 0;
  const rig = {
    parents: meta.parents,
    jointTemplate: get(file, "joint.template", Float32Array),
    jointDirs: get(file, "joint.dirs", Float32Array),
    jointPart: get(file, "joint.part", Uint8Array),
    pairJoint: get(file, "pair.joint", Uint8Array),
    pairPart: get(file, "pair.part", Uint8Array),
    pairLandmark: get(file, "pair.landmark", Uint16Array),
    pairShare: get(file, "pair.share", Float32Array),
    pairTemplate: get(file, "pair.template", Float32Array),
    pairDirs: get(file, "pair.dirs", Float32Array),
    shapes,
    expressions: (file.sizes.get("X") ?? 0) - shapes,
  };
  if (rig.pairJoint.some((j) => j >= JOINT_COUNT)) throw new FileError("pair.joint names no joint.");
  for (const name of ["jointTemplate", "jointDirs", "pairTemplate", "pairDirs", "pairShare"] as const)
    checkFinite(name, rig[name]);
  return rig;
}

function readMeta(value: unknown): LiveMeta {
  if (!isRecord(value) || value["format"] !== LIVE_FORMAT || value["version"] !== SCHEMA_VERSION)
    throw new FileError("The live model is of another version: reload the page.");
  return value as unknown as LiveMeta;
}
