/** The worker's entry: one poser, one frame at a time. */

import { Poser } from "./poser";
import type { Reply, Request } from "./protocol";

let poser: Poser | null = null;

const send = (reply: Reply, transfer: Transferable[] = []): void => self.postMessage(reply, { transfer });

self.onmessage = (event: MessageEvent<Request>): void => {
  try {
    handle(event.data);
  } catch (error) {
    send({ type: "fail", message: error instanceof Error ? error.message : String(error) });
  }
};

function handle(request: Request): void {
  if (request.type === "init") {
    poser = new Poser(request.rig, request.splats);
    send({ type: "ready" });
    return;
  }
  if (!poser) throw new Error("a frame was asked for before the avatar was given");
  const start = performance.now();
  const { pose, direction, vertices, order } = request;
  poser.setPose(pose);
  vertices.set(poser.posed);
  poser.sort(direction, order);
  const reply: Reply = {
    type: "frame",
    vertices,
    order,
    world: poser.world.slice(),
    milliseconds: performance.now() - start,
  };
  send(reply, [vertices.buffer, order.buffer]);
}
