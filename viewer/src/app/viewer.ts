/** One avatar on the stage: time, pose, camera and picture, kept in step. */

import { DEFAULT_ORBIT, orbitView, type OrbitState } from "../camera/orbit";
import { fitted, type CameraView } from "../camera/view";
import type { Session, SessionAvatar } from "../generated/schema";
import type { FloorPlace, Layers } from "../gl/stage";
import type { AvatarData } from "../io/avatar";
import type { Motion } from "../io/motion";
import type { LiveCamera } from "../live/camera";
import { Player } from "../motion/player";
import { frameAtVideoTime, restSample, sampleMotion, type Sample } from "../motion/sample";
import type { Vec3 } from "../rig/quaternion";
import type { Pose } from "../worker/protocol";
import { composePose } from "./compose";
import { PoseEdits } from "./edits";
import type { Engine } from "./engine";
import { faceOrbit, floorHeight, footDrop, homeOrbit } from "./framing";
import { History } from "./history";
import type { SettingsStore } from "./settings";
import { SliderBank, sliderSpecs } from "./sliders";
import type { HeldFrame, InputVideo } from "./video";

/** What the viewer draws besides its own canvas, after each frame. */
export interface Drawn {
  readonly view: CameraView;
  readonly world: Float64Array;
  /** The input video's frame that belongs to this picture. */
  readonly held: HeldFrame | null;
}

export interface Stats {
  readonly fps: number;
  readonly frameMs: number;
  readonly workerMs: number;
  readonly splats: number;
  readonly frames: number;
}

const MAX_PIXEL_RATIO = 2;
const STATS_SECONDS = 0.75;
/** Milliseconds a picture may take for a camera's motion to be drawn between detections too. */
const QUICK_FRAME = 12;

export class Viewer {
  readonly engine: Engine;
  readonly avatar: AvatarData;
  readonly entry: SessionAvatar;
  readonly session: Session;
  readonly settings: SettingsStore;
  readonly sliders: SliderBank;
  readonly edits = new PoseEdits();
  readonly history: History;
  readonly player = new Player();
  /** A pose, or camera, that stands in for everything else; for measurements. */
  fixedSample: Sample | null = null;
  fixedView: CameraView | null = null;
  video: InputVideo | null = null;
  /** A camera that drives the avatar in place of the motion. */
  private liveCamera: LiveCamera | null = null;
  private liveFramed = false;
  /** While a recording has the canvas, nothing else is drawn. */
  suspended = false;
  /** Frame and video time that are on the screen together. */
  shown = { motionFrame: 0, videoTime: Number.NaN };
  private orbitState: OrbitState = DEFAULT_ORBIT;
  private home: OrbitState = DEFAULT_ORBIT;
  /** Nobody has moved the camera: it frames the person, whatever the stage's shape becomes. */
  private atHome = false;
  /** What the head's view replaced, and that view, while it lasts. */
  private beforeFace: { readonly orbit: OrbitState; readonly atHome: boolean } | null = null;
  private faceView: OrbitState | null = null;
  private floors = new Map<Motion | null, number>();
  private lastMotion: Motion | null = null;
  private size = { width: 300, height: 300 };
  /** Counts changes; the screen is up to date when the last drawn one is the last. */
  private version = 1;
  private drawnVersion = 0;
  private drawing = false;
  private lastTick = 0;
  private statistics: Stats;
  private window = { since: 0, frames: 0 };
  private readonly drawn = new Set<(d: Drawn) => void>();
  private readonly cameraListeners = new Set<() => void>();
  private readonly statListeners = new Set<(s: Stats) => void>();
  private over = false;

  constructor(
    engine: Engine,
    avatar: AvatarData,
    entry: SessionAvatar,
    session: Session,
    settings: SettingsStore,
  ) {
    this.engine = engine;
    this.avatar = avatar;
    this.entry = entry;
    this.session = session;
    this.settings = settings;
    this.sliders = new SliderBank(sliderSpecs(avatar));
    this.history = new History(this.edits, this.sliders);
    this.statistics = { fps: 0, frameMs: 0, workerMs: 0, splats: avatar.splats.count, frames: 0 };
    this.sliders.subscribe(() => this.invalidate());
    this.edits.subscribe(() => this.invalidate());
    this.player.subscribe(() => this.timeChanged());
    settings.subscribe((now, before) =>
      this.settingsChanged(now.compare !== before.compare || now.speed !== before.speed),
    );
  }

  get orbit(): OrbitState {
    return this.orbitState;
  }

  set orbit(state: OrbitState) {
    this.atHome = false;
    this.settings.set({ camera: "orbit" });
    this.moveCamera(state);
  }

  /** The avatar was left; its graphics context is gone on purpose. */
  get stopped(): boolean {
    return this.over;
  }

  get stats(): Stats {
    return this.statistics;
  }

