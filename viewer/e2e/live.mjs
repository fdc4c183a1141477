// A fake webcam drives the avatar; what was seen is written as JSON.
//
//   node e2e/live.mjs CONFIG.json       CONFIG: {url, clip, seconds, samples, out}; writes OUT/live.json
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fakeCamera, launch, open, ready, SOFTWARE_GL } from "./browser.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
mkdirSync(config.out, { recursive: true });
const { context, close } = await launch({ gl: [...SOFTWARE_GL, ...fakeCamera(config.clip), "--enable-precise-memory-info"] });
const result = { ok: false, detail: null, found: [], heap: [] };
const { page, problems, requests } = await open(context, config.url);
page.on("worker", (worker) => worker.on("console", (message) => problems.push(`worker: ${message.text()}`)));

/** Milliseconds between turns of the page's event loop. */
const watchGaps = () => {
  window.gaps = [];
  let last = performance.now();
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    const now = performance.now();
    window.gaps.push(now - last);
    last = now;
    setTimeout(() => channel.port2.postMessage(0), 4);
  };
  channel.port2.postMessage(0);
};

try {
  await ready(page);
  await page.evaluate(() => window.__pear.seek(0));
  assert(!requests.some((url) => /live\/|detector/.test(url)), "the detector was loaded before the camera");
  await page.locator('[data-testid="tab:camera"]').click();
  await page.locator('[data-testid="camera-start"]').click();
  const status = page.locator('[data-testid="camera-status"]');
  await page.waitForFunction(() => !window.__pear.live() || window.__pear.live().seen, null, { timeout: 180000 });
  assert(await page.evaluate(() => window.__pear.live()), await status.textContent());
  await page.evaluate(watchGaps);
  const end = Date.now() + config.seconds * 1000;
  while (Date.now() < end) {
    if (result.found.length < config.samples) result.found.push(await page.evaluate(() => window.__pear.observe()));
    else await page.waitForTimeout(500);
    result.heap.push(await page.evaluate(() => performance.memory.usedJSHeapSize));
  }
  result.stats = await page.evaluate(() => window.__pear.live());
  const gaps = (await page.evaluate(() => window.gaps)).sort((a, b) => a - b);
  result.gaps = Object.fromEntries([0.5, 0.95, 0.99].map((q) => [q, gaps[Math.floor(q * gaps.length)]]));
  assert.match(await status.textContent(), /poses a second/);
  await page.screenshot({ path: join(config.out, "live.png") });
  await page.locator('[data-testid="camera-start"]').click();
  assert.equal(await page.evaluate(() => window.__pear.live()), null);
  const foreign = requests.filter((url) => !url.startsWith("blob:") && new URL(url).host !== new URL(config.url).host);
  assert.deepEqual(foreign, [], "other hosts were asked");
  assert.deepEqual(problems, []);
  result.ok = true;
} catch (error) {
  result.detail = String(error?.message ?? error);
  await page.screenshot({ path: join(config.out, "failed_live.png") });
} finally {
  result.problems = problems;
  result.requests = requests;
  await close();
}
writeFileSync(join(config.out, "live.json"), JSON.stringify(result));
console.log(JSON.stringify({ ok: result.ok, detail: result.detail, stats: result.stats, gaps: result.gaps }));
process.exit(result.ok ? 0 : 1);
