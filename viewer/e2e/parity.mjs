// Poses and pictures of an avatar as the page makes them, for comparison with Python's.
//
//   node e2e/parity.mjs CONFIG.json       CONFIG: {url, poses: [{..., camera}], out: folder}
import { mkdirSync, readFileSync } from "node:fs";
import { launch, open, ready, savePoses } from "./browser.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
mkdirSync(config.out, { recursive: true });
const { context, close } = await launch();
try {
  const { page } = await open(context, config.url);
  await ready(page);
  await page.evaluate(() => window.__pear.pause());
  await savePoses(page, config.poses, config.out);
} finally {
  await close();
}
