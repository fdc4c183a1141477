/**
 * `window.__pear`: a small, steady door for tests and measurements.
 *
 * Everything that draws returns a promise that resolves when the screen shows the result.
 */

import { JOINT_COUNT } from "./io/avatar";
import { TRANSFORM } from "./rig/kinematics";
import { PLAIN_LAYERS } from "./gl/stage";
import type { Viewer } from "./app/viewer";
import type { CameraView } from "./camera/view";
import { recordVideo, screenshot, type RecordOptions } from "./record/capture";
import type { PoseTool } from "./ui/poseTool";
import { unpremultiply } from "./record/picture";

export interface HookPose {
  readonly rotations: readonly number[];
  readonly transl: readonly number[];
  readonly expression?: readonly number[];
}

export interface HookCamera extends Omit<CameraView, "T"> {
  /** Rows of T_camera_world, twelve numbers. */
  readonly T: readonly number[];
  /** Colour in 0..1 behind the splats, or null for a transparent picture. */
  readonly background?: readonly [number, number, number] | null;
}

const OPAQUE = 128;

export function hookOf(viewer: Viewer, tool: PoseTool) {
  let camera: HookCamera | null = null;
  const settled = async (): Promise<void> => {
    viewer.invalidate();
    await viewer.settle();
  };
  return {
    ready: true,
    error: null as string | null,
    stats: () => viewer.stats,
    settle: settled,
    play: () => viewer.player.play(),
    pause: () => viewer.player.pause(),
    frame: () => viewer.player.frame,
    time: () => viewer.player.time,
    motions: () => viewer.player.motions.map((m) => m.name),
    setMotion: async (index: number) => {
      viewer.player.select(index);
      await settled();
    },
    /** Pause and show a whole frame. */
    seek: async (frame: number) => {
      viewer.player.pause();
      viewer.player.seek(frame);
      await settled();
    },
    getSlider: (id: string) => (id === "speed" ? viewer.settings.get().speed : viewer.sliders.get(id)),
    setSlider: async (id: string, value: number) => {
      if (id === "speed") viewer.settings.set({ speed: value });
      else viewer.sliders.set(id, value);
      await settled();
    },
    /** Show exactly this pose in place of the motion; null gives the motion back. */
    setPose: async (pose: HookPose | null) => {
      viewer.player.pause();
      viewer.fixedSample = pose && {
        rotations: Float32Array.from(pose.rotations),
        transl: [pose.transl[0], pose.transl[1], pose.transl[2]],
        expression: Float32Array.from(pose.expression ?? []),
      };
      await settled();
    },
    reset: async () => {
      viewer.reset();
      await settled();
    },
    /** Use exactly this camera; null gives the orbit back. */
    setCamera: async (view: HookCamera | null) => {
      camera = view;
      viewer.fixedView = view;
      await settled();
    },
    view: () => ({
      orbit: viewer.orbit,
      camera: viewer.clipCamera ? "clip" : "orbit",
      settings: viewer.settings.get(),
    }),
    /** (V * 3) posed vertices of the present pose. */
    posedVertices: () => viewer.engine.posedVertices(viewer.pose()),
    /** Joints that can be dragged now, where they are on the page in CSS pixels. */
    screenJoints: () => tool.handles(),
    /** (55 * 3) joints last drawn. */
    joints: () =>
      Array.from(
        { length: JOINT_COUNT * 3 },
        (_, i) => viewer.engine.world[Math.floor(i / 3) * TRANSFORM + 9 + (i % 3)],
      ),
    /** The splats alone, drawn into memory: base64 of RGBA with straight alpha, top row first. */
    render: async () => {
      const view = camera ?? viewer.view();
      const pixels = await viewer.engine.snapshot(viewer.pose(), view, PLAIN_LAYERS);
      const background = camera?.background;
      const rgba = background ? over(pixels, background) : unpremultiply(pixels);
      return { width: view.width, height: view.height, rgba: base64(rgba) };
    },
    hash: async () => {
      await settled();
      return hashOf(viewer.engine.stage.pixels());
    },
    /** Pixels of the canvas that the person covers. */
    foreground: async () => {
      await settled();
      const pixels = viewer.engine.stage.pixels();
      let count = 0;
      for (let i = 3; i < pixels.length; i += 4) if (pixels[i] >= OPAQUE) count++;
      return count;
    },
    /** What is on the screen together; expectedTime is the shown frame's own time in the video. */
    compare: () => {
      const { motionFrame, videoTime } = viewer.shown;
      return {
        motionFrame,
        videoTime,
        expectedTime: viewer.player.motion?.videoTime?.[motionFrame] ?? Number.NaN,
        on: viewer.comparing,
      };
    },
    /** Rates of the camera that drives the avatar; null without one. */
    live: () => viewer.live?.stats ?? null,
    /** The next picture that is detected (base64 PNG) and the pose that was recovered from it. */
    observe: async () => {
      const observed = await viewer.live?.observe();
      if (!observed) return null;
      const { picture, found } = observed;
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      canvas.getContext("2d")?.drawImage(picture, 0, 0);
      const png = await (await canvas.convertToBlob()).arrayBuffer();
      const { body } = found;
      return {
        picture: base64(new Uint8Array(png)),
        rotations: body && Array.from(body.rotations),
        transl: body && Array.from(body.transl),
        actions: body && Array.from(body.actions),
      };
    },
    screenshot: async () => base64(new Uint8Array(await (await screenshot(viewer)).arrayBuffer())),
    record: async (options: Partial<Pick<RecordOptions, "subject" | "container" | "height">> = {}) => {
      const file = await recordVideo(viewer, {
        subject: "motion",
        container: "mp4",
        height: 240,
        progress: () => undefined,
        signal: new AbortController().signal,
        ...options,
      });
      return {
        bytes: base64(new Uint8Array(await file.blob.arrayBuffer())),
        mime: file.blob.type,
        frames: file.frames,
      };
    },
  };
}

export type Hook = ReturnType<typeof hookOf>;

declare global {
  interface Window {
    __pear?: Partial<Hook>;
  }
}

function over(premultiplied: Uint8Array, background: readonly [number, number, number]): Uint8Array {
  const out = new Uint8Array(premultiplied.length);
  for (let i = 0; i < out.length; i += 4) {
    const rest = 1 - premultiplied[i + 3] / 255;
    for (let k = 0; k < 3; k++)
      out[i + k] = Math.min(255, Math.round(premultiplied[i + k] + rest * background[k] * 255));
    out[i + 3] = 255;
  }
  return out;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  const chunk = 0x8000;
  for (let i = 0; i < bytes.length; i += chunk) text += String.fromCharCode(...bytes.subarray(i, i + chunk));
  return btoa(text);
}

/** FNV-1a of the pixels. */
function hashOf(pixels: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < pixels.length; i++) hash = Math.imul(hash ^ pixels[i], 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
