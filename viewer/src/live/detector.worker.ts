/** Pictures in, recovered people out. Nothing here sends anything but to the page. */

import { HolisticLandmarker, type HolisticLandmarkerResult } from "@mediapipe/tasks-vision";
import type { SessionLive } from "../generated/schema";
import { FileError } from "../io/safetensors";
import type { Landmarks } from "./landmarks";
import type { FromDetector, ToDetector } from "./messages";
import { readLiveModel } from "./model";
import { LiveReader } from "./reader";

interface Detector {
  readonly landmarker: HolisticLandmarker;
  readonly reader: LiveReader;
  readonly actionNames: readonly string[];
}

type Points = readonly {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly visibility?: number;
}[];

let detector: Detector | null = null;

const send = (message: FromDetector): void => self.postMessage(message);

self.onmessage = (event: MessageEvent<ToDetector>): void => {
  handle(event.data).catch((error: unknown) =>
    send({ type: "fail", message: error instanceof Error ? error.message : String(error) }),
  );
};

async function handle(message: ToDetector): Promise<void> {
  if (message.type === "init") {
    detector = await prepare(message.live);
    send({ type: "ready" });
    return;
  }
  if (!detector) throw new Error("a picture came before the detector was ready");
  if (message.type === "calibrate") {
    detector.reader.calibrate();
    return;
  }
  const start = performance.now();
  const { picture, time } = message;
  const found = detector.landmarker.detectForVideo(picture, Math.round(time * 1000));
  const landmarks = landmarksOf(found, picture, detector.actionNames);
  picture.close();
  const body = landmarks && detector.reader.read(landmarks, time);
  send({ type: "found", time, landmarks, body, milliseconds: performance.now() - start });
}

async function prepare(live: SessionLive): Promise<Detector> {
  if (!new OffscreenCanvas(1, 1).getContext("webgl2"))
    throw new Error("Following a camera needs WebGL in workers, which this browser does not offer.");
  let received = 0;
  const load = (url: string): Promise<Uint8Array<ArrayBuffer>> =>
    loadFile(url, (bytes) => {
      received += bytes;
      send({ type: "progress", share: Math.min(received / live.total_bytes, 1) });
    });
  const [model, wasm, ...parts] = await Promise.all([live.model, live.wasm, ...live.task].map(load));
  const task = new Uint8Array(await new Blob(parts).arrayBuffer());
  quieten();
  const program = URL.createObjectURL(new Blob([wasm], { type: "application/wasm" }));
  const landmarker = await HolisticLandmarker.createFromOptions(
    { wasmLoaderPath: live.wasm_loader, wasmBinaryPath: program },
    {
      baseOptions: { modelAssetBuffer: task, delegate: "CPU" },
      runningMode: "VIDEO",
      outputFaceBlendshapes: true,
    },
  );
  URL.revokeObjectURL(program);
  const lifter = readLiveModel(model.buffer);
  return { landmarker, reader: new LiveReader(lifter), actionNames: lifter.meta.arkit_names };
}

/** The detector's program logs its own start and settings as warnings; failures are thrown as well. */
function quieten(): void {
  const { warn } = self.console;
  const own = (line: unknown): boolean => /^[IW]\d{4} /.test(String(line));
  Object.assign(self, { Module: { print: () => undefined, printErr: () => undefined } });
  Object.assign(self.console, { warn: (...lines: unknown[]) => own(lines[0]) || warn(...lines) });
}

async function loadFile(url: string, progress: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok || !response.body)
    throw new FileError(
      `${url.replace(/^.*\//, "")} could not be loaded (${response?.status ?? "no answer"}).`,
    );
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const stream = response.body.getReader();
  for (let part = await stream.read(); !part.done; part = await stream.read()) {
    parts.push(part.value);
    progress(part.value.length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function landmarksOf(
  found: HolisticLandmarkerResult,
  { width, height }: ImageBitmap,
  actionNames: readonly string[],
): Landmarks | null {
  const pose: Points | undefined = found.poseLandmarks[0];
  const world: Points | undefined = found.poseWorldLandmarks[0];
  if (!pose?.length || !world?.length) return null;
  const flat = (points: Points | undefined): Float32Array | null =>
    points?.length ? Float32Array.from(points.flatMap((p) => [p.x * width, p.y * height])) : null;
  return {
    width,
    height,
    pose: Float32Array.from(pose.flatMap((p) => [p.x * width, p.y * height, p.visibility ?? 0])),
    world: Float32Array.from(world.flatMap((p) => [p.x, p.y, p.z])),
    leftHand: flat(found.leftHandLandmarks[0]),
    rightHand: flat(found.rightHandLandmarks[0]),
    face: flat(found.faceLandmarks[0]),
    actions: actionsOf(found, actionNames),
  };
}

/** The face's actions by name; the detector adds one for a neutral face and has none for the tongue. */
function actionsOf(found: HolisticLandmarkerResult, names: readonly string[]): Float32Array | null {
  const shapes = found.faceBlendshapes[0]?.categories;
  if (!shapes?.length) return null;
  const score = new Map(shapes.map((shape) => [shape.categoryName, shape.score]));
  return Float32Array.from(names, (name) => score.get(name) ?? 0);
}
