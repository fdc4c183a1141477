/** The view in the address bar: camera, sliders, pose, motion and time, so that it can be shared. */

import type { OrbitState } from "../camera/orbit";
import { normalize, type Quat, type Vec3 } from "../rig/quaternion";
import type { EditState } from "./edits";
import { BACKGROUNDS, solidBackground, type Settings } from "./settings";

export interface SharedView {
  readonly avatar?: string;
  /** Index in the list of motions; -1 at rest. */
  readonly motion?: number;
  readonly frame?: number;
  readonly orbit?: OrbitState;
  readonly sliders?: ReadonlyMap<string, number>;
  readonly edits?: EditState;
  readonly settings?: Partial<Settings>;
}

const SHARED_SETTINGS = {
  background: (v: string) => Object.hasOwn(BACKGROUNDS, v) || solidBackground(v) !== null,
  splats: (v: string) => ["normal", "flat", "hidden"].includes(v),
  mesh: (v: string) => ["off", "wire", "shaded"].includes(v),
  compare: (v: string) => ["off", "side", "wipe"].includes(v),
  camera: (v: string) => ["orbit", "clip"].includes(v),
} as const;

export function writeHash(
  view: Required<Omit<SharedView, "settings">> & { settings: Settings },
  defaults: Settings,
): string {
  const query = new URLSearchParams();
  if (view.avatar) query.set("a", view.avatar);
  query.set("m", String(view.motion));
  query.set("f", String(view.frame));
  const { yaw, pitch, distance, target, fov } = view.orbit;
  query.set("c", [yaw, pitch, distance, ...target, fov].map(short).join(","));
  if (view.sliders.size) query.set("s", [...view.sliders].map(([id, v]) => `${id}=${short(v)}`).join(","));
  if (view.edits.turns.size)
    query.set("p", [...view.edits.turns].map(([j, q]) => `${j}=${q.map(short).join("/")}`).join(","));
  if (view.edits.shift.some((v) => v !== 0)) query.set("t", view.edits.shift.map(short).join(","));
  for (const key of Object.keys(SHARED_SETTINGS) as (keyof typeof SHARED_SETTINGS)[]) {
    if (view.settings[key] !== defaults[key]) query.set(key, view.settings[key]);
  }
  if (view.settings.skeleton) query.set("skeleton", "1");
  if (!view.settings.floor) query.set("floor", "0");
  // These need no escape in a fragment, and a readable address is a friendlier one.
  return query.toString().replace(/%2C/g, ",").replace(/%3D/g, "=").replace(/%2F/g, "/").replace(/%3A/g, ":");
}

/** Whatever in a hash makes sense; the rest is passed over. */
export function readHash(hash: string): SharedView {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const settings: Record<string, unknown> = {};
  for (const [key, valid] of Object.entries(SHARED_SETTINGS)) {
    const value = query.get(key);
    if (value !== null && valid(value)) settings[key] = value;
  }
  if (query.get("skeleton") === "1") settings["skeleton"] = true;
  if (query.get("floor") === "0") settings["floor"] = false;
  const orbit = numbers(query.get("c"), 7);
  const motion = integer(query.get("m"));
  const frame = integer(query.get("f"));
  const avatar = query.get("a");
  const sliders = readSliders(query.get("s"));
  const edits = readEdits(query.get("p"), query.get("t"));
  return {
    ...(avatar ? { avatar } : {}),
    ...(motion !== null ? { motion } : {}),
    ...(frame !== null ? { frame } : {}),
    ...(orbit ? { orbit: orbitOf(orbit) } : {}),
    ...(sliders.size ? { sliders } : {}),
    ...(edits ? { edits } : {}),
    settings: settings as Partial<Settings>,
  };
}

function orbitOf(n: number[]): OrbitState {
  return {
    yaw: n[0],
    pitch: clamp(n[1], -1.5, 1.5),
    distance: clamp(n[2], 0.08, 40),
    target: [n[3], n[4], n[5]],
    fov: clamp(n[6], 0.1, 2),
  };
}

function readSliders(text: string | null): Map<string, number> {
  const out = new Map<string, number>();
  for (const part of (text ?? "").split(",")) {
    const [id, value] = part.split("=");
    if (id && value && Number.isFinite(Number(value))) out.set(id, Number(value));
  }
  return out;
}

function readEdits(turnText: string | null, shiftText: string | null): EditState | null {
  const turns = new Map<number, Quat>();
  for (const part of (turnText ?? "").split(",")) {
    const [joint, value] = part.split("=");
    const q = numbers(value?.replaceAll("/", ",") ?? null, 4);
    const j = integer(joint ?? null);
    if (q && j !== null && j >= 0 && j < 55) turns.set(j, normalize(q as unknown as Quat));
  }
  const shift = numbers(shiftText, 3);
  return turns.size || shift ? { turns, shift: (shift ?? [0, 0, 0]) as unknown as Vec3 } : null;
}

function numbers(text: string | null, count: number): number[] | null {
  const values = (text ?? "").split(",").map(Number);
  return text && values.length === count && values.every(Number.isFinite) ? values : null;
}

function integer(text: string | null): number | null {
  return text !== null && /^-?\d{1,7}$/.test(text) ? Number(text) : null;
}

function short(x: number): string {
  return String(Math.round(x * 1e4) / 1e4);
}

function clamp(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}
