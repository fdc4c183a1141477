/** A camera that circles a point, y up. */

import type { CameraView } from "./view";
import type { Vec3 } from "../rig/quaternion";

export interface OrbitState {
  /** Radians to the right of the front. */
  readonly yaw: number;
  /** Radians above the horizon. */
  readonly pitch: number;
  /** Metres from the target. */
  readonly distance: number;
  readonly target: Vec3;
  /** Vertical field of view in radians. */
  readonly fov: number;
}

const MAX_PITCH = 1.5;
const MIN_DISTANCE = 0.08;
const MAX_DISTANCE = 40;

export const DEFAULT_ORBIT: OrbitState = {
  yaw: 0.35,
  pitch: 0.08,
  distance: 3.2,
  target: [0, 0, 0],
  fov: 0.56,
};

export function orbitBy(s: OrbitState, dYaw: number, dPitch: number): OrbitState {
  return {
    ...s,
    yaw: wrap(s.yaw + dYaw),
    pitch: Math.max(-MAX_PITCH, Math.min(MAX_PITCH, s.pitch + dPitch)),
  };
}

export function zoomBy(s: OrbitState, factor: number): OrbitState {
  return { ...s, distance: Math.max(MIN_DISTANCE, Math.min(MAX_DISTANCE, s.distance * factor)) };
}

/** Zoom so that what lies under a place of the picture, (right, up) of its height from the middle, stays. */
export function zoomAt(s: OrbitState, factor: number, right: number, up: number): OrbitState {
  const zoomed = zoomBy(s, factor);
  const kept = 1 - zoomed.distance / s.distance;
  return panBy({ ...zoomed, distance: s.distance }, right * kept, up * kept, zoomed.distance);
}

/** Move the target by a fraction of the picture's height, right and up. */
export function panBy(s: OrbitState, right: number, up: number, distance = s.distance): OrbitState {
  const { x, y } = axes(s);
  const size = 2 * s.distance * Math.tan(s.fov / 2);
  const move = (k: number): number => s.target[k] + size * (right * x[k] - up * y[k]);
  return { ...s, distance, target: [move(0), move(1), move(2)] };
}

export function orbitView(s: OrbitState, width: number, height: number): CameraView {
  const { x, y, z } = axes(s);
  const eye = s.target.map((t, k) => t - s.distance * z[k]);
  const row = (a: Vec3): number[] => [a[0], a[1], a[2], -(a[0] * eye[0] + a[1] * eye[1] + a[2] * eye[2])];
  // In a narrow window the field of view is held across, so that a person stays in sight.
  const focal = Math.min(height, width * 1.15) / (2 * Math.tan(s.fov / 2));
  return {
    width,
    height,
    fx: focal,
    fy: focal,
    cx: width / 2,
    cy: height / 2,
    T: [...row(x), ...row(y), ...row(z)],
  };
}

/** The camera's axes in the world: x right, y down, z forward. */
function axes(s: OrbitState): { x: Vec3; y: Vec3; z: Vec3 } {
  const [cy, sy, cp, sp] = [Math.cos(s.yaw), Math.sin(s.yaw), Math.cos(s.pitch), Math.sin(s.pitch)];
  const z: Vec3 = [-sy * cp, -sp, -cy * cp];
  const x: Vec3 = [cy, 0, -sy];
  const y: Vec3 = [z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]];
  return { x, y, z };
}

function wrap(angle: number): number {
  return angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));
}
