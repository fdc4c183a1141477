/** Light, dark, or as the system has it; remembered on this device. */

import type { SettingsStore, Theme } from "../app/settings";
import { iconButton, setIcon } from "./controls";
import type { IconName } from "./icons";

const KEY = "pear-avatar-theme";
const NEXT: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };
const LOOKS: Readonly<Record<Theme, readonly [IconName, string]>> = {
  system: ["system", "Theme: as the system (T)"],
  light: ["sun", "Theme: light (T)"],
  dark: ["moon", "Theme: dark (T)"],
};

export function followTheme(settings: SettingsStore): void {
  const stored = remembered();
  if (stored === "light" || stored === "dark") settings.set({ theme: stored });
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = (): void => {
    const { theme } = settings.get();
    document.documentElement.dataset["theme"] =
      theme === "system" ? (system.matches ? "dark" : "light") : theme;
  };
  system.addEventListener("change", apply);
  settings.watch(({ theme }, before) => {
    apply();
    if (theme !== before.theme) remember(theme);
  });
}

export function nextTheme(settings: SettingsStore): void {
  settings.set({ theme: NEXT[settings.get().theme] });
}

export function themeButton(settings: SettingsStore): HTMLButtonElement {
  const button = iconButton("system", "Theme", "theme", () => nextTheme(settings));
  settings.watch(({ theme }) => setIcon(button, ...LOOKS[theme]));
  return button;
}

// Storage may be denied, as for a file opened from disk: then nothing is remembered.

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    return;
  }
}
