/** The worker inside the page, for a page that is a single file. */

import PoserWorker from "./worker?worker&inline";

export function spawnWorker(): Worker {
  return new PoserWorker();
}
