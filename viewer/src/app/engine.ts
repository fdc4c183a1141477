/** Pose in, picture out: the worker and the stage as one. */

import { forward, type CameraView } from "../camera/view";
import type { AvatarData } from "../io/avatar";
import { Stage, type Layers } from "../gl/stage";
import { PoserClient } from "../worker/client";
import type { FrameReply, Pose } from "../worker/protocol";

export interface DrawTimes {
  /** Milliseconds inside the worker. */
  readonly worker: number;
  /** Milliseconds from request to drawn. */
  readonly total: number;
}

export class Engine {
  readonly stage: Stage;
  /** (55, 12) world transforms of the joints last drawn. */
  world: Float64Array = new Float64Array(0);
  private readonly client: PoserClient;
  private readonly vertexCount: number;

  private constructor(stage: Stage, client: PoserClient, avatar: AvatarData) {
    this.stage = stage;
    this.client = client;
    this.vertexCount = avatar.rig.vertices.length / 3;
  }

  static async create(canvas: HTMLCanvasElement, avatar: AvatarData): Promise<Engine> {
    const stage = new Stage(canvas, avatar);
    return new Engine(stage, await PoserClient.start(avatar), avatar);
  }

  /** Draw one frame to the canvas; layers that depend on the pose are asked for once it is known. */
  async draw(pose: Pose, view: CameraView, layers: Layers | (() => Layers)): Promise<DrawTimes> {
    const start = performance.now();
    const worker = await this.pose(pose, view, (reply) => {
      this.stage.draw(view, typeof layers === "function" ? layers() : layers);
      return reply.milliseconds;
    });
    return { worker, total: performance.now() - start };
  }

  /** Draw one frame into memory: premultiplied RGBA, top row first. */
  snapshot(pose: Pose, view: CameraView, layers: Layers): Promise<Uint8Array> {
    return this.pose(pose, view, () => this.stage.snapshot(view, layers));
  }

  /** (V, 3) posed vertices of a pose. */
  posedVertices(pose: Pose): Promise<Float32Array> {
    return this.client.frame(pose, [0, 0, 1], (reply) => {
      const out = new Float32Array(this.vertexCount * 3);
      for (let v = 0; v < this.vertexCount; v++) out.set(reply.vertices.subarray(4 * v, 4 * v + 3), 3 * v);
      return out;
    });
  }

  stop(): void {
    this.client.stop();
    this.stage.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  private pose<T>(pose: Pose, view: CameraView, use: (reply: FrameReply) => T): Promise<T> {
    return this.client.frame(pose, forward(view), (reply) => {
      this.world = reply.world;
      this.stage.upload(reply.vertices, reply.order);
      return use(reply);
    });
  }
}
