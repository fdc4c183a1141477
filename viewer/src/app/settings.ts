/** What the person using the page has chosen, apart from the body itself. */

import type { MeshStyle, SplatStyle } from "../gl/stage";
import { Store } from "./store";

export type Theme = "system" | "light" | "dark";
export type Compare = "off" | "side" | "wipe";
export type Loop = "one" | "all" | "none";
export type CameraMode = "orbit" | "clip";

export interface Settings {
  readonly theme: Theme;
  /** One of {@link BACKGROUNDS} or a #rrggbb colour. */
  readonly background: string;
  readonly splats: SplatStyle;
  readonly mesh: MeshStyle;
  readonly skeleton: boolean;
  readonly floor: boolean;
  readonly posing: boolean;
  readonly compare: Compare;
  /** Share of the stage, from the left, that shows the video when wiping. */
  readonly wipe: number;
  readonly camera: CameraMode;
  readonly speed: number;
  readonly loop: Loop;
}

export const DEFAULT_SETTINGS: Settings = {
  theme: "system",
  background: "studio",
  splats: "normal",
  mesh: "off",
  skeleton: false,
  floor: true,
  posing: false,
  compare: "off",
  wipe: 0.5,
  camera: "orbit",
  speed: 1,
  loop: "one",
};

/** Names with a fixed colour; "studio" follows the theme, "checker" shows transparency. */
export const BACKGROUNDS: Readonly<Record<string, string | null>> = {
  studio: null,
  white: "#ffffff",
  paper: "#f4efe4",
  sky: "#dfeaf4",
  grey: "#808080",
  black: "#000000",
  green: "#00b140",
  checker: null,
};

export class SettingsStore extends Store<Settings> {
  constructor() {
    super(DEFAULT_SETTINGS);
  }
}

/** The solid colour behind the person, or null where there is none (studio, checker). */
export function solidBackground(name: string): string | null {
  return Object.hasOwn(BACKGROUNDS, name) ? BACKGROUNDS[name] : /^#[0-9a-f]{6}$/i.test(name) ? name : null;
}
