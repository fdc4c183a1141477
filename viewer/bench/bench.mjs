// Speed beside Spark: the same avatars, camera path and 640 x 640 pixels, in one run of one browser.
//
//   npm run bench -- --avatar A.pav --motion M.pmo [--avatar B.pav ...] [--json OUT] [--seconds 5]
//
// Prints [{name, value, unit, peer, peer_value}] and their ratios. PEAR_AVATAR_CHROMIUM names the
// browser (default /usr/bin/chromium); it draws in software, so that any machine can run this.
import {
  createReadStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { build } from "vite";

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    avatar: { type: "string", multiple: true },
    motion: { type: "string" },
    json: { type: "string" },
    seconds: { type: "string", default: "5" },
  },
});
if (!values.avatar?.length || !values.motion) {
  console.error(
    "usage: npm run bench -- --avatar A.pav --motion M.pmo [--avatar B.pav ...] [--json OUT] [--seconds 5]",
  );
  process.exit(2);
}
for (const file of [...values.avatar, values.motion]) {
  if (!existsSync(file)) {
    console.error(`there is no file ${file}`);
    process.exit(2);
  }
}

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};
const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const site = mkdtempSync(join(tmpdir(), "pear-avatar-bench-"));
try {
  await build({
    root: here,
    configFile: false,
    base: "./",
    publicDir: false,
    logLevel: "error",
    build: {
      outDir: site,
      emptyOutDir: true,
      target: "es2022",
      chunkSizeWarningLimit: 1e5,
      rolldownOptions: { input: [join(here, "own.html"), join(here, "spark.html")] },
    },
  });
  const results = [];
  for (const avatar of values.avatar) results.push(...(await compare(avatar, values.motion)));
  console.log(JSON.stringify(results, null, 2));
  if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
} finally {
  rmSync(site, { recursive: true, force: true });
}

async function compare(avatar, motion) {
  const server = serve({ "/avatar.pav": avatar, "/motion.pmo": motion });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${server.address().port}`;
  try {
    const run = (page, mode) => runPage(`${address}/${page}.html?mode=${mode}`);
    const moving = { own: await run("own", "moving"), spark: await run("spark", "moving") };
    const still = { own: await run("own", "still"), spark: await run("spark", "still") };
    const label = `${basename(avatar, extname(avatar))}, ${still.own.splats} splats`;
    const rate = (name, { own, spark }) => ({
      ...row(`${name}: ${label}`, own.fps, "1/s", spark.fps),
      ratio: own.fps / spark.fps,
    });
    const cost = (name, { own, spark }) => ({
      ...row(`${name}: ${label}`, own.cpuMs, "ms", spark.cpuMs),
      ratio: spark.cpuMs / own.cpuMs,
    });
    const agreement = foregroundPsnr(still.own.picture, still.spark.picture);
    return [
      rate("frames per second, in motion", moving),
      cost("processor time a frame, in motion", moving),
      rate("frames per second, still", still),
      cost("processor time a frame, still", still),
      row(`agreement of the pictures, still: ${label}`, agreement, "dB", null),
    ];
  } finally {
    server.close();
  }
}

function row(name, value, unit, peerValue) {
  return { name, value, unit, peer: "spark 2.2", peer_value: peerValue, ratio: null };
}

/** A fresh browser each, so that one page cannot slow the other down. */
async function runPage(url) {
  const browser = await chromium.launch({
    executablePath: process.env.PEAR_AVATAR_CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
  });
  try {
    const page = await browser.newPage({ viewport: { width: 700, height: 700 } });
    page.on("pageerror", (error) => console.error(`${url}: ${error.message}`));
    await page.goto(`${url}&seconds=${values.seconds}`);
    await page.waitForFunction(() => window.measuring === true, null, { timeout: 120_000 });
    const before = cpuSeconds();
    const timing = await page.evaluate(() => window.bench);
    const cpuMs = (1000 * (cpuSeconds() - before)) / timing.frames;
    return { cpuMs, ...timing, picture: Buffer.from(await page.evaluate(() => window.picture()), "base64") };
  } finally {
    await browser.close();
  }
}

/** Processor seconds of this program's browsers, which other work on the machine hardly touches. */
function cpuSeconds() {
  const processes = new Map();
  for (const pid of existsSync("/proc/self/stat")
    ? readdirSync("/proc").filter((name) => /^\d+$/.test(name))
    : []) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
      processes.set(Number(pid), {
        parent: Number(fields[1]),
        ticks: Number(fields[11]) + Number(fields[12]),
      });
    } catch {
      // It ended meanwhile.
    }
  }
  const ours = (pid) => {
    for (let p = pid; p > 1; p = processes.get(p)?.parent ?? 0)
      if (p === process.pid) return pid !== process.pid;
    return false;
  };
  return [...processes].reduce((sum, [pid, { ticks }]) => sum + (ours(pid) ? ticks / 100 : 0), 0);
}

/** Over pixels that either picture covers, on black. */
function foregroundPsnr(a, b) {
  let sum = 0,
    count = 0;
  for (let i = 0; i < a.length; i += 4) {
    if (a[i + 3] < 3 && b[i + 3] < 3) continue;
    for (let k = 0; k < 3; k++) sum += ((a[i + k] - b[i + k]) / 255) ** 2;
    count += 3;
  }
  return -10 * Math.log10(sum / count);
}

function serve(files) {
  return createServer((request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    const file = files[path] ?? join(site, path);
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.statusCode = 404;
      response.end();
      return;
    }
    response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
    createReadStream(file).pipe(response);
  });
}
