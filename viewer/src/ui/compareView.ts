/** The stage's panes: avatar alone, beside the input video, or wiped over it. */

import { InputVideo } from "../app/video";
import type { Viewer } from "../app/viewer";
import { h } from "./dom";
import { toast } from "./toast";

export interface StageElements {
  readonly stage: HTMLElement;
  readonly avatarPane: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly overlay: HTMLCanvasElement;
  readonly videoPane: HTMLElement;
  readonly videoCanvas: HTMLCanvasElement;
  readonly wipeHandle: HTMLElement;
}

export function stageElements(): StageElements {
  const canvas = h("canvas", { class: "splats", "data-testid": "canvas", "aria-hidden": "true" });
  const overlay = h("canvas", { class: "overlay", "aria-hidden": "true" });
  const avatarPane = h(
    "div",
    {
      class: "pane avatar",
      tabindex: 0,
      role: "application",
      "data-testid": "avatar-pane",
      "aria-label": "The avatar. Drag or use the arrow keys to orbit, plus and minus to zoom.",
    },
    canvas,
    overlay,
  );
  const videoCanvas = h("canvas", {
    class: "video",
    "data-testid": "video-canvas",
    role: "img",
    "aria-label": "Input video",
  });
  const videoPane = h(
    "div",
    { class: "pane video", "data-testid": "video-pane" },
    videoCanvas,
    h("span", { class: "tag" }, "Input video"),
  );
  const wipeHandle = h(
    "div",
    {
      class: "wipe",
      role: "slider",
      tabindex: 0,
      "aria-label": "Wipe between video and avatar",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "data-testid": "wipe-handle",
    },
    h("span", {}),
  );
  const stage = h("div", { class: "stage", "data-testid": "stage" }, videoPane, avatarPane, wipeHandle);
  return { stage, avatarPane, canvas, overlay, videoPane, videoCanvas, wipeHandle };
}

/** Keep the panes, the video and the wipe in step with the settings. */
export function compareView(viewer: Viewer, elements: StageElements): void {
  const { stage, avatarPane, videoCanvas } = elements;
  let opening = false;

  const arrange = (): void => {
    const { compare, wipe } = viewer.settings.get();
    stage.dataset["compare"] = viewer.canCompare ? compare : "off";
    stage.style.setProperty("--wipe", `${wipe * 100}%`);
    elements.wipeHandle.setAttribute("aria-valuenow", String(Math.round(wipe * 100)));
    if (compare !== "off" && viewer.canCompare && !viewer.video && !opening) void open();
  };

  const open = async (): Promise<void> => {
    const source = viewer.entry.video;
    if (!source) return;
    opening = true;
    try {
      const video = await InputVideo.open(source.url, source.fps);
      videoCanvas.width = video.width;
      videoCanvas.height = video.height;
      viewer.useVideo(video);
    } catch (error) {
      viewer.settings.set({ compare: "off" });
      toast(error instanceof Error ? error.message : String(error), "error");
    }
    opening = false;
  };

  viewer.settings.watch(arrange);
  viewer.player.subscribe(arrange);
  viewer.onDrawn(({ held }) => {
    if (held) videoCanvas.getContext("2d")?.drawImage(held.picture, 0, 0);
  });
  new ResizeObserver(() => viewer.resize(avatarPane.clientWidth, avatarPane.clientHeight)).observe(
    avatarPane,
  );
  wipeDrag(viewer, elements);
}

function wipeDrag(viewer: Viewer, { stage, wipeHandle }: StageElements): void {
  const set = (wipe: number): void => viewer.settings.set({ wipe: Math.min(Math.max(wipe, 0), 1) });
  wipeHandle.addEventListener("pointerdown", (event) => {
    wipeHandle.setPointerCapture(event.pointerId);
    event.stopPropagation();
  });
  wipeHandle.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    const box = stage.getBoundingClientRect();
    set((event.clientX - box.left) / box.width);
  });
  wipeHandle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    set(viewer.settings.get().wipe + step);
  });
}
