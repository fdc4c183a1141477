/** A pinhole camera in the conventions of the Python side: OpenCV axes, pixel centres at +0.5. */

import type { Vec3 } from "../rig/quaternion";

export interface CameraView {
  readonly width: number;
  readonly height: number;
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  /** Twelve numbers, the rows of T_camera_world. */
  readonly T: ArrayLike<number>;
}

/** World point -> camera axes (x right, y down, z forward). */
export function toCamera(view: CameraView, p: Vec3): Vec3 {
  const T = view.T;
  const row = (r: number): number =>
    T[4 * r] * p[0] + T[4 * r + 1] * p[1] + T[4 * r + 2] * p[2] + T[4 * r + 3];
  return [row(0), row(1), row(2)];
}

/** World point -> pixels and depth; depth <= 0 lies behind the camera. */
export function project(view: CameraView, p: Vec3): { x: number; y: number; z: number } {
  const [x, y, z] = toCamera(view, p);
  return { x: (view.fx * x) / z + view.cx, y: (view.fy * y) / z + view.cy, z };
}

/** Rotate a direction of the camera's axes into the world. */
export function directionToWorld(view: CameraView, d: Vec3): Vec3 {
  const T = view.T;
  const column = (c: number): number => T[c] * d[0] + T[4 + c] * d[1] + T[8 + c] * d[2];
  return [column(0), column(1), column(2)];
}

/** The camera's viewing direction in the world. */
export function forward(view: CameraView): Vec3 {
  return [view.T[8], view.T[9], view.T[10]];
}

/** The same camera with another picture size in pixels. */
export function resized(view: CameraView, factor: number): CameraView {
  const { width, height, fx, fy, cx, cy, T } = view;
  return {
    width: Math.round(width * factor),
    height: Math.round(height * factor),
    fx: fx * factor,
    fy: fy * factor,
    cx: cx * factor,
    cy: cy * factor,
    T,
  };
}

/** A picture's camera, letterboxed into a canvas: the whole picture, centred. */
export function fitted(view: CameraView, width: number, height: number): CameraView {
  const s = Math.min(width / view.width, height / view.height);
  return {
    width,
    height,
    fx: view.fx * s,
    fy: view.fy * s,
    cx: view.cx * s + (width - view.width * s) / 2,
    cy: view.cy * s + (height - view.height * s) / 2,
    T: view.T,
  };
}
