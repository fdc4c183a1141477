/** The camera drives the avatar: start, switches, the camera's picture with the landmarks found. */

import type { Viewer } from "../app/viewer";
import { LiveCamera } from "../live/camera";
import type { Landmarks } from "../live/landmarks";
import type { FoundMessage } from "../live/messages";
import type { DriveSettings, LegMode } from "../live/puppet";
import { section, segmented, textButton, toggle } from "./controls";
import { h } from "./dom";

const SWITCHES = [
  ["mirror", "Mirror"],
  ["body", "Body"],
  ["hands", "Hands"],
  ["face", "Face"],
  ["lockFeet", "Foot lock"],
] as const;
const LEGS: readonly { readonly value: LegMode; readonly label: string }[] = [
  { value: "auto", label: "Auto" },
  { value: "track", label: "Follow" },
  { value: "stand", label: "Stand" },
  { value: "sit", label: "Sit" },
];
const MEGABYTE = 1e6;

export function cameraPanel(viewer: Viewer): HTMLElement {
  const { live } = viewer.session;
  if (!live)
    return h(
      "div",
      { class: "panel" },
      section(
        "Camera",
        h(
          "p",
          { class: "hint" },
          "A page that is a single file cannot follow a camera: browsers load nothing beside it. Use pear-avatar view, or a folder written by pear-avatar export --web.",
        ),
      ),
    );
  const view = new CameraView(viewer);
  return view.element;
}

class CameraView {
  readonly element: HTMLElement;
  private readonly viewer: Viewer;
  private readonly status = h("p", { class: "hint", role: "status", "data-testid": "camera-status" });
  private readonly bar = h("progress", { max: 1, value: 0, hidden: true, "data-testid": "camera-progress" });
  private readonly overlay = h("canvas", { class: "marks", "aria-hidden": "true" });
  private readonly frame = h("div", { class: "camera", hidden: true, "data-testid": "camera-picture" });
  private readonly start: HTMLButtonElement;
  private readonly running: HTMLElement;
  private settings: DriveSettings | null = null;
  private showMarks = true;

  constructor(viewer: Viewer) {
    this.viewer = viewer;
    const size = Math.round((viewer.session.live?.total_bytes ?? 0) / MEGABYTE);
    this.start = textButton("Start the camera", "camera-start", () => void this.toggle(), "camera");
    this.running = this.controls();
    this.running.hidden = true;
    this.element = h(
      "div",
      { class: "panel" },
      section(
        "Camera",
        h(
          "p",
          { class: "hint" },
          `The avatar follows the person in front of the camera. Pictures stay in this page: nothing is sent anywhere. Starting loads ${size} MB from this page's own address, once.`,
        ),
        h("div", { class: "row" }, this.start),
        this.bar,
        this.frame,
        this.status,
        this.running,
      ),
    );
  }

  private controls(): HTMLElement {
    const camera = (): LiveCamera | null => this.viewer.live;
    const legs = segmented("Legs", "camera-legs", LEGS, (value) => this.change({ legs: value }));
    legs.set("auto");
    const freeze = toggle("Freeze", "camera-freeze", (on) => {
      const live = camera();
      if (live) live.frozen = on;
    });
    const marks = toggle("Landmarks", "camera-marks", (on) => {
      this.showMarks = on;
    });
    marks.set(true);
    return h(
      "div",
      {},
      h(
        "div",
        { class: "row" },
        textButton("Calibrate", "camera-calibrate", () => camera()?.calibrate(), "reset"),
      ),
      h("p", { class: "hint" }, "Calibrate: stand still, face the camera, look neutral for a second."),
      ...SWITCHES.map(([key, label]) => {
        const control = toggle(label, `camera-${key}`, (on) => this.change({ [key]: on }));
        control.set(true);
        return control.element;
      }),
      freeze.element,
      marks.element,
      h("p", { class: "hint" }, "Legs"),
      legs.element,
    );
  }

  private change(settings: Partial<DriveSettings>): void {
    const { live } = this.viewer;
    if (!live) return;
    this.settings = { ...live.settings, ...settings };
    live.settings = this.settings;
    this.mirrorPicture();
  }

  private async toggle(): Promise<void> {
    if (this.viewer.live) {
      this.stop("");
      return;
    }
    const session = this.viewer.session.live;
    if (!session) return;
    this.start.lastChild?.replaceWith("Stop the camera");
    this.bar.hidden = false;
    this.status.textContent = "Loading the detector …";
    try {
      const camera = new LiveCamera(this.viewer.avatar, session, {
        progress: (share) => {
          this.bar.value = share;
          if (share >= 1) this.status.textContent = "Preparing the networks …";
        },
        found: (found) => this.found(found),
        failed: (message) => this.stop(message),
      });
      if (this.settings) camera.settings = this.settings;
      this.viewer.drive(camera);
      this.frame.replaceChildren(camera.video, this.overlay);
      this.frame.hidden = false;
      this.running.hidden = false;
      this.mirrorPicture();
      await camera.open();
    } catch (error) {
      this.stop(cameraError(error));
    }
  }

  private stop(message: string): void {
    this.viewer.drive(null);
    this.start.lastChild?.replaceWith("Start the camera");
    this.bar.hidden = true;
    this.frame.hidden = true;
    this.running.hidden = true;
    this.status.textContent = message;
  }

  private found(found: FoundMessage): void {
    const { live } = this.viewer;
    if (!live) return;
    this.bar.hidden = true;
    const { rate, lag, seen } = live.stats;
    this.status.textContent = seen
      ? `${rate.toFixed(0)} poses a second, ${lag.toFixed(0)} ms behind`
      : "No person in sight";
    this.drawMarks(this.showMarks ? found.landmarks : null);
    this.viewer.liveFound();
  }

  private mirrorPicture(): void {
    this.frame.classList.toggle("mirrored", this.viewer.live?.settings.mirror ?? true);
  }

  private drawMarks(marks: Landmarks | null): void {
    const { overlay } = this;
    const context = overlay.getContext("2d");
    if (!context) return;
    if (marks && (overlay.width !== marks.width || overlay.height !== marks.height)) {
      overlay.width = marks.width;
      overlay.height = marks.height;
    }
    context.clearRect(0, 0, overlay.width, overlay.height);
    if (!marks) return;
    const dots = (points: Float32Array | null, stride: number, size: number, color: string): void => {
      context.fillStyle = color;
      for (let i = 0; points && i < points.length; i += stride)
        context.fillRect(points[i] - size / 2, points[i + 1] - size / 2, size, size);
    };
    dots(marks.face, 2, 2, "#7dd3fc");
    dots(marks.pose, 3, 7, "#fbbf24");
    dots(marks.leftHand, 2, 5, "#4ade80");
    dots(marks.rightHand, 2, 5, "#f472b6");
  }
}

function cameraError(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "The browser did not allow the camera: allow it in its address bar.";
  if (name === "NotFoundError") return "No camera was found.";
  if (name === "NotReadableError") return "The camera is in use by another program.";
  return error instanceof Error ? error.message : String(error);
}
