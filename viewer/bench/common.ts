/** What both bench pages share: the same avatar, motion and camera, and the same clock. */

import { DEFAULT_ORBIT, orbitBy, orbitView } from "../src/camera/orbit";
import type { CameraView } from "../src/camera/view";
import { homeOrbit } from "../src/app/framing";
import { composePose } from "../src/app/compose";
import { PoseEdits } from "../src/app/edits";
import { SliderBank, sliderSpecs } from "../src/app/sliders";
import { readAvatar, type AvatarData } from "../src/io/avatar";
import { readMotion, type Motion } from "../src/io/motion";
import { restSample, sampleMotion } from "../src/motion/sample";
import { Poser } from "../src/worker/poser";
import type { Pose } from "../src/worker/protocol";

export interface Scene {
  readonly avatar: AvatarData;
  readonly motion: Motion;
  /** The motion's frames, or always the rest pose where the address says `?mode=still`. */
  readonly pose: (frame: number) => Pose;
  readonly moving: boolean;
  readonly still: Pose;
  /** A camera that moves a degree each frame, so that the order of splats changes. */
  readonly view: (frame: number, size: number) => CameraView;
}

export interface Timing {
  readonly fps: number;
  readonly frames: number;
  readonly splats: number;
}

declare global {
  interface Window {
    bench?: Promise<Timing>;
    /** The avatar is loaded and the shaders are warm. */
    measuring?: boolean;
    /** Draw one known frame; base64 RGBA, top row first. */
    picture?: () => Promise<string>;
  }
}

export async function loadScene(): Promise<Scene> {
  const bytes = async (name: string): Promise<ArrayBuffer> => (await fetch(name)).arrayBuffer();
  const avatar = readAvatar(await bytes("avatar.pav"));
  const motion = readMotion(await bytes("motion.pmo"));
  const sliders = new SliderBank(sliderSpecs(avatar));
  const edits = new PoseEdits().get();
  const moving = query("mode") !== "still";
  const first = sampleMotion(motion, 0);
  const still = composePose(avatar, { ...restSample(), transl: first.transl }, sliders, edits);
  const pose = (frame: number): Pose =>
    moving ? composePose(avatar, sampleMotion(motion, frame % motion.frames), sliders, edits) : still;
  const poser = new Poser(avatar.rig, avatar.splats);
  poser.setPose(still);
  const points = Float32Array.from(
    { length: avatar.rig.vertices.length },
    (_, i) => poser.posed[4 * Math.floor(i / 3) + (i % 3)],
  );
  const home = { ...homeOrbit(avatar, points, 1), yaw: DEFAULT_ORBIT.yaw };
  return {
    avatar,
    motion,
    pose,
    moving,
    still,
    view: (frame, size) => orbitView(orbitBy(home, (frame * Math.PI) / 180, 0), size, size),
  };
}

function query(name: string): string | null {
  return new URLSearchParams(location.search).get(name);
}

const MIN_FRAMES = 8;

/** Draw frames, each finished before the next begins, for some seconds. */
export async function measure(
  gl: WebGL2RenderingContext,
  splats: number,
  draw: (frame: number) => Promise<void> | void,
): Promise<Timing> {
  const seconds = Number(query("seconds") ?? 5);
  const pixel = new Uint8Array(4);
  let frames = 0;
  const warm = 3;
  let start = performance.now();
  for (let i = 0; i < 10_000; i++) {
    if (i === warm) {
      window.measuring = true;
      start = performance.now();
    }
    await draw(i);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel); // waits until all is drawn
    await new Promise((resolve) => setTimeout(resolve)); // lets workers answer
    if (i >= warm) frames += 1;
    if (frames >= MIN_FRAMES && performance.now() - start > seconds * 1000) break;
  }
  const elapsed = (performance.now() - start) / 1000;
  return { fps: frames / elapsed, frames, splats };
}

export function base64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000)
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}
