/** In place of the detector in a page that is a single file, which cannot load one. */

export function spawnDetector(): Worker {
  throw new Error("A page that is a single file cannot follow a camera.");
}
