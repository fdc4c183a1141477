/** The page around one avatar: top bar, stage, inspector, timeline. */

import { readHash, writeHash } from "../app/hash";
import { convertMotion } from "../app/session";
import { DEFAULT_SETTINGS, solidBackground } from "../app/settings";
import type { Viewer } from "../app/viewer";
import { cameraControls, cameraKeys } from "../camera/controls";
import { readMotion } from "../io/motion";
import { screenshot } from "../record/capture";
import { download, fileName } from "../record/picture";
import { bodyPanel } from "./bodyPanel";
import { cameraPanel } from "./cameraPanel";
import { compareView, type StageElements } from "./compareView";
import { iconButton } from "./controls";
import { helpDialog, recordDialog } from "./dialogs";
import { h } from "./dom";
import { fileDrop } from "./drop";
import { facePanel } from "./facePanel";
import { mark } from "./icons";
import { OWN_ENDINGS, motionPanel } from "./motionPanel";
import { PoseTool } from "./poseTool";
import { type Actions, keyboardShortcuts } from "./shortcuts";
import { tabs } from "./tabs";
import { themeButton } from "./theme";
import { timeline } from "./timeline";
import { toast } from "./toast";
import { compareControl, viewPanel } from "./viewPanel";

const HASH_DELAY = 350;

export interface Shell {
  readonly element: HTMLElement;
  readonly tool: PoseTool;
  readonly close: () => void;
}

export function viewerShell(viewer: Viewer, stage: StageElements, leave: (() => void) | null): Shell {
  const tool = new PoseTool(viewer, stage.overlay, stage.avatarPane);
  compareView(viewer, stage);
  cameraControls(stage.avatarPane, viewer, (event) => tool.claim(event));
  cameraKeys(stage.avatarPane, viewer);
  stage.avatarPane.addEventListener("dblclick", () => void viewer.goHome());
  const open = (files: Iterable<File>): void => void openMotions(viewer, files);
  const actions = {
    screenshot: () => void saveScreenshot(viewer),
    record: () => recordDialog(viewer),
    help: helpDialog,
    fullScreen: () => void fullScreen(),
  };
  const inspector = tabs([
    { id: "motion", label: "Motion", icon: "motion", content: motionPanel(viewer, open) },
    {
      id: "face",
      label: "Face",
      icon: "face",
      content: facePanel(viewer),
      onOpen: () => void viewer.showFace(),
      onLeave: () => viewer.leaveFace(),
    },
    { id: "body", label: "Body", icon: "body", content: bodyPanel(viewer, tool) },
    { id: "view", label: "View", icon: "layers", content: viewPanel(viewer) },
    { id: "camera", label: "Camera", icon: "camera", content: cameraPanel(viewer) },
  ]);
  const element = h(
    "div",
    { class: "shell" },
    topBar(viewer, actions, leave),
    stage.stage,
    inspector,
    timeline(viewer),
  );
  viewer.settings.watch(({ background, posing }) => {
    stage.stage.dataset["background"] = solidBackground(background) ? "solid" : background;
    stage.stage.style.setProperty("--solid", solidBackground(background) ?? "transparent");
    stage.stage.classList.toggle("posing", posing);
  });
  const stops = [keyboardShortcuts(viewer, actions), fileDrop(open), addressBar(viewer)];
  return { element, tool, close: () => stops.forEach((stop) => stop()) };
}

function topBar(viewer: Viewer, actions: Actions, leave: (() => void) | null): HTMLElement {
  const stats = h("span", {
    class: "stats",
    "data-testid": "stats",
    title: "Frames drawn each second, and splats",
  });
  const splats = viewer.avatar.splats.count.toLocaleString("en");
  viewer.onStats(
    ({ fps }) =>
      (stats.textContent = fps < 0.5 ? `${splats} splats` : `${fps.toFixed(0)} fps · ${splats} splats`),
  );
  const start = leave ? iconButton("back", "All avatars", "back", leave) : mark();
  return h(
    "header",
    { class: "bar" },
    start,
    h("h1", { title: viewer.entry.details }, viewer.entry.name),
    stats,
    h("span", { class: "space" }),
    viewer.entry.video ? compareControl(viewer, "compare") : null,
    h(
      "nav",
      { "aria-label": "Actions" },
      iconButton("link", "Copy a link to this view", "share", () => void copyLink(viewer)),
      iconButton("camera", "Screenshot", "screenshot", actions.screenshot, "S"),
      iconButton("record", "Record a video", "record", actions.record, "R"),
      iconButton("reset", "Reset everything", "reset", () => viewer.reset(), "0"),
      themeButton(viewer.settings),
      iconButton("fullScreen", "Full screen", "full-screen", actions.fullScreen, "X"),
      iconButton("help", "Help", "help-button", actions.help, "?"),
    ),
  );
}

