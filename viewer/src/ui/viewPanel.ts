/** Layers, background, camera and comparison. */

import { BACKGROUNDS, solidBackground, type CameraMode, type Compare } from "../app/settings";
import type { Viewer } from "../app/viewer";
import type { MeshStyle, SplatStyle } from "../gl/stage";
import { section, segmented, textButton, toggle, type Option } from "./controls";
import { h } from "./dom";

export const COMPARE_OPTIONS: readonly Option<Compare>[] = [
  { value: "off", label: "Avatar", icon: "single" },
  { value: "side", label: "Side by side", icon: "side" },
  { value: "wipe", label: "Wipe", icon: "wipe" },
];
const MESH: readonly Option<MeshStyle>[] = [
  { value: "off", label: "Off" },
  { value: "wire", label: "Wire" },
  { value: "shaded", label: "Clay" },
];
const SPLATS: readonly Option<SplatStyle>[] = [
  { value: "normal", label: "Normal" },
  { value: "flat", label: "Flat colours" },
  { value: "hidden", label: "Hidden" },
];
const CAMERAS: readonly Option<CameraMode>[] = [
  { value: "orbit", label: "Free" },
  { value: "clip", label: "As filmed" },
];

export function viewPanel(viewer: Viewer): HTMLElement {
  const { settings } = viewer;
  const splats = segmented("Splats", "splats", SPLATS, (value) => settings.set({ splats: value }));
  const mesh = segmented("Mesh", "mesh", MESH, (value) => settings.set({ mesh: value }));
  const skeleton = toggle("Skeleton", "skeleton", (on) => settings.set({ skeleton: on }));
  const floor = toggle("Floor", "floor", (on) => settings.set({ floor: on }));
  const camera = segmented("Camera", "camera", CAMERAS, (value) => settings.set({ camera: value }));
  const compare = compareControl(viewer, "compare-panel");
  settings.watch((s) => {
    splats.set(s.splats);
    mesh.set(s.mesh);
    skeleton.set(s.skeleton);
    floor.set(s.floor);
    camera.set(s.camera);
  });
  const enable = (): void => camera.enable(Boolean(viewer.player.motion?.camera));
  viewer.player.subscribe(enable);
  enable();
  const parts = [
    section(
      "Splats",
      splats.element,
      h("p", { class: "hint" }, "Flat colours shows each splat's own colour, opaque and unblended."),
    ),
    section("Mesh", mesh.element),
    section("On the stage", skeleton.element, floor.element),
    section("Background", backgrounds(viewer)),
    section(
      "Camera",
      camera.element,
      h(
        "div",
        { class: "row" },
        textButton("Frame the person", "home", () => void viewer.goHome(), "home"),
      ),
    ),
  ];
  if (viewer.entry.video) parts.splice(4, 0, section("Compare with the video", compare));
  return h("div", { class: "panel" }, ...parts);
}

export function compareControl(viewer: Viewer, testId: string): HTMLElement {
  const control = segmented("Compare with the input video", testId, COMPARE_OPTIONS, (compare) =>
    viewer.settings.set(compare === "off" ? { compare } : { compare, camera: "clip" }),
  );
  viewer.settings.watch((s) => control.set(s.compare));
  const enable = (): void => control.enable(viewer.canCompare);
  viewer.player.subscribe(enable);
  enable();
  return control.element;
}

function backgrounds(viewer: Viewer): HTMLElement {
  const { settings } = viewer;
  const inputs = new Map<string, HTMLInputElement>();
  const own = h("input", {
    type: "color",
    value: "#7a8f66",
    "aria-label": "Own colour",
    "data-testid": "background-color",
    oninput: () => settings.set({ background: own.value }),
  });
  const row = h("div", { class: "swatches", role: "radiogroup", "aria-label": "Background" });
  for (const name of Object.keys(BACKGROUNDS)) {
    const input = h("input", {
      type: "radio",
      name: "background",
      "aria-label": name,
      "data-testid": `background:${name}`,
      onchange: () => settings.set({ background: name }),
    });
    inputs.set(name, input);
    row.append(
      h(
        "label",
        { class: `swatch ${name}`, title: name.charAt(0).toUpperCase() + name.slice(1) },
        input,
        h("span", {}),
      ),
    );
  }
  const label = h("label", { class: "swatch own", title: "Own colour" }, own, h("span", {}));
  row.append(label);
  settings.watch(({ background }) => {
    inputs.forEach((input, name) => (input.checked = name === background));
    const custom = !inputs.has(background) && solidBackground(background) !== null;
    label.classList.toggle("chosen", custom);
    if (custom) own.value = background;
  });
  return row;
}
