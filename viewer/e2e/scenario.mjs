// One visit to the viewer, by mouse and keyboard, with everything it does checked on the way.
//
//   node e2e/scenario.mjs CONFIG.json
//
// CONFIG: {url, kind: "server"|"export", drop: [paths], refuse: [paths], poses: [{rotations,
// transl, expression, camera}], motion: {frames, video: boolean}, videoStep: s, out: folder}.
// Writes OUT/report.json, a list of {name, ok, ms, detail}, and the pictures and files that the
// caller compares: vertices_I.f32, render_I.rgba, screenshot.png, recording.mp4, shot_*.png.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { launch, open, ready, savePoses } from "./browser.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
mkdirSync(config.out, { recursive: true });
const report = [];
const desktop = await launch();
const { page, problems, requests } = await open(desktop.context, config.url);

const byId = (id) => page.locator(`[data-testid="${id}"]`).first();
const hook = (name, ...args) => page.evaluate(([n, a]) => window.__pear[n](...a), [name, args]);
const hash = () => hook("hash");
const wait = (ms) => page.waitForTimeout(ms);

async function step(name, check) {
  const start = performance.now();
  try {
    const detail = await check();
    report.push({ name, ok: true, ms: Math.round(performance.now() - start), detail: detail ?? null });
  } catch (error) {
    report.push({ name, ok: false, ms: Math.round(performance.now() - start), detail: String(error?.message ?? error) });
    await page.screenshot({ path: join(config.out, `failed_${name.replaceAll(" ", "_")}.png`) }).catch(() => undefined);
  }
}

/** Move a range input as a person does: the value, then the event that tells the page. */
const setRange = (id, value) =>
  byId(id).evaluate((element, v) => {
    element.value = v;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  }, String(value));
const rangeOf = (id) => byId(id).evaluate((e) => ({ value: Number(e.value), min: Number(e.min), max: Number(e.max) }));
const press = (id) => byId(id).click({ force: true });
const choose = (id) => byId(id).evaluate((element) => element.click());
const jointNamed = async (name) => {
  const names = await page.evaluate(() => [...document.querySelectorAll('[data-testid="joint"] option')].map((o) => [o.value, o.textContent]));
  const found = names.find(([, text]) => text.toLowerCase().replaceAll(" ", "_") === name);
  assert(found, `no joint ${name} among ${names.length}`);
  return Number(found[0]);
};

/** The person covers a fair part of the stage, and does not hang over its sides. */
async function inView() {
  const joints = await hook("screenJoints").catch(() => []);
  const box = await byId("canvas").boundingBox();
  const head = joints.length ? joints.map((j) => j.y - box.y) : [];
  const pixels = await byId("canvas").evaluate((c) => c.width * c.height);
  return (await hook("foreground")) > 0.02 * pixels && head.every((y) => y > 0);
}

// ------------------------------------------------------------------------------------------------

await step("ready", async () => {
  await ready(page);
  const covered = await hook("foreground");
  const { width, height } = await byId("canvas").evaluate((c) => c);
  const pixels = await byId("canvas").evaluate((c) => c.width * c.height);
  assert(covered > 0.02 * pixels && covered < 0.8 * pixels, `${covered} of ${pixels} pixels show the person`);
  return { covered, pixels, width, height };
});

await step("plays", async () => {
  const before = await hook("frame");
  await page.waitForFunction((b) => window.__pear.frame() !== b, before, { timeout: 15000 });
  const drawn = (await hook("stats")).frames;
  await page.waitForFunction((d) => window.__pear.stats().frames > d + 2, drawn, { timeout: 15000 });
});

await step("a paused picture is identical", async () => {
  await hook("pause");
  assert.equal(await hash(), await hash());
});

await step("scrubs", async () => {
  await hook("seek", 0);
  const first = await hash();
  const last = config.motion.frames - 1;
  await setRange("scrub", last);
  assert.equal(await hook("frame"), last);
  assert.notEqual(await hash(), first);
  await setRange("scrub", 0);
  assert.equal(await hash(), first);
  await press("step-forward");
  assert.equal(await hook("frame"), 1);
  await press("step-back");
  assert.equal(await hash(), first);
});

await step("every motion plays", async () => {
  const names = await hook("motions");
  assert(names.length >= 4, `only ${names.join(", ")}`);
  const seen = new Set();
  for (let i = 0; i < names.length; i++) {
    await choose(`motion:${i}`);
    await hook("seek", 7);
    seen.add(await hash());
    assert(await inView(), `${names[i]} is not in view`);
  }
  await choose("motion:0");
  await hook("seek", 0);
  assert.equal(seen.size, names.length, "two motions show the same picture");
  return names;
});

