/** The page: a gallery, one avatar, or a message that says what is wrong. */

import { Engine } from "./app/engine";
import { loadBytes, loadSession } from "./app/session";
import { SettingsStore } from "./app/settings";
import { Viewer } from "./app/viewer";
import type { Session, SessionAvatar } from "./generated/schema";
import { NoWebGLError } from "./gl/stage";
import { hookOf } from "./hook";
import { readAvatar } from "./io/avatar";
import { readMotion } from "./io/motion";
import { stageElements } from "./ui/compareView";
import { galleryPage } from "./ui/gallery";
import { applyHash, messageOf, viewerShell } from "./ui/shell";
import { followTheme, themeButton } from "./ui/theme";
import { loadingPage, messagePage, toast } from "./ui/toast";
import { readHash } from "./app/hash";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/controls.css";
import "./styles/inputs.css";
import "./styles/pages.css";

const settings = new SettingsStore();
const root = document.body;

function show(element: HTMLElement): void {
  root.replaceChildren(element);
}

async function main(): Promise<void> {
  followTheme(settings);
  show(loadingPage("").element);
  const session = await loadSession();
  document.title = session.title;
  const wanted = readHash(location.hash).avatar;
  const first =
    session.avatars.find((a) => a.id === wanted) ??
    (session.avatars.length === 1 ? session.avatars[0] : null);
  if (first) await openAvatar(session, first);
  else openGallery(session);
}

function openGallery(session: Session): void {
  document.title = session.title;
  history.replaceState(null, "", location.pathname + location.search);
  show(galleryPage(session, (avatar) => void openAvatar(session, avatar).catch(fail), themeButton(settings)));
  window.__pear = { ready: true, error: null };
}

async function openAvatar(session: Session, entry: SessionAvatar): Promise<void> {
  window.__pear = { ready: false, error: null };
  const loading = loadingPage(entry.name);
  show(loading.element);
  document.title = `${entry.name} · pear-avatar`;
  const avatar = readAvatar(await loadBytes(entry.payload, entry.payload_bytes, loading.progress));
  const stage = stageElements();
  const engine = await Engine.create(stage.canvas, avatar);
  const own = new SettingsStore();
  own.set({ theme: settings.get().theme });
  own.subscribe(({ theme }) => settings.set({ theme }));
  const viewer = new Viewer(engine, avatar, entry, session, own);
  const hash = location.hash;
  for (const motion of entry.motions.slice(0, 1)) await addMotion(viewer, motion.url, motion.name);
  if (viewer.player.motions.length) viewer.player.select(0);
  const leave =
    session.avatars.length > 1
      ? (): void => {
          shell.close();
          viewer.stop();
          openGallery(session);
        }
      : null;
  const shell = viewerShell(viewer, stage, leave);
  show(shell.element);
  viewer.resize(stage.avatarPane.clientWidth, stage.avatarPane.clientHeight);
  await viewer.goHome();
  viewer.start();
  stage.canvas.addEventListener("webglcontextlost", () => {
    if (!viewer.stopped) fail(new Error("The graphics device was lost. Reload the page to go on."));
  });
  for (const motion of entry.motions.slice(1)) await addMotion(viewer, motion.url, motion.name);
  const shared = applyHash(viewer, hash);
  viewer.history.clear();
  if (
    !shared &&
    readHash(hash).frame === undefined &&
    !window.matchMedia("(prefers-reduced-motion: reduce)").matches
  )
    viewer.player.play();
  await viewer.settle();
  window.__pear = hookOf(viewer, shell.tool);
}

/** One bad motion does not keep the others, or the person, from being shown. */
async function addMotion(viewer: Viewer, url: string, name: string): Promise<void> {
  try {
    viewer.player.add(readMotion(await loadBytes(url), name));
  } catch (error) {
    toast(`${name}: ${messageOf(error)}`, "error");
  }
}

function fail(error: unknown): void {
  const noGraphics = error instanceof NoWebGLError;
  const text = noGraphics
    ? "This page draws with WebGL2, which this browser does not offer. Try a current Chrome, Edge, Firefox or Safari, and switch hardware acceleration on in its settings."
    : messageOf(error);
  show(
    messagePage(noGraphics ? "WebGL2 is missing" : "This avatar cannot be shown", text, {
      label: "Try again",
      run: () => location.reload(),
    }),
  );
  window.__pear = { ready: false, error: text };
}

main().catch(fail);
