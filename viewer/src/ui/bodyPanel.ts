/** Posing by hand, and the body's proportions. */

import { applyPose, POSES } from "../app/presets";
import type { Viewer } from "../app/viewer";
import { iconButton, presetRow, section, textButton, toggle } from "./controls";
import { h } from "./dom";
import { isFace, sliderRows } from "./facePanel";
import type { PoseTool } from "./poseTool";
import type { Axis } from "./skeleton";

const NUDGE = Math.PI / 36;
const AXES: readonly (readonly [string, Axis])[] = [
  ["X", 0],
  ["Y", 1],
  ["Z", 2],
];

export function bodyPanel(viewer: Viewer, tool: PoseTool): HTMLElement {
  const { settings, edits, sliders, history } = viewer;
  const posing = toggle("Drag joints", "posing", (on) => settings.set({ posing: on }));
  settings.watch((s) => posing.set(s.posing));
  const undo = iconButton("undo", "Undo", "undo", () => history.undo(), "Ctrl Z");
  const redo = iconButton("redo", "Redo", "redo", () => history.redo(), "Ctrl Shift Z");
  const reset = textButton("Reset pose", "reset-pose", () => edits.reset(), "reset");
  const show = (): void => {
    undo.disabled = !history.canUndo;
    redo.disabled = !history.canRedo;
    reset.disabled = !edits.edited;
  };
  edits.subscribe(show);
  history.subscribe(show);
  show();
  const proportions = sliders.specs.filter((s) => !isFace(s));
  return h(
    "div",
    { class: "panel" },
    section(
      "Pose",
      posing.element,
      h(
        "p",
        { class: "hint" },
        "Drag a joint and its bone follows; drag a coloured ring to turn it. The pelvis carries the whole body.",
      ),
      jointPicker(viewer, tool),
      h("div", { class: "row" }, undo, redo, reset),
    ),
    section(
      "Poses",
      presetRow("pose", POSES, (preset) => applyPose(viewer, preset)),
    ),
    section(
      "Proportions",
      ...sliderRows(sliders, proportions),
      h(
        "div",
        { class: "row" },
        textButton("Reset proportions", "reset-body", () => sliders.reset((s) => !isFace(s)), "reset"),
      ),
    ),
  );
}

/** Choose and turn a joint without a pointer. */
function jointPicker(viewer: Viewer, tool: PoseTool): HTMLElement {
  const names = viewer.avatar.meta.joint_names;
  const select = h(
    "select",
    {
      "aria-label": "Joint",
      "data-testid": "joint",
      onchange: () => {
        viewer.settings.set({ posing: true });
        tool.select(Number(select.value));
      },
    },
    h("option", { value: -1 }, "Choose a joint"),
    ...names.map((name, j) => h("option", { value: j }, readable(name))),
  );
  const buttons = AXES.flatMap(([name, axis]) =>
    [-1, 1].map((sign) => {
      const label = `Turn about ${name} by ${sign * 5}°`;
      return h(
        "button",
        {
          type: "button",
          class: `nudge axis-${name.toLowerCase()}`,
          "aria-label": label,
          title: label,
          "data-testid": `nudge:${name}${sign}`,
          onclick: () => tool.nudge(axis, sign * NUDGE),
        },
        `${name}${sign > 0 ? "+" : "−"}`,
      );
    }),
  );
  const clear = h(
    "button",
    {
      type: "button",
      class: "nudge",
      title: "This joint as the motion has it",
      "data-testid": "clear-joint",
      onclick: () => viewer.edits.clearJoint(tool.selected),
    },
    "0",
  );
  const row = h("div", { class: "nudges", role: "group", "aria-label": "Turn the joint" }, ...buttons, clear);
  const show = (joint: number): void => {
    select.value = String(joint);
    for (const button of row.querySelectorAll("button")) button.disabled = joint < 0;
  };
  tool.onSelect(show);
  show(-1);
  return h("div", { class: "picker" }, select, row);
}

function readable(name: string): string {
  const text = name.replaceAll("_", " ").replace(/(\D)(\d)$/, "$1 $2");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