  /** The clip's own motion, camera and video are there and chosen. */
  get canCompare(): boolean {
    return Boolean(this.entry.video && this.player.motion?.videoTime);
  }

  get comparing(): boolean {
    return this.settings.get().compare !== "off" && this.canCompare && this.video !== null;
  }

  get clipCamera(): boolean {
    return this.settings.get().camera === "clip" && Boolean(this.player.motion?.camera);
  }

  get live(): LiveCamera | null {
    return this.liveCamera;
  }

  /** Let a camera drive the avatar; null gives the motion back. The one before is stopped. */
  drive(camera: LiveCamera | null): void {
    this.liveCamera?.stop();
    this.liveCamera = camera;
    this.liveFramed = false;
    if (camera) this.player.pause();
    this.settings.set({ compare: "off", camera: "orbit" });
    this.invalidate();
    void this.goHome();
  }

  /** A camera's picture was read: draw it, and frame the person when first seen. */
  liveFound(): void {
    this.invalidate();
    if (this.liveFramed || !this.liveCamera?.stats.seen) return;
    this.liveFramed = true;
    void this.goHome();
  }

  onDrawn(listener: (d: Drawn) => void): void {
    this.drawn.add(listener);
  }

  onCamera(listener: () => void): void {
    this.cameraListeners.add(listener);
  }

  onStats(listener: (s: Stats) => void): void {
    this.statListeners.add(listener);
  }

  /** The canvas's size in CSS pixels. */
  resize(width: number, height: number): void {
    const ratio = Math.min(window.devicePixelRatio || 1, MAX_PIXEL_RATIO);
    this.size = {
      width: Math.max(1, Math.round(width * ratio)),
      height: Math.max(1, Math.round(height * ratio)),
    };
    this.invalidate();
    if (this.atHome) void this.frameHome();
  }

  invalidate(): void {
    this.version += 1;
  }

