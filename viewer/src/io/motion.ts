/** Motion files: local rotations, translation, expression, and the clip's own camera. */

import { MOTION_FORMAT, MOTION_TENSORS, SCHEMA_VERSION } from "../generated/schema";
import { checkFinite, get, JOINT_COUNT } from "./avatar";
import { FileError, isRecord, readTensorFile } from "./safetensors";

export interface ClipCamera {
  /** Video size in pixels that the intrinsics belong to. */
  readonly width: number;
  readonly height: number;
  /** (N, 4) fx, fy, cx, cy. */
  readonly K: Float32Array;
  /** (N, 12) rows of T_camera_world, OpenCV axes. */
  readonly T: Float32Array;
}

export interface Motion {
  readonly name: string;
  readonly frames: number;
  readonly fps: number;
  /** Seconds that one pass takes, the last frame's own time included. */
  readonly duration: number;
  readonly rotations: Float32Array;
  readonly transl: Float32Array;
  readonly expression: Float32Array;
  readonly expressionCount: number;
  readonly time: Float32Array;
  readonly videoTime: Float32Array | null;
  readonly camera: ClipCamera | null;
}

export function readMotion(buffer: ArrayBuffer, name?: string): Motion {
  const file = readTensorFile(buffer, MOTION_TENSORS);
  const meta = file.meta;
  if (!isRecord(meta) || meta["format"] !== MOTION_FORMAT)
    throw new FileError("The file is not a motion for this viewer.");
  if (meta["version"] !== SCHEMA_VERSION)
    throw new FileError(
      `The motion has version ${String(meta["version"])}; this viewer reads ${SCHEMA_VERSION}.`,
    );
  const frames = file.sizes.get("N") ?? 0;
  if (frames < 1) throw new FileError("The motion has no frames.");
  const optional = (key: string): Float32Array | null =>
    file.tensors.has(key) ? get(file, key, Float32Array) : null;
  const fps = number(meta["fps"], 30);
  const time = get(file, "time", Float32Array);
  const motion = {
    name: name ?? (typeof meta["name"] === "string" ? meta["name"] : "Motion"),
    frames,
    fps: fps > 0 && fps < 1000 ? fps : 30,
    rotations: get(file, "rotations", Float32Array),
    transl: get(file, "transl", Float32Array),
    expression: optional("expression") ?? new Float32Array(0),
    expressionCount: file.sizes.get("X") ?? 0,
    time,
    videoTime: optional("video_time"),
    camera: readCamera(meta, optional("camera.K"), optional("camera.T")),
  };
  for (const key of ["rotations", "transl", "expression", "time"] as const) checkFinite(key, motion[key]);
  if (motion.videoTime) checkFinite("video_time", motion.videoTime);
  checkTimes(time);
  checkRotations(motion.rotations);
  return { ...motion, duration: time[frames - 1] + 1 / motion.fps };
}

function readCamera(
  meta: Record<string, unknown>,
  K: Float32Array | null,
  T: Float32Array | null,
): ClipCamera | null {
  const width = number(meta["width"], 0);
  const height = number(meta["height"], 0);
  if (!K || !T || width < 1 || height < 1) return null;
  checkFinite("camera.K", K);
  checkFinite("camera.T", T);
  return { width, height, K, T };
}

function checkTimes(time: Float32Array): void {
  for (let i = 1; i < time.length; i++) {
    if (!(time[i] > time[i - 1]))
      throw new FileError(`The motion's frame ${i} does not come after the one before it.`);
  }
  if (time[0] !== 0) throw new FileError("The motion does not begin at time 0.");
}

function checkRotations(q: Float32Array): void {
  for (let i = 0; i < q.length; i += 4) {
    const n = q[i] ** 2 + q[i + 1] ** 2 + q[i + 2] ** 2 + q[i + 3] ** 2;
    if (!(Math.abs(n - 1) < 0.01))
      throw new FileError(
        `The motion's frame ${Math.floor(i / (4 * JOINT_COUNT))} holds a rotation that is none.`,
      );
  }
}

function number(value: unknown, fallback: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : fallback;
}
