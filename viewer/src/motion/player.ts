/** Time: which motion plays, where it is, and what happens at its end. */

import type { Motion } from "../io/motion";
import type { Loop } from "../app/settings";
import { frameAt } from "./sample";

export class Player {
  private list: Motion[] = [];
  private current = -1;
  private seconds = 0;
  private running = false;
  private readonly listeners = new Set<() => void>();

  get motions(): readonly Motion[] {
    return this.list;
  }

  /** -1 while the person stands at rest. */
  get index(): number {
    return this.current;
  }

  get motion(): Motion | null {
    return this.list[this.current] ?? null;
  }

  get playing(): boolean {
    return this.running;
  }

  get time(): number {
    return this.seconds;
  }

  /** Frame with a fraction. */
  get position(): number {
    return this.motion ? frameAt(this.motion, this.seconds) : 0;
  }

  get frame(): number {
    return Math.round(this.position);
  }

  add(motion: Motion): number {
    this.list = [...this.list, motion];
    this.tell();
    return this.list.length - 1;
  }

  select(index: number): void {
    this.current = index >= 0 && index < this.list.length ? index : -1;
    this.seconds = 0;
    if (this.current < 0) this.running = false;
    this.tell();
  }

  play(): void {
    const motion = this.motion;
    if (!motion) return;
    if (this.seconds >= motion.time[motion.frames - 1] && motion.frames > 1) this.seconds = 0;
    this.running = true;
    this.tell();
  }

  pause(): void {
    this.running = false;
    this.tell();
  }

  /** Go to a whole frame; playing goes on if it was on. */
  seek(frame: number): void {
    const motion = this.motion;
    if (!motion) return;
    this.seconds = motion.time[Math.min(Math.max(Math.round(frame), 0), motion.frames - 1)];
    this.tell();
  }

  /** Let time pass; at the end loop, go on to the next motion, or stop. */
  advance(dt: number, loop: Loop): void {
    const motion = this.motion;
    if (!this.running || !motion) return;
    this.seconds += dt;
    if (this.seconds >= motion.duration) this.finish(motion, loop);
    this.tell();
  }

  private finish(motion: Motion, loop: Loop): void {
    if (loop === "one" || (loop === "all" && this.list.length === 1)) {
      this.seconds %= motion.duration;
    } else if (loop === "all") {
      this.seconds -= motion.duration;
      this.current = (this.current + 1) % this.list.length;
    } else {
      this.seconds = motion.time[motion.frames - 1];
      this.running = false;
    }
  }

  subscribe(listener: () => void): void {
    this.listeners.add(listener);
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