  start(): void {
    const tick = (now: number): void => {
      if (this.over) return;
      this.tick(now);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  stop(): void {
    this.over = true;
    this.liveCamera?.stop();
    this.video?.pause();
    this.engine.stop();
  }

  /** Resolves when the screen shows the state of this moment, or a later one. */
  async settle(): Promise<void> {
    if (this.comparing && !this.player.playing) await this.video?.settled();
    const wanted = this.version;
    while (this.drawnVersion < wanted && !this.over)
      await new Promise((resolve) => requestAnimationFrame(resolve));
  }

  useVideo(video: InputVideo): void {
    this.video = video;
    video.watch((mediaTime) => this.videoFrame(mediaTime));
    this.timeChanged();
  }

  pose(frame?: number): Pose {
    const motion = this.player.motion;
    const sample =
      this.fixedSample ??
      this.liveCamera?.pose() ??
      (motion ? sampleMotion(motion, frame ?? this.player.position) : restSample());
    return composePose(this.avatar, sample, this.sliders, this.edits.get());
  }

  view(width = this.size.width, height = this.size.height, frame = this.player.frame): CameraView {
    if (this.fixedView) return this.fixedView;
    const camera = this.clipCamera ? this.player.motion?.camera : null;
    if (!camera) return orbitView(this.orbitState, width, height);
    const k = camera.K.subarray(4 * frame, 4 * frame + 4);
    const own = {
      width: camera.width,
      height: camera.height,
      fx: k[0],
      fy: k[1],
      cx: k[2],
      cy: k[3],
      T: camera.T.subarray(12 * frame, 12 * frame + 12),
    };
    return fitted(own, width, height);
  }

  /** What is drawn; a floor would spoil a clip's own view and what is meant to be cut out. */
  layers(): Layers {
    const { splats, mesh, floor, background } = this.settings.get();
    const clear = this.clipCamera || this.fixedView || background === "checker" || background === "green";
    return { splats, mesh, floor: floor && !clear ? this.floorPlace() : null };
  }

  /** Look at the person from the front again. */
  async goHome(): Promise<void> {
    this.settings.set({ camera: "orbit" });
    this.atHome = true;
    await this.frameHome();
  }

  /** Look at the head from the front. */
  async showFace(): Promise<void> {
    const posed = await this.engine.posedVertices(this.pose());
    this.beforeFace ??= { orbit: this.orbitState, atHome: this.atHome };
    this.orbit = faceOrbit(this.avatar, posed, this.size.width / this.size.height);
    this.faceView = this.orbitState;
  }

  /** Go back to the view before {@link showFace}, unless the camera was moved since. */
  leaveFace(): void {
    const before = this.beforeFace;
    this.beforeFace = null;
    if (!before || this.orbitState !== this.faceView) return;
    this.atHome = before.atHome;
    this.moveCamera(before.orbit);
  }

  reset(): void {
    this.fixedSample = null;
    this.fixedView = null;
    this.history.group(() => {
      this.sliders.reset();
      this.edits.reset();
    });
    this.settings.set({ camera: "orbit" });
    this.atHome = true;
    this.moveCamera(this.home);
  }

  private async frameHome(): Promise<void> {
    const posed = await this.engine.posedVertices(this.pose());
    this.home = homeOrbit(this.avatar, posed, this.size.width / this.size.height);
    if (this.atHome) this.moveCamera(this.home);
  }

  private moveCamera(state: OrbitState): void {
    this.orbitState = state;
    this.invalidate();
    for (const listener of this.cameraListeners) listener();
  }

  private tick(now: number): void {
    const dt = Math.min((now - this.lastTick) / 1000, 0.25);
    this.lastTick = now;
    if (this.suspended) return;
    const { speed, loop } = this.settings.get();
    if (this.liveCamera && this.statistics.frameMs < QUICK_FRAME) this.invalidate();
    if (!this.comparing || !this.player.playing) this.player.advance(dt * speed, loop);
    else this.keepVideoRunning();
    if (this.drawnVersion < this.version && !this.drawing) void this.draw();
    this.count(now);
  }

  private async draw(): Promise<void> {
    const version = this.version;
    this.drawing = true;
    const held = this.comparing ? (this.video?.held ?? null) : null;
    const view = this.view();
    const frame = this.player.frame;
    try {
      const times = await this.engine.draw(this.pose(), view, () => this.layers());
      this.shown = { motionFrame: frame, videoTime: held?.mediaTime ?? Number.NaN };
      this.statistics = {
        ...this.statistics,
        frameMs: times.total,
        workerMs: times.worker,
        frames: this.statistics.frames + 1,
      };
      this.drawnVersion = version;
      for (const listener of this.drawn) listener({ view, world: this.engine.world, held });
    } finally {
      this.drawing = false;
    }
  }

  private count(now: number): void {
    const { since, frames } = this.window;
    const seconds = (now - since) / 1000;
    if (seconds < STATS_SECONDS) return;
    this.statistics = { ...this.statistics, fps: (this.statistics.frames - frames) / seconds };
    this.window = { since: now, frames: this.statistics.frames };
    for (const listener of this.statListeners) listener(this.statistics);
  }

  private floorPlace(): FloorPlace {
    const motion = this.player.motion;
    const y = this.liveFramed ? 0 : (this.floors.get(motion) ?? floorHeight(this.avatar, motion));
    if (!this.liveFramed) this.floors.set(motion, y);
    const world = this.engine.world;
    const dark = document.documentElement.dataset["theme"] === "dark";
    const drop = footDrop(this.avatar, this.pose());
    return {
      x: world[9] ?? 0,
      y: y + drop,
      z: world[11] ?? 0,
      tint: dark ? [0.75, 0.8, 0.7] : [0.3, 0.33, 0.27],
    };
  }

  /** Another motion may stand elsewhere: the camera goes along, so that the person stays in sight. */
  private followMotion(): void {
    const start = (motion: Motion | null): number[] =>
      motion ? [...motion.transl.subarray(0, 3)] : [0, 0, 0];
    const [from, to] = [start(this.lastMotion), start(this.player.motion)];
    const along = (state: OrbitState): OrbitState => ({
      ...state,
      target: [0, 1, 2].map((k) => state.target[k] + to[k] - from[k]) as unknown as Vec3,
    });
    this.lastMotion = this.player.motion;
    this.home = along(this.home);
    this.moveCamera(along(this.orbitState));
  }

  // The input video leads while it plays; otherwise it follows the frame chosen here.

  private timeChanged(): void {
    this.invalidate();
    if (this.player.motion !== this.lastMotion) this.followMotion();
    const { video, player } = this;
    const times = player.motion?.videoTime;
    if (!video || !times || !this.comparing) {
      video?.pause();
      return;
    }
    if (player.playing) return;
    video.pause();
    video.seek(times[player.frame]);
  }

  private settingsChanged(restartVideo: boolean): void {
    if (restartVideo) {
      this.video?.pause();
      this.timeChanged();
    }
    this.invalidate();
  }

  private keepVideoRunning(): void {
    const { video, player } = this;
    const times = player.motion?.videoTime;
    if (!video || !times || video.playing) return;
    if (video.ended) video.seek(times[0]);
    video.play(this.settings.get().speed);
  }

  private videoFrame(mediaTime: number): void {
    const times = this.player.motion?.videoTime;
    if (!times || !this.comparing) return;
    this.invalidate();
    if (!this.player.playing) return;
    const frame = frameAtVideoTime(times, mediaTime);
    this.player.seek(frame);
    const last = times[times.length - 1];
    if (
      mediaTime > last + 1 / (this.player.motion?.fps ?? 30) ||
      (frame === times.length - 1 && mediaTime >= last)
    )
      this.videoEnd(times);
  }

  private videoEnd(times: Float32Array): void {
    const { loop } = this.settings.get();
    if (loop === "none") this.player.pause();
    else {
      this.video?.pause();
      this.video?.seek(times[0]);
    }
  }
}