await step("every slider changes the picture and comes back", async () => {
  const ids = await page.evaluate(() => [...document.querySelectorAll('[data-testid^="slider:"]')].map((e) => e.dataset.testid));
  assert(ids.length >= 56, `only ${ids.length} sliders`);
  const idle = [];
  for (const group of ["face", "body"]) {
    await press(`tab:${group}`);
    // Expressions are small: look at the face alone.
    if (group === "face") await hook("setCamera", config.faceCamera);
    else await hook("setCamera", null);
    const rest = await hash();
    for (const id of ids.filter((i) => /head|arms|legs|shape/.test(i) === (group === "body"))) {
      const { value, min, max } = await rangeOf(id);
      await setRange(id, max - value > value - min ? max : min);
      if ((await hash()) === rest) idle.push(id);
      await setRange(id, value);
      assert.equal(await hash(), rest, `${id} does not come back`);
    }
  }
  await press("tab:motion");
  assert.deepEqual(idle, [], "sliders without effect");
  return { sliders: ids.length };
});

await step("orbits, zooms and pans", async () => {
  const start = await hash();
  const box = await byId("canvas").boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height * 0.12];
  const drag = async (dx, dy, button = "left") => {
    await page.mouse.move(x, y);
    await page.mouse.down({ button });
    await page.mouse.move(x + dx, y + dy, { steps: 4 });
    await page.mouse.up({ button });
    return hash();
  };
  const turned = await drag(120, 20);
  assert.notEqual(turned, start);
  await page.mouse.wheel(0, -300);
  await wait(300);
  const zoomed = await hash();
  assert.notEqual(zoomed, turned);
  const panned = await drag(40, 30, "right");
  assert.notEqual(panned, zoomed);
  await press("reset");
  await wait(300);
  assert.equal(await hash(), start, "reset does not bring the first view back");
});

await step("a joint is dragged, undone, redone and reset", async () => {
  await press("tab:body");
  await choose("posing");
  const start = await hash();
  const wrist = await jointNamed("left_wrist");
  const before = await hook("joints");
  const place = (await hook("screenJoints")).find((j) => j.joint === wrist);
  await page.mouse.move(place.x, place.y);
  await page.mouse.down();
  await page.mouse.move(place.x + 20, place.y - 45, { steps: 5 });
  await page.mouse.up();
  const moved = await hash();
  assert.notEqual(moved, start);
  const after = await hook("joints");
  const distance = Math.hypot(...[0, 1, 2].map((k) => after[3 * wrist + k] - before[3 * wrist + k]));
  assert(distance > 0.02, `the wrist moved ${(distance * 1000).toFixed(1)} mm`);
  const now = (await hook("screenJoints")).find((j) => j.joint === wrist);
  await press("undo");
  assert.equal(await hash(), start);
  await press("redo");
  assert.equal(await hash(), moved);
  await press("reset-pose");
  assert.equal(await hash(), start);
  await choose("posing");
  await press("tab:motion");
  return { millimetres: Math.round(distance * 1000), followed: Math.hypot(now.x - place.x - 20, now.y - place.y + 45) };
});

await step("mesh, skeleton and backgrounds are layers", async () => {
  await press("tab:view");
  const plain = await hash();
  for (const id of ["mesh:wire", "mesh:shaded", "splats:flat", "splats:hidden"]) {
    await choose(id);
    assert.notEqual(await hash(), plain, id);
    await choose(id.startsWith("mesh") ? "mesh:off" : "splats:normal");
    assert.equal(await hash(), plain, id);
  }
  const look = () => byId("stage").screenshot();
  const before = await look();
  await choose("skeleton");
  await wait(200);
  assert(!before.equals(await look()), "the skeleton cannot be seen");
  await choose("skeleton");
  await choose("background:green");
  await wait(200);
  assert(!before.equals(await look()), "the background stays");
  await choose("background:studio");
  await press("tab:motion");
});

await step("screenshot", async () => {
  const [download] = await Promise.all([page.waitForEvent("download", { timeout: 20000 }), press("screenshot")]);
  await download.saveAs(join(config.out, "screenshot.png"));
  return download.suggestedFilename();
});

