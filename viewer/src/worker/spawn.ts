/** The worker as a file of its own, which a strict Content-Security-Policy lets run. */

import PoserWorker from "./worker?worker";

export function spawnWorker(): Worker {
  return new PoserWorker();
}
