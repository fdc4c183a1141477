/** The page's side of the worker: one request in flight, buffers handed back and forth. */

import type { AvatarData } from "../io/avatar";
import type { FrameReply, FrameRequest, Pose, Reply, Request } from "./protocol";
import { spawnWorker } from "./spawn";

export const VERTICES_PER_ROW = 128;
export const ORDER_PER_ROW = 1024;

export class PoserClient {
  private readonly worker: Worker;
  private chain: Promise<unknown> = Promise.resolve();
  private vertices: Float32Array;
  private order: Uint32Array;

  private constructor(avatar: AvatarData) {
    this.worker = spawnWorker();
    const rows = Math.ceil(avatar.rig.vertices.length / 3 / VERTICES_PER_ROW);
    this.vertices = new Float32Array(rows * VERTICES_PER_ROW * 4);
    this.order = new Uint32Array(Math.ceil(avatar.splats.count / ORDER_PER_ROW) * ORDER_PER_ROW);
  }

  static async start(avatar: AvatarData): Promise<PoserClient> {
    const client = new PoserClient(avatar);
    const { face, barycentric, offsets } = avatar.splats;
    await client.ask({ type: "init", rig: avatar.rig, splats: { face, barycentric, offsets } }, []);
    return client;
  }

  /**
   * Pose and sort. `use` gets the result while the buffers are here; it must not keep them. Calls
   * are served one after the other, because the buffers detach while they travel.
   */
  frame<T>(pose: Pose, direction: FrameRequest["direction"], use: (reply: FrameReply) => T): Promise<T> {
    const run = async (): Promise<T> => {
      const { vertices, order } = this;
      const reply = await this.ask({ type: "frame", pose, direction, vertices, order }, [
        vertices.buffer,
        order.buffer,
      ]);
      if (reply.type !== "frame") throw new Error(`unexpected ${reply.type} from the worker`);
      this.vertices = reply.vertices;
      this.order = reply.order;
      return use(reply);
    };
    const result = this.chain.then(run);
    this.chain = result.catch(() => undefined);
    return result;
  }

  stop(): void {
    this.worker.terminate();
  }

  private ask(request: Request, transfer: Transferable[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.worker.onmessage = (event: MessageEvent<Reply>) => {
        if (event.data.type === "fail") reject(new Error(event.data.message));
        else resolve(event.data);
      };
      this.worker.onerror = (event) => reject(new Error(event.message || "the worker could not be started"));
      this.worker.postMessage(request, transfer);
    });
  }
}
