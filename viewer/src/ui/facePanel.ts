/** Sliders: of the face with a search, and of the proportions. */

import { applyExpression, EXPRESSIONS } from "../app/presets";
import type { SliderBank, SliderSpec } from "../app/sliders";
import type { Viewer } from "../app/viewer";
import { presetRow, slider, textButton } from "./controls";
import { h } from "./dom";
import { icon } from "./icons";

/** A searchable set of slider groups that open and close. */
export function facePanel(viewer: Viewer): HTMLElement {
  const bank = viewer.sliders;
  const specs = bank.specs.filter(isFace);
  const search = h("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search expressions",
    "data-testid": "search",
    oninput: () => filter(),
  });
  const reset = textButton("Reset face", "reset-face", () => bank.reset(isFace), "reset");
  const groups = groupBy(specs).map(([name, members], i) =>
    sliderGroup(bank, name, members, i === 0 || name === "Brows" || name === "Mouth"),
  );
  const none = h("p", { class: "empty", hidden: true }, "No expression of this name.");
  const filter = (): void => {
    const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const group of groups) found += group.filter(words);
    none.hidden = found > 0;
  };
  return h(
    "div",
    { class: "panel" },
    presetRow("expression", EXPRESSIONS, (preset) =>
      applyExpression(viewer, preset, (id) => specs.some((spec) => spec.id === id)),
    ),
    h("div", { class: "row" }, h("label", { class: "search" }, icon("search"), search), reset),
    ...groups.map((g) => g.element),
    none,
  );
}

export function isFace(spec: SliderSpec): boolean {
  return spec.group !== "Proportions" && spec.group !== "Shape";
}

/** Sliders that follow the bank. */
export function sliderRows(bank: SliderBank, specs: readonly SliderSpec[]): HTMLElement[] {
  const rows = specs.map((spec) => ({ spec, row: slider(spec, (value) => bank.set(spec.id, value)) }));
  bank.subscribe((id) => {
    for (const { spec, row } of rows) if (id === null || id === spec.id) row.set(bank.get(spec.id));
  });
  for (const { spec, row } of rows) row.set(bank.get(spec.id));
  return rows.map(({ row }) => row.element);
}

function sliderGroup(
  bank: SliderBank,
  name: string,
  specs: readonly SliderSpec[],
  open: boolean,
): { element: HTMLElement; filter: (words: readonly string[]) => number } {
  const rows = sliderRows(bank, specs);
  const moved = h("span", { class: "badge" });
  const element = h(
    "details",
    { class: "group", open },
    h("summary", {}, h("h3", {}, name), moved, icon("expand")),
    ...rows,
  );
  const count = (): void => {
    const n = specs.filter((s) => bank.moved().has(s.id)).length;
    moved.textContent = n ? String(n) : "";
  };
  bank.subscribe(count);
  count();
  let wasOpen = open;
  let searching = false;
  const filter = (words: readonly string[]): number => {
    const hits = specs.map((s) => words.every((w) => `${s.label} ${s.id}`.toLowerCase().includes(w)));
    rows.forEach((row, i) => (row.hidden = !hits[i]));
    const found = hits.filter(Boolean).length;
    element.hidden = found === 0;
    if (words.length && !searching) wasOpen = element.open;
    element.open = words.length ? true : searching ? wasOpen : element.open;
    searching = words.length > 0;
    return found;
  };
  return { element, filter };
}

function groupBy(specs: readonly SliderSpec[]): [string, SliderSpec[]][] {
  const groups = new Map<string, SliderSpec[]>();
  for (const spec of specs) groups.set(spec.group, [...(groups.get(spec.group) ?? []), spec]);
  return [...groups];
}
