/** Dialogs: help, and recording. */

import type { Viewer } from "../app/viewer";
import { recordVideo } from "../record/capture";
import { download, fileName } from "../record/picture";
import type { Container } from "../record/video";
import { iconButton } from "./controls";
import { h } from "./dom";
import { toast } from "./toast";

const SHORTCUTS: readonly (readonly [string, string])[] = [
  ["Space", "Play or pause"],
  ["← →", "Previous or next frame"],
  ["Shift ← →", "Ten frames"],
  ["Home End", "First or last frame"],
  ["[ ]", "Slower, faster"],
  ["L", "Repeat, play all, stop"],
  ["N", "Next motion"],
  ["F", "Frame the person"],
  ["1 2 3 4", "From front, left, back, right"],
  ["C", "As filmed, or free camera"],
  ["V", "Avatar, side by side, wipe"],
  ["P", "Drag joints"],
  ["K", "Skeleton"],
  ["M", "Mesh"],
  ["B", "Background"],
  ["S", "Screenshot"],
  ["R", "Record"],
  ["T", "Theme"],
  ["X", "Full screen"],
  ["0", "Reset everything"],
  ["Ctrl Z", "Undo pose, face or shape"],
  ["?", "This help"],
];

const MOUSE: readonly (readonly [string, string])[] = [
  ["Drag", "Orbit"],
  ["Right drag, Shift drag", "Move"],
  ["Wheel, pinch", "Zoom to the pointer"],
  ["Two fingers", "Move and zoom"],
  ["Double click", "Frame the person"],
  ["Double click a slider", "Reset the slider"],
  ["Stage chosen with Tab", "Arrows orbit, Shift arrows move, + − zoom"],
];

function dialog(title: string, testId: string, ...content: (Node | null)[]): HTMLDialogElement {
  const element = h("dialog", { "data-testid": testId, "aria-label": title });
  element.append(
    h(
      "header",
      {},
      h("h2", {}, title),
      iconButton("close", "Close", `${testId}-close`, () => element.close()),
    ),
  );
  for (const node of content) if (node) element.append(node);
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close();
  });
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

export function helpDialog(): void {
  const table = (rows: typeof SHORTCUTS): HTMLElement =>
    h(
      "dl",
      { class: "keys" },
      ...rows.flatMap(([keys, what]) => [
        h("dt", {}, ...keys.split(" ").map((k) => h("kbd", {}, k))),
        h("dd", {}, what),
      ]),
    );
  dialog(
    "Help",
    "help",
    h(
      "div",
      { class: "columns" },
      h("div", {}, h("h3", {}, "Keyboard"), table(SHORTCUTS)),
      h(
        "div",
        {},
        h("h3", {}, "Mouse and touch"),
        h("dl", { class: "keys words" }, ...MOUSE.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])),
        h(
          "p",
          { class: "hint" },
          "The address in the browser holds the camera, sliders, pose and frame: share it to share this view.",
        ),
      ),
    ),
  );
}

export function recordDialog(viewer: Viewer): void {
  const motion = viewer.player.motion;
  const subject = choice(
    "record-subject",
    "What",
    [
      ["motion", motion ? `${motion.name} (${motion.frames} frames)` : "Motion"],
      ["turntable", "One turn around the person"],
    ],
    motion ? "motion" : "turntable",
  );
  const container = choice(
    "record-format",
    "Format",
    [
      ["mp4", "MP4"],
      ["webm", "WebM"],
    ],
    "mp4",
  );
  const height = choice(
    "record-height",
    "Height",
    [
      ["480", "480 pixels"],
      ["720", "720 pixels"],
      ["1080", "1080 pixels"],
    ],
    "720",
  );
  const bar = h("progress", {
    max: 1,
    value: 0,
    "aria-label": "Recording",
    hidden: true,
    "data-testid": "record-progress",
  });
  const start = h(
    "button",
    { type: "button", class: "primary", "data-testid": "record-start", autofocus: true },
    "Record",
  );
  const hint = h(
    "p",
    { class: "hint" },
    "Every frame is drawn and encoded in turn, so none is lost, however slow this device is.",
  );
  const element = dialog(
    "Record",
    "record-dialog",
    h("form", { method: "dialog" }, subject.element, height.element, container.element),
    hint,
    bar,
    h("footer", {}, start),
  );
  if (!motion) subject.select.options[0].disabled = true;
  const abort = new AbortController();
  element.addEventListener("close", () => abort.abort());
  start.addEventListener("click", () => {
    start.disabled = true;
    bar.hidden = false;
    const options = {
      subject: subject.select.value as "motion" | "turntable",
      container: container.select.value as Container,
      height: Number(height.select.value),
      progress: (share: number) => (bar.value = share),
      signal: abort.signal,
    };
    recordVideo(viewer, options)
      .then((file) => {
        download(
          file.blob,
          fileName(
            `${viewer.entry.name} ${options.subject === "motion" ? (motion?.name ?? "") : "turn"}`,
            file.extension,
          ),
        );
        toast(`Recorded ${file.frames} frames.`);
      })
      .catch((error: unknown) => {
        if (!abort.signal.aborted) toast(error instanceof Error ? error.message : String(error), "error");
      })
      .finally(() => element.close());
  });
}

function choice(
  testId: string,
  label: string,
  options: readonly (readonly [string, string])[],
  value: string,
): { element: HTMLElement; select: HTMLSelectElement } {
  const select = h(
    "select",
    { "data-testid": testId },
    ...options.map(([key, text]) => h("option", { value: key }, text)),
  );
  select.value = value;
  return { element: h("label", { class: "field" }, h("span", {}, label), select), select };
}
