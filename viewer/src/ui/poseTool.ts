/** Posing by hand: drag a joint and its bone follows, drag a ring and the joint turns. */

import { capture } from "../camera/controls";
import { directionToWorld, toCamera } from "../camera/view";
import type { Drawn, Viewer } from "../app/viewer";
import { TRANSFORM } from "../rig/kinematics";
import {
  between,
  conjugate,
  fromAxisAngle,
  fromColumns,
  multiply,
  rotate,
  unit,
  type Quat,
  type Vec3,
} from "../rig/quaternion";
import {
  jointPosition,
  paintSkeleton,
  ringPoints,
  screenJoints,
  type Axis,
  type ScreenJoint,
  type Skeleton,
} from "./skeleton";

type Drag =
  { kind: "joint"; joint: number; x: number; y: number } | { kind: "ring"; axis: Axis; angle: number };

const GRASP = { mouse: 12, touch: 24 };
const RING_GRASP = 7;
const AXES: readonly Vec3[] = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];

export class PoseTool {
  private readonly viewer: Viewer;
  private readonly canvas: HTMLCanvasElement;
  private readonly surface: HTMLElement;
  private readonly skeleton: Skeleton;
  private drawn: Drawn | null = null;
  private joints: readonly ScreenJoint[] = [];
  private ratio = 1;
  private drag: Drag | null = null;
  private hovered = -1;
  private chosen = -1;
  private blank = true;
  private readonly listeners = new Set<(joint: number) => void>();

  /** Paints on `canvas`, listens on `surface`. */
  constructor(viewer: Viewer, canvas: HTMLCanvasElement, surface: HTMLElement) {
    this.viewer = viewer;
    this.canvas = canvas;
    this.surface = surface;
    this.skeleton = { parents: viewer.avatar.meta.parents, names: viewer.avatar.meta.joint_names };
    viewer.onDrawn((drawn) => this.take(drawn));
    surface.addEventListener("pointermove", (event) => this.move(event));
    surface.addEventListener("pointerup", () => this.release());
    surface.addEventListener("pointercancel", () => this.release());
    viewer.settings.subscribe(() => this.paint());
  }

  get selected(): number {
    return this.chosen;
  }

  select(joint: number): void {
    this.chosen = joint;
    for (const listener of this.listeners) listener(joint);
    this.paint();
  }

  onSelect(listener: (joint: number) => void): void {
    this.listeners.add(listener);
  }

  /** Joints that can be grasped, in CSS pixels of the page. */
  handles(): { joint: number; name: string; x: number; y: number }[] {
    const box = this.canvas.getBoundingClientRect();
    return this.joints
      .filter((j) => j.radius > 0)
      .map((j) => ({
        joint: j.joint,
        name: this.skeleton.names[j.joint],
        x: box.left + j.x,
        y: box.top + j.y,
      }));
  }

  /** Turn the selected joint about one of its own axes. */
  nudge(axis: Axis, radians: number): void {
    if (this.chosen < 0) return;
    this.viewer.edits.begin();
    this.viewer.edits.turn(this.chosen, fromAxisAngle(AXES[axis], radians));
  }

  /** Take this pointer for a joint or ring, if one is under it. */
  claim(event: PointerEvent): boolean {
    if (!this.viewer.settings.get().posing || !this.drawn || event.button !== 0) return false;
    const { x, y } = this.place(event);
    const reach = event.pointerType === "touch" ? GRASP.touch : GRASP.mouse;
    const axis = this.ringAt(x, y);
    const joint = this.jointAt(x, y, reach);
    if (axis !== null && joint < 0) this.drag = { kind: "ring", axis, angle: this.angleAt(x, y) };
    else if (joint >= 0) {
      this.select(joint);
      this.drag = { kind: "joint", joint, x, y };
    } else return false;
    this.viewer.edits.begin();
    capture(this.surface, event.pointerId);
    this.paint();
    return true;
  }

  private move(event: PointerEvent): void {
    if (!this.viewer.settings.get().posing) return;
    const { x, y } = this.place(event);
    if (this.drag?.kind === "ring") this.turnRing(this.drag, x, y);
    else if (this.drag) this.follow(this.drag, x, y);
    else this.hover(this.jointAt(x, y, GRASP.mouse), this.ringAt(x, y) !== null);
  }

  private release(): void {
    if (!this.drag) return;
    this.drag = null;
    this.paint();
  }

  private hover(joint: number, ring: boolean): void {
    this.surface.classList.toggle("grasp", joint >= 0 || ring);
    if (joint === this.hovered) return;
    this.hovered = joint;
    this.paint();
  }

