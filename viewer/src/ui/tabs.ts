/** The inspector: tabs beside the stage, a sheet under it on a phone. */

import { h } from "./dom";
import { icon, type IconName } from "./icons";

export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly icon: IconName;
  readonly content: HTMLElement;
  /** Called when the tab is chosen by hand. */
  readonly onOpen?: () => void;
  /** Called when another tab is chosen by hand. */
  readonly onLeave?: () => void;
}

/** On a phone the sheet can be shut: a second press on the open tab does that. */
export function tabs(list: readonly Tab[]): HTMLElement {
  const buttons = list.map((tab) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${tab.id}`,
        "aria-controls": `panel-${tab.id}`,
        "data-testid": `tab:${tab.id}`,
        onclick: () => {
          const last = open;
          choose(tab.id, true);
          if (last === tab.id) return;
          list.find(({ id }) => id === last)?.onLeave?.();
          tab.onOpen?.();
        },
      },
      icon(tab.icon),
      h("span", {}, tab.label),
    ),
  );
  const panels = list.map((tab) =>
    h(
      "div",
      {
        role: "tabpanel",
        id: `panel-${tab.id}`,
        "aria-labelledby": `tab-${tab.id}`,
        "data-testid": `panel:${tab.id}`,
      },
      tab.content,
    ),
  );
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": "Inspector" }, ...buttons);
  const element = h(
    "aside",
    { class: "inspector", "data-testid": "inspector" },
    bar,
    h("div", { class: "panels" }, ...panels),
  );
  let open = "";
  const choose = (id: string, byHand: boolean): void => {
    const shut = byHand && id === open && !element.classList.contains("shut");
    element.classList.toggle("shut", shut);
    open = id;
    list.forEach((tab, i) => {
      const chosen = tab.id === id;
      buttons[i].setAttribute("aria-selected", String(chosen));
      buttons[i].tabIndex = chosen ? 0 : -1;
      panels[i].hidden = !chosen;
    });
  };
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (list.findIndex((tab) => tab.id === open) + step + list.length) % list.length;
    choose(list[next].id, false);
    buttons[next].focus();
  });
  choose(list[0].id, false);
  element.classList.add("shut"); // only a phone shuts it; see the styles
  return element;
}
