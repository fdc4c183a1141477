// A real Chromium with software WebGL, driven by playwright-core; shared by tests and benchmarks.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { tmpdir } from "node:os";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const QUIET = [
  "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars",
  "--autoplay-policy=no-user-gesture-required", "--font-render-hinting=none",
];
export const SOFTWARE_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
/** A webcam that plays a file of JPEGs, and leave to use it. */
export const fakeCamera = (clip) => [
  "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-video-capture=${clip}`,
];
export const NO_GL = ["--disable-gpu", "--disable-software-rasterizer", "--disable-3d-apis"];

/** Messages that say nothing about the page: SwiftShader tells each read-back of pixels. */
const HARMLESS = /GPU stall due to ReadPixels|Automatic fallback to software WebGL/;

/** Where Chromium is: PEAR_AVATAR_CHROMIUM, or the first known name on the path. */
export function chromiumPath() {
  const named = process.env.PEAR_AVATAR_CHROMIUM;
  if (named) return named;
  for (const name of NAMES)
    for (const folder of (process.env.PATH ?? "").split(delimiter))
      if (existsSync(join(folder, name))) return join(folder, name);
  throw new Error("no Chromium was found: install one or name it in PEAR_AVATAR_CHROMIUM");
}

/** A browser with a profile of its own; `close` removes both. */
export async function launch({ gl = SOFTWARE_GL, width = 900, height = 640, phone = false, dark = false } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "pear-avatar-e2e-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath(),
    headless: false, // the new headless mode is an argument, not playwright's shell
    args: ["--headless=new", ...QUIET, ...gl],
    viewport: { width, height },
    deviceScaleFactor: 1,
    hasTouch: phone,
    isMobile: phone,
    colorScheme: dark ? "dark" : "light",
    acceptDownloads: true,
    serviceWorkers: "block",
  });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { context, close };
}

/** Open an address and keep what its console says and which addresses it asks for. */
export async function open(context, url) {
  const page = await context.newPage();
  const problems = [];
  const requests = [];
  page.on("console", (message) => {
    const text = message.text();
    if (["error", "warning"].includes(message.type()) && !HARMLESS.test(text)) problems.push(`${message.type()}: ${text}`);
  });
  page.on("pageerror", (error) => problems.push(`exception: ${error.message}`));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url, { waitUntil: "load" });
  return { page, problems, requests };
}

/** Until the page's test door says that an avatar is on the screen, or what went wrong. */
export async function ready(page, timeout = 60000) {
  await page.waitForFunction(() => window.__pear?.error || (window.__pear?.ready && window.__pear.settle), null, { timeout });
  const error = await page.evaluate(() => window.__pear.error);
  if (error) throw new Error(error);
}

/** Pose and draw on an open page; vertices_I.f32 and render_I.rgba go into a folder. */
export async function savePoses(page, poses, folder) {
  for (const [i, pose] of poses.entries()) {
    const shown = await page.evaluate(async (wanted) => {
      const text = (bytes) => {
        let out = "";
        for (let k = 0; k < bytes.length; k += 0x8000) out += String.fromCharCode(...bytes.subarray(k, k + 0x8000));
        return btoa(out);
      };
      await window.__pear.setPose(wanted);
      await window.__pear.setCamera(wanted.camera);
      const vertices = Float32Array.from(await window.__pear.posedVertices());
      return { vertices: text(new Uint8Array(vertices.buffer)), ...(await window.__pear.render()) };
    }, pose);
    if (shown.width !== pose.camera.width || shown.height !== pose.camera.height) throw new Error(`drew ${shown.width} x ${shown.height}`);
    writeFileSync(join(folder, `vertices_${i}.f32`), Buffer.from(shown.vertices, "base64"));
    writeFileSync(join(folder, `render_${i}.rgba`), Buffer.from(shown.rgba, "base64"));
  }
  await page.evaluate(async () => {
    await window.__pear.setPose(null);
    await window.__pear.setCamera(null);
  });
}
