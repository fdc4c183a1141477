/** Frame-exact video files: each frame is drawn, waited for, encoded and given its own time. */

import * as mp4 from "mp4-muxer";
import * as webm from "webm-muxer";

export type Container = "mp4" | "webm";

export interface VideoPlan {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly frames: number;
  readonly container: Container;
  /** Put frame i on the canvas. */
  readonly draw: (index: number, paint: CanvasRenderingContext2D) => Promise<void>;
  readonly progress: (share: number) => void;
  readonly signal: AbortSignal;
}

export interface VideoFile {
  readonly blob: Blob;
  readonly frames: number;
  readonly extension: Container;
}

interface Codec {
  readonly container: Container;
  readonly name: "avc" | "vp9" | "av1" | "V_VP9" | "V_VP8";
  readonly config: VideoEncoderConfig;
}

/** Bits for each pixel of each second's frames: visually clean for skin and hair. */
const BITS_PER_PIXEL = 0.22;
const KEY_FRAME_EVERY = 30;
const QUEUE = 4;

export async function encodeVideo(plan: VideoPlan): Promise<VideoFile> {
  const canvas = document.createElement("canvas");
  canvas.width = plan.width - (plan.width % 2);
  canvas.height = plan.height - (plan.height % 2);
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  if (!paint) throw new Error("there is no memory for the recording");
  const codec = await chooseCodec(plan.container, canvas.width, canvas.height, plan.fps);
  return codec ? encodeExactly(plan, canvas, paint, codec) : recordLive(plan, canvas, paint);
}

async function encodeExactly(
  plan: VideoPlan,
  canvas: HTMLCanvasElement,
  paint: CanvasRenderingContext2D,
  codec: Codec,
): Promise<VideoFile> {
  const muxer = makeMuxer(codec, canvas);
  let failure: Error | null = null;
  const encoder = new VideoEncoder({
    output: (chunk, meta) => muxer.add(chunk, meta),
    error: (error) => (failure = error),
  });
  encoder.configure(codec.config);
  try {
    for (let i = 0; i < plan.frames; i++) {
      plan.signal.throwIfAborted();
      await plan.draw(i, paint);
      const at = (n: number): number => Math.round((n * 1e6) / plan.fps);
      const frame = new VideoFrame(canvas, { timestamp: at(i), duration: at(i + 1) - at(i) });
      encoder.encode(frame, { keyFrame: i % KEY_FRAME_EVERY === 0 });
      frame.close();
      while (encoder.encodeQueueSize > QUEUE && !failure)
        await new Promise((resolve) => setTimeout(resolve, 2));
      if (failure) throw failure;
      plan.progress((i + 1) / plan.frames);
    }
    await encoder.flush();
  } finally {
    if (encoder.state !== "closed") encoder.close();
  }
  return { blob: muxer.finish(), frames: plan.frames, extension: codec.container };
}

function makeMuxer(
  codec: Codec,
  canvas: HTMLCanvasElement,
): { add: (chunk: EncodedVideoChunk, meta?: EncodedVideoChunkMetadata) => void; finish: () => Blob } {
  const size = { width: canvas.width, height: canvas.height };
  if (codec.container === "mp4") {
    const target = new mp4.ArrayBufferTarget();
    const muxer = new mp4.Muxer({
      target,
      fastStart: "in-memory",
      video: { codec: codec.name as "avc", ...size },
    });
    return {
      add: (chunk, meta) => muxer.addVideoChunk(chunk, meta),
      finish: () => {
        muxer.finalize();
        return new Blob([target.buffer], { type: "video/mp4" });
      },
    };
  }
  const target = new webm.ArrayBufferTarget();
  const muxer = new webm.Muxer({ target, video: { codec: codec.name, ...size } });
  return {
    add: (chunk, meta) => muxer.addVideoChunk(chunk, meta),
    finish: () => {
      muxer.finalize();
      return new Blob([target.buffer], { type: "video/webm" });
    },
  };
}

/** The first codec of the wished container that this browser can encode, else of the other one. */
async function chooseCodec(
  container: Container,
  width: number,
  height: number,
  framerate: number,
): Promise<Codec | null> {
  if (typeof VideoEncoder === "undefined") return null;
  const bitrate = Math.round(Math.min(Math.max(width * height * framerate * BITS_PER_PIXEL, 1e6), 6e7));
  const config = (codec: string): VideoEncoderConfig => ({ codec, width, height, bitrate, framerate });
  const avc = {
    ...config(width * height > 1920 * 1088 ? "avc1.640034" : "avc1.640029"),
    avc: { format: "avc" as const },
  };
  const all: Codec[] = [
    { container: "mp4", name: "avc", config: avc },
    { container: "mp4", name: "vp9", config: config("vp09.00.51.08") },
    { container: "webm", name: "V_VP9", config: config("vp09.00.51.08") },
    { container: "webm", name: "V_VP8", config: config("vp8") },
  ];
  for (const codec of [
    ...all.filter((c) => c.container === container),
    ...all.filter((c) => c.container !== container),
  ]) {
    const supported = await VideoEncoder.isConfigSupported(codec.config).then(
      (s) => s.supported,
      () => false,
    );
    if (supported) return codec;
  }
  return null;
}

/** Without WebCodecs: show each frame for its time and let the browser record the canvas. */
async function recordLive(
  plan: VideoPlan,
  canvas: HTMLCanvasElement,
  paint: CanvasRenderingContext2D,
): Promise<VideoFile> {
  if (typeof MediaRecorder === "undefined") throw new Error("This browser can record no video.");
  const type =
    ["video/webm;codecs=vp9", "video/webm", "video/mp4"].find((t) => MediaRecorder.isTypeSupported(t)) ?? "";
  const recorder = new MediaRecorder(canvas.captureStream(plan.fps), {
    mimeType: type,
    videoBitsPerSecond: 12e6,
  });
  const parts: Blob[] = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  try {
    for (let i = 0; i < plan.frames; i++) {
      plan.signal.throwIfAborted();
      const start = performance.now();
      await plan.draw(i, paint);
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, 1000 / plan.fps - (performance.now() - start))),
      );
      plan.progress((i + 1) / plan.frames);
    }
  } finally {
    recorder.stop();
    await stopped;
  }
  return {
    blob: new Blob(parts, { type }),
    frames: plan.frames,
    extension: type.includes("mp4") ? "mp4" : "webm",
  };
}
