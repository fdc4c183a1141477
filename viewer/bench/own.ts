/** This viewer: every frame is posed, skinned and sorted anew. */

import { Engine } from "../src/app/engine";
import { PLAIN_LAYERS } from "../src/gl/stage";
import { base64, loadScene, measure } from "./common";

const SIZE = 640;

window.bench = (async () => {
  const scene = await loadScene();
  const canvas = document.body.appendChild(document.createElement("canvas"));
  const engine = await Engine.create(canvas, scene.avatar);
  window.picture = async () =>
    base64(await engine.snapshot(scene.pose(0), scene.view(0, SIZE), PLAIN_LAYERS));
  return measure(engine.stage.gl, scene.avatar.splats.count, async (i) => {
    await engine.draw(scene.pose(i), scene.view(i, SIZE), PLAIN_LAYERS);
  });
})();
