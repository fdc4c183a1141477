/** Play, scrub, speed, loop, and which motion. */

import type { Viewer } from "../app/viewer";
import type { Loop } from "../app/settings";
import { iconButton, setIcon } from "./controls";
import { clock, h } from "./dom";
import type { IconName } from "./icons";

const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2];
const LOOPS: Readonly<Record<Loop, readonly [IconName, string]>> = {
  one: ["loopOne", "Repeat this motion"],
  all: ["loopAll", "Play all motions in turn"],
  none: ["loopNone", "Stop at the end"],
};
const NEXT_LOOP: Readonly<Record<Loop, Loop>> = { one: "all", all: "none", none: "one" };

export function timeline(viewer: Viewer): HTMLElement {
  const { player, settings } = viewer;
  const play = iconButton("play", "Play", "play", () => (player.playing ? player.pause() : player.play()));
  const step = (by: number): void => {
    player.pause();
    player.seek(player.frame + by);
  };
  const back = iconButton("previous", "Previous frame", "step-back", () => step(-1), "←");
  const forth = iconButton("next", "Next frame", "step-forward", () => step(1), "→");
  const scrub = h("input", {
    type: "range",
    class: "scrub",
    min: 0,
    value: 0,
    step: 1,
    "aria-label": "Time",
    "data-testid": "scrub",
    oninput: () => player.seek(Number(scrub.value)),
  });
  const seconds = h("span", {}),
    count = h("span", { class: "count" });
  const time = h("span", { class: "time", "data-testid": "time" }, seconds, count);
  const speed = h(
    "select",
    {
      "aria-label": "Speed",
      "data-testid": "speed",
      onchange: () => settings.set({ speed: Number(speed.value) }),
    },
    ...SPEEDS.map((s) => h("option", { value: s }, `${s}×`)),
  );
  const loop = iconButton(
    "loopOne",
    "Repeat this motion",
    "loop",
    () => settings.set({ loop: NEXT_LOOP[settings.get().loop] }),
    "L",
  );
  const element = h(
    "footer",
    { class: "timeline", "aria-label": "Playback", "data-testid": "timeline" },
    h("div", { class: "transport" }, back, play, forth),
    scrub,
    time,
    h("div", { class: "extras" }, speed, loop),
  );

  const show = (): void => {
    const motion = player.motion;
    const frames = motion?.frames ?? 1;
    element.classList.toggle("resting", !motion);
    for (const control of [play, back, forth, scrub]) control.disabled = !motion || frames < 2;
    setIcon(play, player.playing ? "pause" : "play", player.playing ? "Pause (Space)" : "Play (Space)");
    scrub.max = String(Math.max(frames - 1, 1));
    scrub.value = String(player.frame);
    scrub.style.setProperty("--to", `${(player.position / Math.max(frames - 1, 1)) * 100}%`);
    scrub.setAttribute("aria-valuetext", `Frame ${player.frame + 1} of ${frames}`);
    seconds.textContent = motion ? `${clock(player.time)} / ${clock(motion.duration)}` : "At rest";
    count.textContent = motion ? ` · ${player.frame + 1}/${frames}` : "";
  };
  player.subscribe(show);
  settings.watch(({ speed: chosen, loop: mode }) => {
    if (!SPEEDS.includes(chosen)) speed.append(h("option", { value: chosen }, `${chosen}×`));
    speed.value = String(chosen);
    setIcon(loop, ...LOOPS[mode]);
  });
  show();
  return element;
}