async function saveScreenshot(viewer: Viewer): Promise<void> {
  try {
    download(await screenshot(viewer), fileName(`${viewer.entry.name} ${viewer.player.frame}`, "png"));
    toast("Picture saved, with transparent background.");
  } catch (error) {
    toast(messageOf(error), "error");
  }
}

/** A served page's address holds a token and names this machine: of it only the view is copied. */
async function copyLink(viewer: Viewer): Promise<void> {
  const served = viewer.session.kind === "server";
  const said = served
    ? "The view is on the clipboard: add it to the address of an exported page (pear-avatar export --html or --web)."
    : "The link to this view is on the clipboard.";
  try {
    await navigator.clipboard.writeText(served ? location.hash : location.href);
    toast(said);
  } catch {
    toast("The address bar holds this view, after the #.");
  }
}

async function fullScreen(): Promise<void> {
  try {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await document.documentElement.requestFullscreen();
  } catch {
    toast("The browser does not allow full screen here.", "error");
  }
}

/** Open pose files: our own here, others with the server's help. */
export async function openMotions(viewer: Viewer, files: Iterable<File>): Promise<void> {
  for (const file of files) {
    try {
      const own = OWN_ENDINGS.some((ending) => file.name.toLowerCase().endsWith(ending));
      const buffer = own ? await file.arrayBuffer() : await convertMotion(viewer.session, viewer.entry, file);
      const motion = readMotion(buffer, file.name.replace(/\.[^.]+$/, ""));
      viewer.player.select(viewer.player.add(motion));
      viewer.player.play();
      toast(`${motion.name}: ${motion.frames} frames`);
    } catch (error) {
      toast(`${file.name}: ${messageOf(error)}`, "error");
    }
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Keep the address in step; a changed address changes the view. */
function addressBar(viewer: Viewer): () => void {
  let timer = 0;
  const write = (): void => {
    timer = 0;
    const { orbit, player, sliders, edits, settings } = viewer;
    const text = writeHash(
      {
        avatar: viewer.entry.id,
        motion: player.index,
        frame: player.frame,
        orbit,
        sliders: sliders.moved(),
        edits: edits.get(),
        settings: settings.get(),
      },
      DEFAULT_SETTINGS,
    );
    history.replaceState(null, "", `#${text}`);
  };
  const later = (): void => {
    if (timer === 0 && !viewer.player.playing) timer = window.setTimeout(write, HASH_DELAY);
  };
  viewer.sliders.subscribe(later);
  viewer.edits.subscribe(later);
  viewer.player.subscribe(later);
  viewer.settings.subscribe(later);
  viewer.onCamera(later);
  const changed = (): void => void applyHash(viewer, location.hash);
  window.addEventListener("hashchange", changed);
  return () => {
    window.clearTimeout(timer);
    window.removeEventListener("hashchange", changed);
  };
}

/** Take over what an address says; true where it says anything about the camera. */
export function applyHash(viewer: Viewer, hash: string): boolean {
  const shared = readHash(hash);
  if (shared.motion !== undefined && shared.motion < viewer.player.motions.length)
    viewer.player.select(shared.motion);
  if (shared.frame !== undefined) viewer.player.seek(shared.frame);
  if (shared.orbit) viewer.orbit = shared.orbit;
  for (const [id, value] of shared.sliders ?? []) if (viewer.sliders.has(id)) viewer.sliders.set(id, value);
  if (shared.edits) viewer.edits.load(shared.edits);
  viewer.settings.set(shared.settings ?? {});
  return shared.orbit !== undefined;
}
