/** The list of motions, and where more can be opened. */

import type { Viewer } from "../app/viewer";
import { section } from "./controls";
import { clock, h } from "./dom";
import { icon } from "./icons";

/** Endings of files that the page reads itself, without the server. */
export const OWN_ENDINGS: readonly string[] = [".pmo", ".safetensors"];

export function motionPanel(viewer: Viewer, open: (files: Iterable<File>) => void): HTMLElement {
  const { player } = viewer;
  const list = h("div", {
    class: "motions",
    role: "radiogroup",
    "aria-label": "Motions",
    "data-testid": "motions",
  });
  const convertible = viewer.session.convert !== null;
  const endings = [...(convertible ? viewer.session.convert_endings : []), ...OWN_ENDINGS];
  const file = h("input", {
    type: "file",
    multiple: true,
    accept: endings.join(","),
    class: "visually-hidden",
    "data-testid": "open-file",
    onchange: () => {
      open([...(file.files ?? [])]);
      file.value = "";
    },
  });
  const drop = h(
    "label",
    { class: "dropzone" },
    file,
    icon("upload"),
    h("span", {}, "Open or drop a motion"),
    h("small", {}, convertible ? endings.join(" ") : "pear-avatar motions (.pmo)"),
  );

  const choose = (index: number): void => {
    const playing = player.playing || index >= 0;
    player.select(index);
    if (playing) player.play();
  };
  const rows: HTMLInputElement[] = [];
  const build = (): void => {
    rows.length = 0;
    list.replaceChildren();
    const entries = [
      ...player.motions.map((m, i) => ({
        index: i,
        name: m.name,
        note: `${clock(m.frames / m.fps)} · ${Math.round(m.fps)} fps`,
      })),
      { index: -1, name: "Rest pose", note: "No motion" },
    ];
    for (const { index, name, note } of entries) {
      const input = h("input", {
        type: "radio",
        name: "motion",
        "data-testid": `motion:${index}`,
        onchange: () => choose(index),
      });
      input.value = String(index);
      rows.push(input);
      list.append(
        h("label", { class: "motion" }, input, h("span", { class: "name" }, name), h("small", {}, note)),
      );
    }
  };
  let count = -1;
  const show = (): void => {
    if (player.motions.length !== count) {
      count = player.motions.length;
      build();
    }
    for (const row of rows) row.checked = Number(row.value) === player.index;
  };
  player.subscribe(show);
  show();
  return h("div", { class: "panel" }, section("Motions", list), drop, about(viewer));
}

function about(viewer: Viewer): HTMLElement {
  const { meta, splats, rig } = viewer.avatar;
  const facts: [string, string][] = [
    ["Splats", splats.count.toLocaleString("en")],
    ["Vertices", (rig.vertices.length / 3).toLocaleString("en")],
    ...Object.entries(meta.info).map(([k, v]): [string, string] => [title(k), v]),
  ];
  return section(
    "About",
    h("dl", { class: "facts" }, ...facts.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])),
  );
}

function title(key: string): string {
  const words = key.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
