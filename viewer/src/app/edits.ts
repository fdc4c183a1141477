/** Joints turned by hand, on top of whatever plays. */

import { IDENTITY, multiply, normalize, type Quat, type Vec3 } from "../rig/quaternion";

export interface EditState {
  /** Joint -> turn applied after (in the frame of) its own local rotation. */
  readonly turns: ReadonlyMap<number, Quat>;
  readonly shift: Vec3;
}

const EMPTY: EditState = { turns: new Map(), shift: [0, 0, 0] };

export class PoseEdits {
  private state: EditState = EMPTY;
  /** Called before each step, which undo goes back over. */
  beforeChange: () => void = () => undefined;
  private readonly listeners = new Set<() => void>();

  get(): EditState {
    return this.state;
  }

  get edited(): boolean {
    return this.state.turns.size > 0 || this.state.shift.some((v) => v !== 0);
  }

  /** A step begins: call once when a drag begins. */
  begin(): void {
    this.beforeChange();
  }

  turnOf(joint: number): Quat {
    return this.state.turns.get(joint) ?? IDENTITY;
  }

  /** local' = local * turn */
  turn(joint: number, by: Quat): void {
    const turns = new Map(this.state.turns);
    turns.set(joint, normalize(multiply(this.turnOf(joint), by)));
    this.replace({ ...this.state, turns });
  }

  shiftBy(by: Vec3): void {
    const s = this.state.shift;
    this.replace({ ...this.state, shift: [s[0] + by[0], s[1] + by[1], s[2] + by[2]] });
  }

  clearJoint(joint: number): void {
    if (!this.state.turns.has(joint)) return;
    this.begin();
    const turns = new Map(this.state.turns);
    turns.delete(joint);
    this.replace({ ...this.state, turns });
  }

  reset(): void {
    if (!this.edited) return;
    this.begin();
    this.replace(EMPTY);
  }

  /** Set everything at once, as from a shared address. */
  load(state: EditState): void {
    this.replace(state);
  }

  subscribe(listener: () => void): void {
    this.listeners.add(listener);
  }

  private replace(state: EditState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}
