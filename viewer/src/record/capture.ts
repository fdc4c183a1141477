/** What a recording or a picture shows, drawn from the viewer. */

import { orbitBy, orbitView } from "../camera/orbit";
import type { CameraView } from "../camera/view";
import { solidBackground } from "../app/settings";
import type { Viewer } from "../app/viewer";
import { pngOf } from "./picture";
import { encodeVideo, type Container, type VideoFile } from "./video";

export interface RecordOptions {
  readonly subject: "motion" | "turntable";
  readonly container: Container;
  readonly height: number;
  readonly progress: (share: number) => void;
  readonly signal: AbortSignal;
}

const TURNTABLE_SECONDS = 6;
const TURNTABLE_FPS = 30;

/** The stage as a PNG; transparent wherever the person is not. */
export async function screenshot(viewer: Viewer): Promise<Blob> {
  const view = viewer.view();
  const pixels = await viewer.engine.snapshot(viewer.pose(), view, { ...viewer.layers(), floor: null });
  return pngOf(pixels, view.width, view.height);
}

/** Record every frame of the motion, or one turn about the person. */
export async function recordVideo(viewer: Viewer, options: RecordOptions): Promise<VideoFile> {
  const motion = viewer.player.motion;
  const turning = options.subject === "turntable" || !motion;
  const fps = turning ? TURNTABLE_FPS : motion.fps;
  const frames = turning ? TURNTABLE_SECONDS * TURNTABLE_FPS : motion.frames;
  const size = frameSize(viewer, options.height);
  const before = { playing: viewer.player.playing, frame: viewer.player.frame };
  viewer.player.pause();
  viewer.suspended = true;
  try {
    const draw = async (i: number, paint: CanvasRenderingContext2D): Promise<void> => {
      const frame = turning ? before.frame : i;
      const orbit = orbitBy(viewer.orbit, turning ? (2 * Math.PI * i) / frames : 0, 0);
      const view = turning
        ? orbitView(orbit, size.pane, size.height)
        : viewer.view(size.pane, size.height, frame);
      await drawFrame(viewer, paint, frame, view, size.beside);
    };
    return await encodeVideo({
      width: size.width,
      height: size.height,
      fps,
      frames,
      container: options.container,
      draw,
      progress: options.progress,
      signal: options.signal,
    });
  } finally {
    viewer.suspended = false;
    viewer.player.seek(before.frame);
    if (before.playing) viewer.player.play();
  }
}

/** Even numbers, because video codecs want them. */
function frameSize(
  viewer: Viewer,
  height: number,
): { width: number; height: number; pane: number; beside: boolean } {
  const stage = viewer.view();
  const even = (x: number): number => Math.max(2, 2 * Math.round(x / 2));
  const tall = even(height);
  const pane = even((tall * stage.width) / stage.height);
  const beside = viewer.comparing && viewer.settings.get().compare === "side";
  return { width: beside ? 2 * pane : pane, height: tall, pane, beside };
}

async function drawFrame(
  viewer: Viewer,
  paint: CanvasRenderingContext2D,
  frame: number,
  view: CameraView,
  beside: boolean,
): Promise<void> {
  const { width, height } = paint.canvas;
  paint.fillStyle = backgroundColor(viewer);
  paint.fillRect(0, 0, width, height);
  const times = viewer.player.motion?.videoTime;
  await viewer.engine.draw(viewer.pose(frame), view, () => viewer.layers());
  const left = beside ? view.width : 0;
  if (viewer.comparing && viewer.video && times) {
    viewer.video.seek(times[frame]);
    await viewer.video.settled();
    const picture = viewer.video.held?.picture;
    if (picture) contain(paint, picture, view.width, height);
  }
  const wipe = viewer.comparing && !beside ? viewer.settings.get().wipe * view.width : 0;
  if (wipe > 0) {
    paint.fillStyle = backgroundColor(viewer);
    paint.fillRect(wipe, 0, view.width - wipe, height);
  }
  const visible = view.width - wipe;
  if (visible > 0)
    paint.drawImage(viewer.engine.stage.canvas, wipe, 0, visible, height, left + wipe, 0, visible, height);
}

function contain(
  paint: CanvasRenderingContext2D,
  picture: HTMLCanvasElement,
  width: number,
  height: number,
): void {
  const s = Math.min(width / picture.width, height / picture.height);
  paint.drawImage(
    picture,
    (width - picture.width * s) / 2,
    (height - picture.height * s) / 2,
    picture.width * s,
    picture.height * s,
  );
}

/** Video has no alpha: studio and checker become the stage's own plain colour. */
function backgroundColor(viewer: Viewer): string {
  const solid = solidBackground(viewer.settings.get().background);
  return (
    solid ?? (getComputedStyle(document.documentElement).getPropertyValue("--stage").trim() || "#ffffff")
  );
}
