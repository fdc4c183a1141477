/** The detector as a module worker of its own; loaded only once a camera is used. */

import DetectorWorker from "./detector.worker?worker";

export function spawnDetector(): Worker {
  return new DetectorWorker();
}
