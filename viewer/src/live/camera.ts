/** A webcam drives an avatar: camera, detecting worker, prediction and puppet as one. */

import type { SessionLive } from "../generated/schema";
import type { AvatarData } from "../io/avatar";
import type { Sample } from "../motion/sample";
import type { FoundMessage, FromDetector, ToDetector } from "./messages";
import { PosePredictor } from "./predictor";
import { DRIVE_DEFAULTS, type DriveSettings, Puppet } from "./puppet";
import { spawnDetector } from "./spawnDetector";

export interface LiveStats {
  /** Recovered poses a second over the last two seconds. */
  readonly rate: number;
  /** Milliseconds from the camera's picture to its pose, median of the last thirty. */
  readonly lag: number;
  readonly seen: boolean;
}

export interface Observed {
  readonly picture: ImageBitmap;
  readonly found: FoundMessage;
}

export interface LiveCallbacks {
  /** Loading, in [0, 1]. */
  readonly progress: (share: number) => void;
  /** After every detected picture. */
  readonly found: (found: FoundMessage) => void;
  /** The camera or the detector has failed; everything is stopped. */
  readonly failed: (message: string) => void;
}

const WIDTH = 640;
const HEIGHT = 480;
const RATE_SECONDS = 2;
const LAGS = 30;

export class LiveCamera {
  readonly video: HTMLVideoElement;
  settings: DriveSettings = DRIVE_DEFAULTS;
  frozen = false;
  private readonly worker: Worker;
  private readonly callbacks: LiveCallbacks;
  private readonly puppet: Puppet;
  private predictor = new PosePredictor();
  private stream: MediaStream | null = null;
  private busy = true;
  private over = false;
  private sample: Sample | null = null;
  private readonly times: number[] = [];
  private readonly lags: number[] = [];
  private seen = false;
  private lastTime = 0;
  /** Gets the next detected picture with what was found in it; for tests. */
  private observer: ((observed: Observed) => void) | null = null;
  private copy: ImageBitmap | null = null;

  constructor(avatar: AvatarData, live: SessionLive, callbacks: LiveCallbacks) {
    this.callbacks = callbacks;
    this.puppet = new Puppet(avatar);
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    this.worker = spawnDetector();
    this.worker.onmessage = (event: MessageEvent<FromDetector>) => this.hear(event.data);
    this.worker.onerror = (event) => this.fail(event.message || "The detector could not be started.");
    const absolute = (url: string): string => new URL(url, document.baseURI).href;
    this.say({
      type: "init",
      live: {
        model: absolute(live.model),
        task: live.task.map(absolute),
        wasm_loader: absolute(live.wasm_loader),
        wasm: absolute(live.wasm),
        total_bytes: live.total_bytes,
      },
    });
  }

  /** Open the camera; asks the person for leave. */
  async open(): Promise<void> {
    if (!navigator.mediaDevices)
      throw new Error("A camera works only on https:// pages and on this machine's own (localhost).");
    const video = { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, frameRate: { ideal: 30 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    if (this.over) {
      stopTracks(stream);
      return;
    }
    this.stream = stream;
    stream.getVideoTracks()[0]?.addEventListener("ended", () => this.fail("The camera was disconnected."));
    this.video.srcObject = stream;
    await this.video.play();
    const next = (): void => {
      if (this.over) return;
      void this.look();
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
  }

  /** The avatar's pose now; null before a person was seen. */
  pose(): Sample | null {
    const now = performance.now() / 1000;
    const body = this.frozen ? null : this.predictor.at(now);
    if (body) this.sample = this.puppet.pose(body, this.settings, now);
    return this.sample && copyOf(this.sample);
  }

  /** Take the next second for the neutral stance and face. */
  calibrate(): void {
    this.puppet.calibrate();
    this.say({ type: "calibrate" });
  }

  get stats(): LiveStats {
    const now = performance.now() / 1000;
    const recent = this.times.filter((t) => t > now - RATE_SECONDS).length;
    const sorted = [...this.lags].sort((a, b) => a - b);
    return { rate: recent / RATE_SECONDS, lag: sorted[sorted.length >> 1] ?? Number.NaN, seen: this.seen };
  }

  /** The next picture that goes to the detector, and what is found in it. */
  observe(): Promise<Observed> {
    return new Promise((resolve) => {
      this.observer = resolve;
    });
  }

  stop(): void {
    this.over = true;
    this.worker.terminate();
    if (this.stream) stopTracks(this.stream);
    this.video.srcObject = null;
  }

  /** Give the newest picture to the worker if it is free; others are dropped. */
  private async look(): Promise<void> {
    if (this.busy || this.video.videoWidth === 0) return;
    this.busy = true;
    const time = Math.max(performance.now() / 1000, this.lastTime + 0.002);
    this.lastTime = time;
    const picture = await createImageBitmap(this.video);
    if (this.observer) this.copy = await createImageBitmap(picture);
    if (this.over) picture.close();
    else this.say({ type: "picture", picture, time }, [picture]);
  }

  private hear(message: FromDetector): void {
    if (this.over) return;
    if (message.type === "fail") this.fail(message.message);
    else if (message.type === "progress") this.callbacks.progress(message.share);
    else {
      this.busy = false;
      if (message.type === "found") this.take(message);
    }
  }

  private take(found: FoundMessage): void {
    const now = performance.now() / 1000;
    this.seen = found.body !== null;
    if (found.body) {
      this.predictor.push(found.body);
      this.times.push(now);
      this.lags.push((now - found.time) * 1000);
      if (this.lags.length > LAGS) this.lags.shift();
      while (this.times[0] < now - RATE_SECONDS) this.times.shift();
    }
    if (this.copy && this.observer) {
      this.observer({ picture: this.copy, found });
      this.observer = null;
      this.copy = null;
    }
    this.callbacks.found(found);
  }

  private fail(message: string): void {
    if (this.over) return;
    this.stop();
    this.callbacks.failed(message);
  }

  private say(message: ToDetector, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }
}

function copyOf(sample: Sample): Sample {
  return {
    rotations: sample.rotations.slice(),
    transl: sample.transl,
    expression: sample.expression.slice(),
  };
}

function stopTracks(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
