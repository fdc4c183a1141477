/** One line of undo over all that changes the body: joints turned by hand, sliders, resets. */

import type { EditState, PoseEdits } from "./edits";
import type { SliderBank } from "./sliders";

interface Step {
  readonly edits: EditState;
  readonly sliders: ReadonlyMap<string, number>;
}

const MAX_STEPS = 200;
/** Milliseconds within which changes of one slider are one step, as while it is dragged. */
const SAME_DRAG = 800;

export class History {
  private readonly edits: PoseEdits;
  private readonly sliders: SliderBank;
  private past: Step[] = [];
  private future: Step[] = [];
  private slider: { readonly id: string | null; readonly at: number } = { id: null, at: 0 };
  private grouped = false;
  private readonly listeners = new Set<() => void>();

  constructor(edits: PoseEdits, sliders: SliderBank) {
    this.edits = edits;
    this.sliders = sliders;
    edits.beforeChange = () => this.begin();
    sliders.beforeChange = (id) => this.beginSlider(id);
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** Several changes as one step. */
  group(change: () => void): void {
    this.begin();
    this.grouped = true;
    try {
      change();
    } finally {
      this.grouped = false;
    }
  }

  undo(): void {
    this.move(this.past, this.future);
  }

  redo(): void {
    this.move(this.future, this.past);
  }

  /** Forget all steps; what is shown stays. */
  clear(): void {
    this.past = [];
    this.future = [];
    this.tell();
  }

  subscribe(listener: () => void): void {
    this.listeners.add(listener);
  }

  /** Remember the present state before a change. */
  private begin(): void {
    if (this.grouped) return;
    this.slider = { id: null, at: 0 };
    this.past.push(this.now());
    if (this.past.length > MAX_STEPS) this.past.shift();
    this.future = [];
    this.tell();
  }

  private beginSlider(id: string | null): void {
    const at = performance.now();
    const goesOn = id !== null && id === this.slider.id && at - this.slider.at < SAME_DRAG;
    if (!goesOn) this.begin();
    this.slider = { id, at };
  }

  private move(from: Step[], to: Step[]): void {
    const step = from.pop();
    if (!step) return;
    to.push(this.now());
    this.slider = { id: null, at: 0 };
    this.edits.load(step.edits);
    this.sliders.load(step.sliders);
    this.tell();
  }

  private now(): Step {
    return { edits: this.edits.get(), sliders: new Map(this.sliders.moved()) };
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
