/** The input video beside the avatar, frame by frame: each decoded frame is held until its pose is drawn. */

import { mediaUrl } from "./session";

export interface HeldFrame {
  readonly picture: HTMLCanvasElement;
  /** Seconds in the video. */
  readonly mediaTime: number;
}

const SEEK_TIMEOUT = 4000;

export class InputVideo {
  /** Size of the upright picture. */
  readonly width: number;
  readonly height: number;
  /** The latest decoded frame; copied away at once, since the video may run on. */
  held: HeldFrame | null = null;
  private readonly element: HTMLVideoElement;
  private readonly frameSeconds: number;
  private onFrame: (mediaTime: number) => void = () => undefined;
  private wanted: number | null = null;
  private seeking = false;
  /** Pictures in turn: one on the screen, one being drawn, one being filled. */
  private readonly pictures: readonly HTMLCanvasElement[];
  private turn = 0;

  private constructor(element: HTMLVideoElement, fps: number) {
    this.element = element;
    this.width = element.videoWidth;
    this.height = element.videoHeight;
    this.frameSeconds = 1 / (fps || 30);
    this.pictures = Array.from({ length: 3 }, () =>
      Object.assign(document.createElement("canvas"), { width: this.width, height: this.height }),
    );
    this.listen();
  }

  static async open(url: string, fps: number): Promise<InputVideo> {
    const element = document.createElement("video");
    Object.assign(element, { muted: true, playsInline: true, preload: "auto", src: await mediaUrl(url) });
    await new Promise<void>((resolve, reject) => {
      element.onloadeddata = () => resolve();
      element.onerror = () => reject(new Error("This browser cannot play the input video."));
    });
    return new InputVideo(element, fps);
  }

  get playing(): boolean {
    return !this.element.paused;
  }

  get ended(): boolean {
    return this.element.ended;
  }

  /** Hear of each frame as it is shown. */
  watch(onFrame: (mediaTime: number) => void): void {
    this.onFrame = onFrame;
  }

  play(speed: number): void {
    this.element.playbackRate = Math.min(Math.max(speed, 0.0625), 16);
    void this.element.play().catch(() => undefined);
  }

  pause(): void {
    this.element.pause();
  }

  /** Show the frame of a presentation time; while a seek runs only the last wish is kept. */
  seek(seconds: number): void {
    this.wanted = seconds;
    if (!this.seeking) void this.seekWanted();
  }

  /** Resolves when no seek is under way. */
  async settled(): Promise<void> {
    while (this.seeking) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  private async seekWanted(): Promise<void> {
    this.seeking = true;
    while (this.wanted !== null) {
      // A quarter of a frame past its start, where rounding cannot fall back to the frame before.
      const start = this.wanted;
      this.wanted = null;
      if (this.holds(start)) continue;
      this.element.currentTime = Math.min(start + this.frameSeconds / 4, this.element.duration || Infinity);
      const deadline = performance.now() + SEEK_TIMEOUT;
      // Frames shown before the seek may still be reported: only the wanted one ends the wait.
      while (!this.holds(start) && performance.now() < deadline && this.wanted === null) {
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
    }
    this.seeking = false;
  }

  /** The frame of this time is at hand, and the element is not on its way to another. */
  private holds(start: number): boolean {
    const near = (time: number | undefined, within: number): boolean =>
      time !== undefined && Math.abs(time - start) < within;
    return (
      near(this.held?.mediaTime, this.frameSeconds / 2) &&
      near(this.element.currentTime, this.frameSeconds) &&
      !this.element.seeking
    );
  }

  private listen(): void {
    const next = (_: number, data: VideoFrameCallbackMetadata): void => {
      this.hold(data.mediaTime);
      this.onFrame(data.mediaTime);
      this.element.requestVideoFrameCallback(next);
    };
    this.hold(this.element.currentTime);
    this.element.requestVideoFrameCallback(next);
  }

  private hold(mediaTime: number): void {
    const picture = this.pictures[this.turn++ % this.pictures.length];
    picture.getContext("2d")?.drawImage(this.element, 0, 0, this.width, this.height);
    this.held = { picture, mediaTime };
  }
}
