/** One key, one action; none while somebody types. */

import { BACKGROUNDS, type Compare, type Loop } from "../app/settings";
import type { Viewer } from "../app/viewer";
import type { MeshStyle } from "../gl/stage";
import { nextTheme } from "./theme";

export interface Actions {
  readonly screenshot: () => void;
  readonly record: () => void;
  readonly help: () => void;
  readonly fullScreen: () => void;
}

const COMPARES: readonly Compare[] = ["off", "side", "wipe"];
const MESHES: readonly MeshStyle[] = ["off", "wire", "shaded"];
const LOOPS: readonly Loop[] = ["one", "all", "none"];

export function keyboardShortcuts(viewer: Viewer, actions: Actions): () => void {
  const table = {
    ...timeKeys(viewer),
    ...viewKeys(viewer),
    s: actions.screenshot,
    x: actions.fullScreen,
    r: actions.record,
    "?": actions.help,
  };
  const listen = (event: KeyboardEvent): void => {
    if (document.querySelector("dialog[open]")) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      if (event.shiftKey) viewer.history.redo();
      else viewer.history.undo();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || takesKey(event)) return;
    const key =
      event.shiftKey && event.key.startsWith("Arrow")
        ? `Shift+${event.key}`
        : event.key.length === 1
          ? event.key.toLowerCase()
          : event.key;
    const action = table[key as keyof typeof table];
    if (!action) return;
    event.preventDefault();
    action();
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}

/** Fields keep all their keys, buttons Space and Enter, sliders and choices their arrows. */
function takesKey(event: KeyboardEvent): boolean {
  const target = event.target;
  if (!(target instanceof HTMLElement)) return false;
  if (target.matches("select, textarea, input[type=search], input[type=text]")) return true;
  const pressing = event.key === " " || event.key === "Enter";
  if (pressing) return target.matches("button, input, summary, a, label");
  return (
    target.matches("input[type=range], input[type=radio], [role=slider]") &&
    /^(Arrow|Home|End|Page)/.test(event.key)
  );
}

function timeKeys(viewer: Viewer): Record<string, () => void> {
  const { player, settings } = viewer;
  const step = (by: number) => (): void => {
    player.pause();
    player.seek(player.frame + by);
  };
  const faster = (factor: number) => (): void =>
    settings.set({ speed: Math.min(Math.max(settings.get().speed * factor, 0.125), 4) });
  return {
    " ": () => (player.playing ? player.pause() : player.play()),
    ArrowLeft: step(-1),
    ArrowRight: step(1),
    "Shift+ArrowLeft": step(-10),
    "Shift+ArrowRight": step(10),
    Home: () => player.seek(0),
    End: () => player.seek((player.motion?.frames ?? 1) - 1),
    "[": faster(0.5),
    "]": faster(2),
    l: () => settings.set({ loop: after(LOOPS, settings.get().loop) }),
    n: () => {
      const playing = player.playing;
      player.select(player.index + 1 < player.motions.length ? player.index + 1 : 0);
      if (playing) player.play();
    },
  };
}

function viewKeys(viewer: Viewer): Record<string, () => void> {
  const { settings } = viewer;
  const from = (yaw: number) => (): void => {
    viewer.orbit = { ...viewer.orbit, yaw, pitch: 0.05 };
  };
  const names = Object.keys(BACKGROUNDS);
  return {
    f: () => void viewer.goHome(),
    "1": from(0),
    "2": from(Math.PI / 2),
    "3": from(Math.PI),
    "4": from(-Math.PI / 2),
    c: () => settings.set({ camera: settings.get().camera === "orbit" ? "clip" : "orbit" }),
    v: () => {
      if (viewer.canCompare)
        settings.set({ compare: after(COMPARES, settings.get().compare), camera: "clip" });
    },
    p: () => settings.set({ posing: !settings.get().posing }),
    k: () => settings.set({ skeleton: !settings.get().skeleton }),
    m: () => settings.set({ mesh: after(MESHES, settings.get().mesh) }),
    b: () => settings.set({ background: after(names, settings.get().background) }),
    t: () => nextTheme(settings),
    "0": () => viewer.reset(),
  };
}

function after<T>(list: readonly T[], value: T): T {
  return list[(list.indexOf(value) + 1) % list.length];
}
