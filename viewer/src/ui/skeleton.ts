/** The skeleton on the screen: where joints are, and how they are drawn. */

import { project, type CameraView } from "../camera/view";
import { TRANSFORM } from "../rig/kinematics";
import type { Vec3 } from "../rig/quaternion";

export interface ScreenJoint {
  readonly joint: number;
  /** CSS pixels. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
  /** Radius of its handle; 0 where it cannot be grasped now. */
  readonly radius: number;
}

export type Axis = 0 | 1 | 2;

export interface Skeleton {
  readonly parents: readonly number[];
  readonly names: readonly string[];
}

/** Jaw and eyes have sliders; their joints would only hide the head's. */
const WITHOUT_HANDLE = /^(jaw|left_eye|right_eye)$/;
const FINGER = /_(index|middle|pinky|ring|thumb)\d$/;
const FINGER_PIXELS = 46;
const RING_STEPS = 48;
const RING_PIXELS = 44;
const AXIS_COLORS = ["#e5484d", "#46a758", "#3e8bff"];

export function jointPosition(world: ArrayLike<number>, joint: number): Vec3 {
  const o = joint * TRANSFORM + 9;
  return [world[o], world[o + 1], world[o + 2]];
}

export function screenJoints(
  skeleton: Skeleton,
  view: CameraView,
  world: Float64Array,
  ratio: number,
): ScreenJoint[] {
  const points = skeleton.parents.map((_, j) => project(view, jointPosition(world, j)));
  const length = (a: string, b: string): number => {
    const [p, q] = [points[skeleton.names.indexOf(a)], points[skeleton.names.indexOf(b)]];
    return p && q ? Math.hypot(p.x - q.x, p.y - q.y) / ratio : 0;
  };
  const handNear = {
    left: length("left_wrist", "left_middle1") > FINGER_PIXELS,
    right: length("right_wrist", "right_middle1") > FINGER_PIXELS,
  };
  return points.map((p, joint) => {
    const name = skeleton.names[joint];
    const finger = FINGER.test(name);
    const hidden =
      p.z <= 0 ||
      WITHOUT_HANDLE.test(name) ||
      (finger && !(name.startsWith("left") ? handNear.left : handNear.right));
    return { joint, x: p.x / ratio, y: p.y / ratio, z: p.z, radius: hidden ? 0 : finger ? 4 : 6.5 };
  });
}

/** Points of the ring about a joint's own axis, in CSS pixels. */
export function ringPoints(
  view: CameraView,
  world: Float64Array,
  joint: number,
  axis: Axis,
  ratio: number,
): { x: number; y: number; near: boolean }[] {
  const center = jointPosition(world, joint);
  const middle = project(view, center);
  const radius = (RING_PIXELS * ratio * middle.z) / view.fx;
  const column = (k: number): Vec3 => {
    const o = joint * TRANSFORM + 3 * k;
    return [world[o], world[o + 1], world[o + 2]];
  };
  const [u, v] = [column((axis + 1) % 3), column((axis + 2) % 3)];
  return Array.from({ length: RING_STEPS + 1 }, (_, i) => {
    const a = (2 * Math.PI * i) / RING_STEPS;
    const at = (k: number): number => center[k] + radius * (Math.cos(a) * u[k] + Math.sin(a) * v[k]);
    const p = project(view, [at(0), at(1), at(2)]);
    return { x: p.x / ratio, y: p.y / ratio, near: p.z <= middle.z };
  });
}

export interface SkeletonStyle {
  readonly handles: boolean;
  readonly selected: number;
  readonly hovered: number;
  readonly activeAxis: Axis | null;
}

export function paintSkeleton(
  paint: CanvasRenderingContext2D,
  skeleton: Skeleton,
  joints: readonly ScreenJoint[],
  view: CameraView,
  world: Float64Array,
  ratio: number,
  style: SkeletonStyle,
): void {
  paint.lineCap = "round";
  for (const [width, color] of [
    [4, "rgba(10,12,8,0.45)"],
    [2, "rgba(255,255,255,0.92)"],
  ] as const) {
    paint.lineWidth = width;
    paint.strokeStyle = color;
    paint.beginPath();
    for (const { joint, x, y, z } of joints) {
      const parent = joints[skeleton.parents[joint]];
      if (!parent || z <= 0 || parent.z <= 0 || WITHOUT_HANDLE.test(skeleton.names[joint])) continue;
      paint.moveTo(parent.x, parent.y);
      paint.lineTo(x, y);
    }
    paint.stroke();
  }
  for (const joint of joints) {
    if (joint.z <= 0 || WITHOUT_HANDLE.test(skeleton.names[joint.joint])) continue;
    if (style.handles) paintHandle(paint, joint, style);
    else
      disc(
        paint,
        joint.x,
        joint.y,
        FINGER.test(skeleton.names[joint.joint]) ? 1.5 : 3,
        "#fff",
        "rgba(10,12,8,0.6)",
      );
  }
  if (style.handles && style.selected >= 0 && joints[style.selected].z > 0)
    paintRings(paint, view, world, ratio, style);
}

function paintHandle(paint: CanvasRenderingContext2D, joint: ScreenJoint, style: SkeletonStyle): void {
  if (joint.radius === 0) return;
  const selected = joint.joint === style.selected,
    hovered = joint.joint === style.hovered;
  disc(
    paint,
    joint.x,
    joint.y,
    joint.radius + (hovered ? 2 : 0),
    selected ? "#a9d13f" : "#ffffff",
    "rgba(10,12,8,0.75)",
  );
}

function disc(
  paint: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  fill: string,
  stroke: string,
): void {
  paint.beginPath();
  paint.arc(x, y, radius, 0, 2 * Math.PI);
  paint.fillStyle = fill;
  paint.strokeStyle = stroke;
  paint.lineWidth = 1.5;
  paint.fill();
  paint.stroke();
}

function paintRings(
  paint: CanvasRenderingContext2D,
  view: CameraView,
  world: Float64Array,
  ratio: number,
  style: SkeletonStyle,
): void {
  for (const axis of [0, 1, 2] as const) {
    const points = ringPoints(view, world, style.selected, axis, ratio);
    for (let i = 1; i < points.length; i++) {
      paint.beginPath();
      paint.moveTo(points[i - 1].x, points[i - 1].y);
      paint.lineTo(points[i].x, points[i].y);
      paint.lineWidth = axis === style.activeAxis ? 5 : 3;
      paint.globalAlpha = points[i].near ? 1 : 0.3;
      paint.strokeStyle = AXIS_COLORS[axis];
      paint.stroke();
    }
  }
  paint.globalAlpha = 1;
}