await step("recording", async () => {
  await press("record");
  // The smallest picture: what counts here is frames, and software drawing takes its time.
  const sizes = await byId("record-height").evaluate((e) => [...e.options].map((o) => Number(o.value)));
  await byId("record-height").selectOption(String(Math.min(...sizes)));
  await byId("record-start").click();
  const download = await page.waitForEvent("download", { timeout: 120000 });
  const name = download.suggestedFilename();
  await download.saveAs(join(config.out, `recording${name.slice(name.lastIndexOf("."))}`));
  await page.keyboard.press("Escape");
  return name;
});

await step("recording as webm", async () => {
  const { bytes, mime, frames } = await hook("record", { subject: "motion", container: "webm", height: 120 });
  assert.match(mime, /webm/);
  writeFileSync(join(config.out, "small.webm"), Buffer.from(bytes, "base64"));
  return { frames };
});

if (config.motion.video)
  await step("the video is in sync", async () => {
    await choose("compare:side");
    await page.waitForFunction(() => window.__pear.compare().on, null, { timeout: 20000 });
    const gaps = [];
    const pictures = new Set();
    for (const share of [0, 0.35, 0.7, 1]) {
      await hook("seek", Math.round(share * (config.motion.frames - 1)));
      const { videoTime, expectedTime } = await hook("compare");
      gaps.push(videoTime - expectedTime);
      pictures.add((await byId("video-canvas").screenshot()).toString("base64"));
    }
    assert.equal(pictures.size, 4, "the video's picture does not change");
    await hook("seek", 0);
    await hook("play");
    const playing = [];
    for (let i = 0; i < 12; i++) {
      await wait(150);
      const { videoTime, expectedTime, on } = await hook("compare");
      if (on && Number.isFinite(videoTime)) playing.push(videoTime - expectedTime);
    }
    await hook("pause");
    const worst = Math.max(...gaps.map(Math.abs));
    assert(worst <= config.videoStep, `${(worst * 1000).toFixed(1)} ms apart while paused`);
    // While playing the motion may be sparser than the video: half its own step is the best there is.
    const allowed = Math.max(config.videoStep, config.motionStep);
    const apart = Math.max(...playing.map(Math.abs));
    assert(playing.length > 3 && apart <= allowed, `${(apart * 1000).toFixed(1)} ms apart while playing, ${playing.length} looks`);
    await choose("compare:wipe");
    await wait(300);
    await page.screenshot({ path: join(config.out, "shot_wipe.png") });
    await choose("compare:side");
    await wait(300);
    await page.screenshot({ path: join(config.out, "shot_side.png") });
    await choose("compare:off");
    await press("reset");
    return { paused_ms: worst * 1000, playing_ms: apart * 1000 };
  });

await step("motion files are dropped", async () => {
  const drop = (path) =>
    page.evaluate(({ name, base64 }) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], name));
      for (const type of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
    }, { name: basename(path), base64: readFileSync(path).toString("base64") });
  for (const path of config.drop) {
    const count = (await hook("motions")).length;
    await drop(path);
    await page.waitForFunction((c) => window.__pear.motions().length > c, count, { timeout: 20000 });
    await hook("pause");
    assert(await inView(), `${basename(path)} is not in view`);
  }
  for (const path of config.refuse) {
    const count = (await hook("motions")).length;
    await drop(path);
    await page.locator('[data-testid="toast-error"]').filter({ hasText: basename(path) }).first().waitFor({ timeout: 20000 });
    assert.equal((await hook("motions")).length, count);
  }
  // The browser itself tells of the answers by which the server refused them.
  const refused = problems.filter((text) => /status of 4(13|15|22)/.test(text));
  assert(refused.length <= config.refuse.length);
  for (const text of refused) problems.splice(problems.indexOf(text), 1);
  await choose("motion:0");
  return hook("motions");
});

await step("keyboard", async () => {
  await hook("pause");
  await byId("canvas").click({ position: { x: 5, y: 5 } });
  await page.keyboard.press("Space");
  await page.waitForFunction((b) => window.__pear.frame() !== b, await hook("frame"), { timeout: 10000 });
  await page.keyboard.press("Space");
  const frame = await hook("frame");
  await wait(200);
  assert.equal(await hook("frame"), frame);
  await page.keyboard.press("?");
  await byId("help").waitFor({ state: "visible", timeout: 5000 });
  await page.keyboard.press("Escape");
  await byId("help").waitFor({ state: "hidden", timeout: 5000 });
  const reached = new Set();
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement?.getAttribute("data-testid") ?? document.activeElement?.tagName));
  }
  for (const id of ["play", "scrub", "screenshot", "help-button"]) assert(reached.has(id), `Tab does not reach ${id}: ${[...reached]}`);
  const unnamed = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, [role=slider]")]
      .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim() || e.title))
      .map((e) => e.outerHTML.slice(0, 120)));
  assert.deepEqual(unnamed, [], "controls without a name");
});

