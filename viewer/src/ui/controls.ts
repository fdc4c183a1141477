/** Buttons, switches, choices and sliders, each labelled and reachable by keyboard. */

import { freshId, h } from "./dom";
import { icon, type IconName } from "./icons";

export function iconButton(
  name: IconName,
  label: string,
  testId: string,
  onclick: () => void,
  key?: string,
): HTMLButtonElement {
  return h(
    "button",
    {
      type: "button",
      class: "icon-button",
      "aria-label": label,
      title: key ? `${label} (${key})` : label,
      "data-testid": testId,
      onclick,
    },
    icon(name),
  );
}

export function setIcon(button: HTMLButtonElement, name: IconName, label: string): void {
  if (button.dataset["icon"] === name) return;
  button.dataset["icon"] = name;
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
}

export interface Option<T extends string> {
  readonly value: T;
  readonly label: string;
  readonly icon?: IconName;
}

/** One of a few, as a row of buttons (a radio group). */
export function segmented<T extends string>(
  label: string,
  testId: string,
  options: readonly Option<T>[],
  onchange: (value: T) => void,
): { element: HTMLElement; set: (value: T) => void; enable: (on: boolean) => void } {
  const name = freshId("choice");
  const inputs = new Map<T, HTMLInputElement>();
  const group = h("div", {
    class: "segmented",
    role: "radiogroup",
    "aria-label": label,
    "data-testid": testId,
  });
  for (const option of options) {
    const input = h("input", {
      type: "radio",
      name,
      value: option.value,
      "data-testid": `${testId}:${option.value}`,
      onchange: () => onchange(option.value),
    });
    inputs.set(option.value, input);
    group.append(
      h(
        "label",
        { title: option.label },
        input,
        h(
          "span",
          {},
          option.icon ? icon(option.icon) : null,
          option.icon ? h("span", { class: "text" }, option.label) : option.label,
        ),
      ),
    );
  }
  return {
    element: group,
    set: (value) => inputs.forEach((input, key) => (input.checked = key === value)),
    enable: (on) => {
      group.classList.toggle("disabled", !on);
      inputs.forEach((input) => (input.disabled = !on));
    },
  };
}

export function toggle(
  label: string,
  testId: string,
  onchange: (on: boolean) => void,
): { element: HTMLElement; set: (on: boolean) => void } {
  const input = h("input", {
    type: "checkbox",
    role: "switch",
    "data-testid": testId,
    onchange: () => onchange(input.checked),
  });
  return {
    element: h("label", { class: "toggle" }, h("span", {}, label), input, h("i", {})),
    set: (on) => (input.checked = on),
  };
}

export interface SliderProps {
  readonly id: string;
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly rest: number;
}

/** A labelled slider; double click, or Delete, puts it back to rest. */
export function slider(
  props: SliderProps,
  oninput: (value: number) => void,
): { element: HTMLElement; set: (value: number) => void } {
  const id = freshId("slider");
  const output = h("output", { for: id });
  const input = h("input", {
    type: "range",
    id,
    min: props.min,
    max: props.max,
    step: (props.max - props.min) / 200,
    "data-testid": `slider:${props.id}`,
    oninput: () => oninput(Number(input.value)),
    ondblclick: () => oninput(props.rest),
    onkeydown: (event: KeyboardEvent) => {
      if (event.key === "Delete" || event.key === "Backspace") oninput(props.rest);
    },
  });
  const element = h("div", { class: "slider" }, h("label", { for: id }, props.label), output, input);
  const set = (value: number): void => {
    input.value = String(value);
    output.textContent = value.toFixed(2);
    element.classList.toggle("moved", value !== props.rest);
    const span = props.max - props.min;
    const [from, to] = [props.rest, value].map((v) => ((v - props.min) / span) * 100).sort((a, b) => a - b);
    input.style.setProperty("--from", `${from}%`);
    input.style.setProperty("--to", `${to}%`);
  };
  set(props.rest);
  return { element, set };
}

export function section(title: string, ...children: (Node | null)[]): HTMLElement {
  return h("section", { class: "group" }, h("h3", {}, title), ...children);
}

/** Small buttons, one for each preset. */
export function presetRow<T extends { readonly name: string }>(
  testId: string,
  presets: readonly T[],
  apply: (preset: T) => void,
): HTMLElement {
  const buttons = presets.map((preset) =>
    h(
      "button",
      {
        type: "button",
        class: "nudge",
        "data-testid": `${testId}:${preset.name}`,
        onclick: () => apply(preset),
      },
      preset.name,
    ),
  );
  return h("div", { class: "presets", role: "group", "aria-label": `Presets of ${testId}` }, ...buttons);
}

export function textButton(
  label: string,
  testId: string,
  onclick: () => void,
  name?: IconName,
): HTMLButtonElement {
  return h(
    "button",
    { type: "button", class: "text-button", "data-testid": testId, onclick },
    name ? icon(name) : null,
    label,
  );
}
