/** The sliders: facial actions, jaw, eyes, head size, shape. */

import type { AvatarData } from "../io/avatar";

export interface SliderSpec {
  readonly id: string;
  readonly label: string;
  readonly group: string;
  readonly min: number;
  readonly max: number;
  readonly rest: number;
}

const FACE_GROUPS: readonly (readonly [string, RegExp])[] = [
  ["Brows", /^brow/],
  ["Eyes", /^eye/],
  ["Jaw", /^jaw/],
  ["Mouth", /^mouth/],
  ["Cheeks, nose, tongue", /./],
];

export function sliderSpecs(avatar: AvatarData): SliderSpec[] {
  const arkit = avatar.meta.arkit_names.map((name) => ({
    id: `arkit:${name}`,
    label: readable(name),
    group: FACE_GROUPS.find(([, test]) => test.test(name))?.[0] ?? "Face",
    min: 0,
    max: 1,
    rest: 0,
  }));
  arkit.sort((a, b) => groupRank(a.group) - groupRank(b.group));
  const shapes = avatar.meta.shape_names.map((name, i) => ({
    id: `shape:${i}`,
    label: name,
    group: "Shape",
    min: -3,
    max: 3,
    rest: 0,
  }));
  return [
    { id: "jaw", label: "Jaw", group: "Jaw and eyes", min: 0, max: 1, rest: 0 },
    { id: "eyes:x", label: "Eyes left and right", group: "Jaw and eyes", min: -1, max: 1, rest: 0 },
    { id: "eyes:y", label: "Eyes up and down", group: "Jaw and eyes", min: -1, max: 1, rest: 0 },
    ...arkit,
    { id: "head", label: "Head size", group: "Proportions", min: 0.6, max: 2.2, rest: 1 },
    { id: "arms", label: "Arms", group: "Proportions", min: 0.5, max: 1.5, rest: 1 },
    { id: "legs", label: "Legs", group: "Proportions", min: 0.5, max: 1.5, rest: 1 },
    ...shapes,
  ];
}

function groupRank(group: string): number {
  return FACE_GROUPS.findIndex(([name]) => name === group);
}

/** "mouthSmileLeft" -> "Mouth smile left" */
function readable(name: string): string {
  const words = name.replace(/([A-Z])/g, " $1").toLowerCase();
  return words[0].toUpperCase() + words.slice(1);
}

export class SliderBank {
  readonly specs: readonly SliderSpec[];
  private readonly byId: ReadonlyMap<string, SliderSpec>;
  private readonly values = new Map<string, number>();
  private readonly listeners = new Set<(id: string | null) => void>();
  /** Called before a slider changes, or with null before several do. */
  beforeChange: (id: string | null) => void = () => undefined;

  constructor(specs: readonly SliderSpec[]) {
    this.specs = specs;
    this.byId = new Map(specs.map((s) => [s.id, s]));
  }

  has(id: string): boolean {
    return this.byId.has(id);
  }

  get(id: string): number {
    return this.values.get(id) ?? this.byId.get(id)?.rest ?? 0;
  }

  set(id: string, value: number): void {
    const spec = this.byId.get(id);
    if (!spec || !Number.isFinite(value))
      throw new RangeError(`there is no slider ${id} that could be ${value}`);
    const held = Math.min(Math.max(value, spec.min), spec.max);
    if (held === this.get(id)) return;
    this.beforeChange(id);
    if (held === spec.rest) this.values.delete(id);
    else this.values.set(id, held);
    this.tell(id);
  }

  /** Put sliders back to rest: all, or those chosen. */
  reset(which: (spec: SliderSpec) => boolean = () => true): void {
    const moved = this.specs.filter((spec) => which(spec) && this.values.has(spec.id));
    if (moved.length === 0) return;
    this.beforeChange(null);
    for (const spec of moved) this.values.delete(spec.id);
    this.tell(null);
  }

  /** Set everything at once, as undo does. */
  load(values: ReadonlyMap<string, number>): void {
    this.values.clear();
    for (const [id, value] of values) this.values.set(id, value);
    this.tell(null);
  }

  /** Those moved away from rest. */
  moved(): ReadonlyMap<string, number> {
    return this.values;
  }

  /** Hear of a slider by its id, of several at once by null. */
  subscribe(listener: (id: string | null) => void): void {
    this.listeners.add(listener);
  }

  private tell(id: string | null): void {
    for (const listener of this.listeners) listener(id);
  }
}