await step("the address holds the view", async () => {
  await hook("seek", Math.min(3, config.motion.frames - 1));
  await setRange("slider:head", (await rangeOf("slider:head")).max);
  await setRange("slider:arkit:jawOpen", 0.8);
  const box = await byId("canvas").boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 + 70, box.y + 50, { steps: 3 });
  await page.mouse.up();
  const state = async (p) => p.evaluate(async () => ({
    frame: window.__pear.frame(),
    head: window.__pear.getSlider("head"),
    jaw: window.__pear.getSlider("arkit:jawOpen"),
    orbit: [window.__pear.view().orbit].flatMap((o) => [o.yaw, o.pitch, o.distance, ...o.target]),
    covered: await window.__pear.foreground(),
  }));
  const wanted = await state(page);
  await wait(900);
  const other = await open(desktop.context, page.url());
  try {
    await ready(other.page);
    await other.page.evaluate(() => window.__pear.pause());
    const found = await state(other.page);
    assert.deepEqual([found.frame, found.head, found.jaw], [wanted.frame, wanted.head, wanted.jaw]);
    // Addresses are kept short: a tenth of a millimetre and of a milliradian.
    found.orbit.forEach((x, i) => assert(Math.abs(x - wanted.orbit[i]) < 2e-4, `camera ${found.orbit} instead of ${wanted.orbit}`));
    assert(Math.abs(found.covered - wanted.covered) < 0.005 * wanted.covered);
    assert.deepEqual(other.problems, []);
  } finally {
    await other.page.close();
  }
  await press("reset");
});

await step("poses and pictures for comparison", async () => {
  await hook("reset");
  await savePoses(page, config.poses, config.out);
});

await step("desktop, dark and light", async () => {
  await hook("seek", Math.floor(config.motion.frames / 2));
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    await wait(250);
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), theme);
    await page.screenshot({ path: join(config.out, `shot_desktop_${theme}.png`) });
  }
});

await step("console clean", () => assert.deepEqual(problems, []));

await step("nothing is asked of anybody else", () => {
  const own = config.kind === "server" ? config.url.replace(/#.*/, "") : "file://";
  const foreign = requests.filter((url) => !url.startsWith(own) && !/^(data|blob):/.test(url));
  assert.deepEqual(foreign, []);
  return { requests: requests.length };
});

await desktop.close();

// ------------------------------------------------------------------------------------------------

const phone = await launch({ width: 390, height: 780, phone: true, dark: true });
await step("works on a phone", async () => {
  const small = await open(phone.context, config.url);
  await ready(small.page);
  await small.page.evaluate(() => window.__pear.seek(2));
  const wide = await small.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert(wide <= 0, `the page is ${wide} pixels too wide`);
  const start = await small.page.evaluate(() => window.__pear.hash());
  const box = await small.page.locator('[data-testid="canvas"]').boundingBox();
  const session = await phone.context.newCDPSession(small.page);
  const touch = (type, ...points) =>
    session.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x: box.x + x, y: box.y + y, id })) });
  await touch("touchStart", [100, 40]);
  for (const x of [130, 160, 190]) await touch("touchMove", [x, 45]);
  await touch("touchEnd");
  const turned = await small.page.evaluate(() => window.__pear.hash());
  assert.notEqual(turned, start, "one finger does not orbit");
  await touch("touchStart", [100, 60], [200, 60]);
  for (const d of [20, 40, 60]) await touch("touchMove", [100 - d, 60], [200 + d, 60]);
  await touch("touchEnd");
  assert.notEqual(await small.page.evaluate(() => window.__pear.hash()), turned, "two fingers do not zoom");
  await small.page.screenshot({ path: join(config.out, "shot_phone_dark.png") });
  await small.page.emulateMedia({ colorScheme: "light" });
  await small.page.waitForTimeout(250);
  await small.page.screenshot({ path: join(config.out, "shot_phone_light.png") });
  assert.deepEqual(small.problems, []);
});
await phone.close();

writeFileSync(join(config.out, "report.json"), JSON.stringify(report, null, 1));
for (const { name, ok, ms, detail } of report) console.log(`${ok ? "ok  " : "FAIL"} ${String(ms).padStart(6)} ms  ${name}${detail ? `  ${JSON.stringify(detail)}` : ""}`);
process.exit(report.every((r) => r.ok) ? 0 : 1);
