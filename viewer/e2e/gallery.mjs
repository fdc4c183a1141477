// A folder of avatars: cards with pictures, one opened and left again.
//
//   node e2e/gallery.mjs CONFIG.json       CONFIG: {url, names: [..], out}; writes OUT/gallery.json
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launch, open, ready } from "./browser.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
mkdirSync(config.out, { recursive: true });
const { context, close } = await launch();
const result = { ok: false, detail: null };
const { page, problems } = await open(context, config.url);
try {
  const cards = page.locator('[data-testid^="avatar:"]');
  await cards.first().waitFor({ timeout: 30000 });
  assert.equal(await cards.count(), config.names.length);
  const text = await page.locator('[data-testid="gallery"]').innerText();
  for (const name of config.names) assert(text.includes(name), `${name} is not in: ${text}`);
  await page.waitForFunction(() => [...document.querySelectorAll('[data-testid="gallery"] img')].every((i) => i.complete && i.naturalWidth > 100), null, { timeout: 30000 });
  assert.equal(await page.locator('[data-testid="gallery"] img').count(), config.names.length);
  await page.screenshot({ path: join(config.out, "shot_gallery_light.png") });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(200);
  await page.screenshot({ path: join(config.out, "shot_gallery_dark.png") });
  await cards.nth(1).click();
  await ready(page);
  assert((await page.evaluate(() => window.__pear.foreground())) > 500, "nobody is shown");
  await page.locator('[data-testid="back"]').click();
  await cards.first().waitFor({ timeout: 20000 });
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await ready(page);
  assert.deepEqual(problems, []);
  result.ok = true;
} catch (error) {
  result.detail = String(error?.message ?? error);
  await page.screenshot({ path: join(config.out, "failed_gallery.png") });
  result.problems = problems;
} finally {
  await close();
}
writeFileSync(join(config.out, "gallery.json"), JSON.stringify(result));
console.log(JSON.stringify(result));
process.exit(result.ok ? 0 : 1);