  /** The bone that leads to the joint swings after the pointer; the pelvis is carried. */
  private follow(drag: { joint: number; x: number; y: number }, x: number, y: number): void {
    const drawn = this.drawn;
    if (!drawn) return;
    const { view, world } = drawn;
    const from = jointPosition(world, drag.joint);
    const depth = toCamera(view, from)[2];
    const perPixel = (this.ratio * depth) / view.fx;
    const by = directionToWorld(view, [(x - drag.x) * perPixel, (y - drag.y) * perPixel, 0]);
    drag.x = x;
    drag.y = y;
    const parent = this.skeleton.parents[drag.joint];
    if (parent < 0) {
      this.viewer.edits.shiftBy(by);
      return;
    }
    const pivot = jointPosition(world, parent);
    const arm: Vec3 = [from[0] - pivot[0], from[1] - pivot[1], from[2] - pivot[2]];
    const swing = between(unit(arm), unit([arm[0] + by[0], arm[1] + by[1], arm[2] + by[2]]));
    this.turnInWorld(parent, swing);
  }

  private turnInWorld(joint: number, turn: Quat): void {
    if (!this.drawn) return;
    const own = fromColumns(this.drawn.world, joint * TRANSFORM);
    this.viewer.edits.turn(joint, multiply(multiply(conjugate(own), turn), own));
  }

  private turnRing(drag: { axis: Axis; angle: number }, x: number, y: number): void {
    const drawn = this.drawn;
    if (!drawn) return;
    const angle = this.angleAt(x, y);
    const own = fromColumns(drawn.world, this.chosen * TRANSFORM);
    const axis = rotate(own, AXES[drag.axis]);
    const T = drawn.view.T;
    const away = axis[0] * T[8] + axis[1] * T[9] + axis[2] * T[10];
    const step = Math.atan2(Math.sin(angle - drag.angle), Math.cos(angle - drag.angle));
    drag.angle = angle;
    this.viewer.edits.turn(this.chosen, fromAxisAngle(AXES[drag.axis], away > 0 ? step : -step));
  }

  private angleAt(x: number, y: number): number {
    const center = this.joints[this.chosen];
    return Math.atan2(y - center.y, x - center.x);
  }

  private jointAt(x: number, y: number, reach: number): number {
    let best = -1,
      nearest = reach;
    for (const joint of this.joints) {
      const distance = Math.hypot(joint.x - x, joint.y - y);
      if (joint.radius > 0 && distance < nearest) [best, nearest] = [joint.joint, distance];
    }
    return best;
  }

  private ringAt(x: number, y: number): Axis | null {
    if (this.chosen < 0 || !this.drawn) return null;
    let best: Axis | null = null,
      nearest = RING_GRASP;
    for (const axis of [0, 1, 2] as const) {
      for (const p of ringPoints(this.drawn.view, this.drawn.world, this.chosen, axis, this.ratio)) {
        const distance = Math.hypot(p.x - x, p.y - y);
        if (distance < nearest && p.near) [best, nearest] = [axis, distance];
      }
    }
    return best;
  }

  private place(event: PointerEvent): { x: number; y: number } {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private take(drawn: Drawn): void {
    this.drawn = drawn;
    this.ratio = drawn.view.width / Math.max(this.canvas.clientWidth, 1);
    this.joints = this.shows ? screenJoints(this.skeleton, drawn.view, drawn.world, this.ratio) : [];
    this.paint();
  }

  private get shows(): boolean {
    const { skeleton, posing } = this.viewer.settings.get();
    return skeleton || posing;
  }

  /** An empty canvas is left alone, so that it need not be composed anew with every frame. */
  private paint(): void {
    const { canvas, drawn } = this;
    if (!this.shows && this.blank) return;
    this.blank = !this.shows;
    const paint = canvas.getContext("2d");
    if (!paint) return;
    const pixel = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * pixel),
      height = Math.round(canvas.clientHeight * pixel);
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    paint.setTransform(pixel, 0, 0, pixel, 0, 0);
    paint.clearRect(0, 0, width, height);
    if (!this.shows || !drawn) return;
    if (this.joints.length === 0)
      this.joints = screenJoints(this.skeleton, drawn.view, drawn.world, this.ratio);
    const activeAxis = this.drag?.kind === "ring" ? this.drag.axis : null;
    paintSkeleton(paint, this.skeleton, this.joints, drawn.view, drawn.world, this.ratio, {
      handles: this.viewer.settings.get().posing,
      selected: this.chosen,
      hovered: this.hovered,
      activeAxis,
    });
  }
}
