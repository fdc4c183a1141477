/** Orbit, pan and zoom with mouse, pen, touch and wheel. */

import { orbitBy, panBy, zoomAt, zoomBy, type OrbitState } from "./orbit";

export interface CameraTarget {
  orbit: OrbitState;
}

const TURN_PER_HEIGHT = 3.2;
const WHEEL = 0.0012;

/** `claimed` says that a pointer is busy with something else, such as a joint. */
export function cameraControls(
  element: HTMLElement,
  camera: CameraTarget,
  claimed: (event: PointerEvent) => boolean,
): void {
  const pointers = new Map<number, { x: number; y: number }>();
  let pinch = 0;

  element.addEventListener("pointerdown", (event) => {
    if (claimed(event)) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    capture(element, event.pointerId);
    pinch = spread(pointers);
    element.classList.add("grabbing");
  });

  element.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const height = element.clientHeight || 1;
    const dx = (event.clientX - last.x) / height,
      dy = (event.clientY - last.y) / height;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size >= 2) {
      const now = spread(pointers);
      const state = panBy(camera.orbit, -dx / pointers.size, dy / pointers.size);
      camera.orbit = pinch > 0 && now > 0 ? zoomBy(state, pinch / now) : state;
      pinch = now;
    } else if (event.buttons & 6 || event.shiftKey) {
      camera.orbit = panBy(camera.orbit, -dx, dy);
    } else {
      camera.orbit = orbitBy(camera.orbit, -dx * TURN_PER_HEIGHT, dy * TURN_PER_HEIGHT);
    }
  });

  const release = (event: PointerEvent): void => {
    pointers.delete(event.pointerId);
    pinch = spread(pointers);
    if (pointers.size === 0) element.classList.remove("grabbing");
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const step = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
      const box = element.getBoundingClientRect();
      const right = (event.clientX - box.left - box.width / 2) / (box.height || 1);
      const up = (box.top + box.height / 2 - event.clientY) / (box.height || 1);
      camera.orbit = zoomAt(camera.orbit, Math.exp(step * WHEEL), right, up);
    },
    { passive: false },
  );
}

const KEY_TURN = 0.12;
const KEY_PAN = 0.04;
const KEY_ZOOM = 1.1;

/** Arrows orbit, with Shift they move; plus and minus zoom. */
export function cameraKeys(element: HTMLElement, camera: CameraTarget): void {
  const arrows: Readonly<Record<string, readonly [number, number]>> = {
    ArrowLeft: [1, 0],
    ArrowRight: [-1, 0],
    ArrowUp: [0, 1],
    ArrowDown: [0, -1],
  };
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = arrows[event.key];
    const zoom = { "+": 1 / KEY_ZOOM, "=": 1 / KEY_ZOOM, "-": KEY_ZOOM }[event.key];
    if (arrow && event.shiftKey) camera.orbit = panBy(camera.orbit, -arrow[0] * KEY_PAN, arrow[1] * KEY_PAN);
    else if (arrow) camera.orbit = orbitBy(camera.orbit, -arrow[0] * KEY_TURN, arrow[1] * KEY_TURN);
    else if (zoom) camera.orbit = zoomBy(camera.orbit, zoom);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Capturing fails where the pointer is already gone; dragging then just ends sooner. */
export function capture(element: Element, pointerId: number): void {
  try {
    element.setPointerCapture(pointerId);
  } catch {
    return;
  }
}

function spread(pointers: ReadonlyMap<number, { x: number; y: number }>): number {
  const [a, b] = [...pointers.values()];
  return a && b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
}
