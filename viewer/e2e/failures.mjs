// What the page says when something is missing or broken: always a message, never a hang.
//
//   node e2e/failures.mjs CONFIG.json       CONFIG: {url, kind, out}
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launch, NO_GL, open } from "./browser.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
mkdirSync(config.out, { recursive: true });
const report = [];

async function step(name, check) {
  const start = performance.now();
  try {
    report.push({ name, ok: true, detail: (await check()) ?? null, ms: Math.round(performance.now() - start) });
  } catch (error) {
    report.push({ name, ok: false, detail: String(error?.message ?? error), ms: Math.round(performance.now() - start) });
  }
}

async function messageOn(page) {
  const message = page.locator('[data-testid="message"]');
  await message.waitFor({ state: "visible", timeout: 15000 });
  return (await message.innerText()).replace(/\s+/g, " ");
}

const without = await launch({ gl: NO_GL });
await step("WebGL2 missing", async () => {
  const { page } = await open(without.context, config.url);
  const text = await messageOn(page);
  assert.match(text, /WebGL2/);
  await page.screenshot({ path: join(config.out, "shot_no_webgl2.png") });
  return text;
});
await without.close();

/** Headers that claim what is not there; each must end in a message. */
function damaged(good) {
  const header = Number(good.readBigUInt64LE(0));
  const withHeader = (text) => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return Buffer.concat([length, bytes, good.subarray(8 + header)]);
  };
  const parsed = JSON.parse(good.subarray(8, 8 + header).toString());
  const changed = (change) => {
    const copy = structuredClone(parsed);
    change(copy);
    return withHeader(JSON.stringify(copy));
  };
  const length = (value) => {
    const copy = Buffer.from(good);
    copy.writeBigUInt64LE(value, 0);
    return copy;
  };
  return {
    "empty file": Buffer.alloc(0),
    "seven bytes": good.subarray(0, 7),
    "cut in the header": good.subarray(0, 100),
    "cut in the tensors": good.subarray(0, good.length - 1000),
    "header of 2^63 bytes": length(1n << 63n),
    "header longer than the file": length(BigInt(good.length)),
    "header is no JSON": withHeader("{".repeat(1000)),
    "header is a list": withHeader("[]"),
    "header nested deeply": withHeader("[".repeat(100000)),
    "no tensors": withHeader('{"__metadata__":{"meta":"{}"}}'),
    "negative offsets": changed((h) => (h["splat.rgba"].data_offsets = [-8, 4])),
    "offsets beyond the end": changed((h) => (h["splat.rgba"].data_offsets = [0, 1e15])),
    "offsets the wrong way": changed((h) => h["splat.rgba"].data_offsets.reverse()),
    "a huge shape": changed((h) => (h["splat.rgba"].shape = [2 ** 40, 4])),
    "a shape of text": changed((h) => (h["splat.rgba"].shape = ["a", "b"])),
    "an unknown type": changed((h) => (h["splat.rgba"].dtype = "F128")),
    "a missing tensor": changed((h) => delete h["template.faces"]),
    "another format": changed((h) => (h.__metadata__.meta = h.__metadata__.meta.replace("pear-avatar-view", "other"))),
    "a newer version": changed((h) => (h.__metadata__.meta = h.__metadata__.meta.replace('"version": 1', '"version": 99'))),
    "meta is no JSON": changed((h) => (h.__metadata__.meta = "{")),
    "faces beyond the vertices": (() => {
      const copy = Buffer.from(good);
      const [start, end] = parsed["template.faces"].data_offsets;
      copy.fill(0xff, 8 + header + start, 8 + header + end);
      return copy;
    })(),
    "splats beyond the faces": (() => {
      const copy = Buffer.from(good);
      const [start, end] = parsed["splat.face"].data_offsets;
      copy.fill(0xff, 8 + header + start, 8 + header + end);
      return copy;
    })(),
    "not a number": (() => {
      const copy = Buffer.from(good);
      const [start, end] = parsed["template.vertices"].data_offsets;
      copy.fill(0xff, 8 + header + start, 8 + header + end);
      return copy;
    })(),
  };
}

if (config.kind === "server") {
  const browser = await launch();
  const base = config.url;
  const session = await (await fetch(new URL("api/session", base))).json();
  const good = Buffer.from(await (await fetch(new URL(session.avatars[0].payload, base))).arrayBuffer());
  for (const [name, body] of Object.entries(damaged(good)))
    await step(`payload: ${name}`, async () => {
      const page = await browser.context.newPage();
      try {
        await page.route("**/payload", (route) => route.fulfill({ body, contentType: "application/octet-stream" }));
        await page.goto(base);
        return await messageOn(page);
      } finally {
        await page.close();
      }
    });
  await step("the server is gone", async () => {
    const page = await browser.context.newPage();
    await page.route("**/api/**", (route) => route.abort());
    await page.goto(base);
    return messageOn(page);
  });
  await step("a refused session", async () => {
    const page = await browser.context.newPage();
    await page.route("**/api/session", (route) => route.fulfill({ status: 403, body: '{"error":"wrong or missing token"}' }));
    await page.goto(base);
    const text = await messageOn(page);
    assert.match(text, /token/);
    return text;
  });
  await browser.close();
}

writeFileSync(join(config.out, "failures.json"), JSON.stringify(report, null, 1));
for (const { name, ok, ms, detail } of report) console.log(`${ok ? "ok  " : "FAIL"} ${String(ms).padStart(6)} ms  ${name}  ${JSON.stringify(detail)}`);
process.exit(report.every((r) => r.ok) ? 0 : 1);
