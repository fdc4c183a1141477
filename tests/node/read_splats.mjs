// Reads splats with three.js: node read_splats.mjs FILE OUT.f32
// OUT holds centres (N, 3), covariances (N, 6: xx xy xz yy yz zz) and RGBA (N, 4) one after another.
import fs from 'node:fs';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { GLTFGaussianSplatLoaderExtension } from 'three/examples/jsm/loaders/GLTFGaussianSplatLoaderExtension.js';
import { GaussianSplatPLYLoader } from 'three/examples/jsm/loaders/GaussianSplatPLYLoader.js';
import { SPZLoader } from 'three/examples/jsm/loaders/SPZLoader.js';

globalThis.ProgressEvent = class extends Event {}; // the loader reports progress with a browser's class
const [file, out] = process.argv.slice(2);
const bytes = fs.readFileSync(file);
const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
let geometry;
if (file.endsWith('.spz')) geometry = new SPZLoader().parse(data);
else if (file.endsWith('.ply')) geometry = new GaussianSplatPLYLoader().parse(data);
else {
  const loader = new GLTFLoader().register((parser) => new GLTFGaussianSplatLoaderExtension(parser));
  const gltf = await loader.parseAsync(data, '');
  gltf.scene.traverse((o) => { if (o.splatGeometry) geometry = o.splatGeometry; });
}
const { position, covariance, color } = geometry.attributes;
const count = position.count;
const rgba = Float32Array.from(color.array, (v) => v / 255);
fs.writeFileSync(out, Buffer.concat(
  [position.array, covariance.array, rgba].map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength))));
console.log(JSON.stringify({ count }));
