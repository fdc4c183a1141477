/** Short messages that come and go, and the page that is shown when nothing else can be. */

import { h } from "./dom";
import { mark } from "./icons";

const SECONDS = 5;
let region: HTMLElement | null = null;

export function toast(text: string, kind: "info" | "error" = "info"): void {
  if (!region?.isConnected) {
    region = h("div", { class: "toasts", role: "status", "aria-live": "polite", "data-testid": "toasts" });
    document.body.append(region);
  }
  const item = h("div", { class: `toast ${kind}`, "data-testid": `toast-${kind}` }, text);
  region.append(item);
  setTimeout(() => item.remove(), (kind === "error" ? 2 : 1) * SECONDS * 1000);
}

/** A whole page that says what is wrong and what to do. */
export function messagePage(
  title: string,
  text: string,
  action?: { label: string; run: () => void },
): HTMLElement {
  return h(
    "main",
    { class: "message", role: "alert", "data-testid": "message" },
    mark(),
    h("h1", {}, title),
    h("p", {}, text),
    action ? h("button", { type: "button", class: "primary", onclick: action.run }, action.label) : null,
  );
}

export function loadingPage(name: string): { element: HTMLElement; progress: (share: number) => void } {
  const bar = h("progress", { max: 1, "aria-label": `Loading ${name}` });
  const element = h(
    "main",
    { class: "message", "data-testid": "loading" },
    mark(),
    h("p", {}, `Loading ${name}`),
    bar,
  );
  return { element, progress: (share) => (bar.value = share) };
}
