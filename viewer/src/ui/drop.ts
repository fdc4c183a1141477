/** Files dropped anywhere on the page. */

import { h } from "./dom";
import { icon } from "./icons";

export function fileDrop(open: (files: Iterable<File>) => void): () => void {
  const veil = h(
    "div",
    { class: "veil", hidden: true, "data-testid": "drop" },
    icon("upload"),
    h("p", {}, "Drop a motion to play it"),
  );
  document.body.append(veil);
  let depth = 0;
  const show = (by: number): void => {
    depth = Math.max(0, depth + by);
    veil.hidden = depth === 0;
  };
  const listeners: Record<string, (event: DragEvent) => void> = {
    dragenter: (event) => {
      if (hasFiles(event)) show(1);
    },
    dragleave: (event) => {
      if (hasFiles(event)) show(-1);
    },
    dragover: (event) => event.preventDefault(),
    drop: (event) => {
      event.preventDefault();
      show(-depth);
      open([...(event.dataTransfer?.files ?? [])]);
    },
  };
  for (const [name, listener] of Object.entries(listeners))
    document.addEventListener(name, listener as EventListener);
  return () => {
    for (const [name, listener] of Object.entries(listeners))
      document.removeEventListener(name, listener as EventListener);
    veil.remove();
  };
}

function hasFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes("Files") ?? false;
}
