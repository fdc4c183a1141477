// The pictures of docs/viewer.md: desktop and phone, light and dark.
//
//   node e2e/screenshots.mjs URL FOLDER     URL of a running `pear-avatar view AVATAR`
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch, open, ready } from "./browser.mjs";

const [url, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const click = (page, id) => page.locator(`[data-testid="${id}"]`).first().evaluate((element) => element.click());
const call = (page, name, ...args) => page.evaluate(([n, a]) => window.__pear[n](...a), [name, args]);
const shot = async (page, name) => {
  await page.waitForTimeout(600);
  await page.screenshot({ path: join(folder, `${name}.png`) });
};

const desktop = await launch({ width: 1280, height: 800 });
const { page } = await open(desktop.context, url);
await ready(page);
await click(page, "motion:2");
await call(page, "seek", 62);
await shot(page, "viewer_light");
await page.emulateMedia({ colorScheme: "dark" });
await click(page, "motion:0");
await click(page, "compare:side");
await call(page, "seek", 20);
await click(page, "tab:face");
await shot(page, "viewer_side_by_side_dark");
await click(page, "compare:off");
await click(page, "reset");
await page.emulateMedia({ colorScheme: "light" });
await click(page, "motion:1");
await call(page, "seek", 40);
await click(page, "tab:body");
await click(page, "posing");
await page.locator('[data-testid="joint"]').selectOption({ label: "Left elbow" }).catch(() => undefined);
await shot(page, "viewer_posing_light");
await desktop.close();

const phone = await launch({ width: 390, height: 780, phone: true, dark: true });
const small = (await open(phone.context, url)).page;
await ready(small);
await click(small, "motion:2");
await call(small, "seek", 62);
await shot(small, "viewer_phone_dark");
await small.emulateMedia({ colorScheme: "light" });
await click(small, "tab:face");
await small.waitForTimeout(500);
await click(small, "home");
await shot(small, "viewer_phone_light");
await phone.close();
