// Plays a glTF file in three.js and writes the skinned vertices at given times.
// node read_gltf.mjs FILE OUT.f32 TIME...   -> one JSON line about the file
import fs from 'node:fs';
import * as THREE from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';

// What the loader wants of a browser to accept an embedded picture; nothing is drawn here.
globalThis.self = globalThis;
globalThis.ProgressEvent = class extends Event {};
const bitmaps = [];
globalThis.createImageBitmap = async (blob) => {
  bitmaps.push({ type: blob.type, size: blob.size });
  return { width: 1, height: 1, close() {} };
};

const [file, out, ...times] = process.argv.slice(2);
const bytes = fs.readFileSync(file);
const data = file.endsWith('.gltf') ? bytes.toString() : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const gltf = await new GLTFLoader().parseAsync(data, '');

let mesh;
const bones = [];
gltf.scene.traverse((o) => {
  if (o.isSkinnedMesh) mesh = o;
  if (o.isBone) bones.push(o);
});
const mixer = new THREE.AnimationMixer(gltf.scene);
const clip = gltf.animations[0];
if (clip) mixer.clipAction(clip).play();

const count = mesh.geometry.attributes.position.count;
const points = new Float32Array(times.length * count * 3);
const boneLengths = [];
const joints = [];
const at = new THREE.Vector3();
const from = new THREE.Vector3();
times.forEach((time, t) => {
  if (clip) mixer.setTime(Math.min(Number(time), clip.duration * (1 - 1e-7)));
  gltf.scene.updateMatrixWorld(true);
  mesh.skeleton.update();
  for (let i = 0; i < count; i++) {
    mesh.getVertexPosition(i, at).applyMatrix4(mesh.matrixWorld).toArray(points, (t * count + i) * 3);
  }
  boneLengths.push(bones.filter((b) => b.parent.isBone).map((b) =>
    b.getWorldPosition(at).distanceTo(b.parent.getWorldPosition(from))));
  joints.push(bones.map((b) => b.getWorldPosition(at).toArray()));
});
fs.writeFileSync(out, Buffer.from(points.buffer));
console.log(JSON.stringify({
  count,
  bones: bones.map((b) => b.name),
  boneLengths,
  joints,
  targets: mesh.morphTargetDictionary ?? {},
  attributes: Object.keys(mesh.geometry.attributes),
  clips: gltf.animations.map((a) => a.name),
  duration: clip ? clip.duration : 0,
  tracks: clip ? clip.tracks.length : 0,
  material: mesh.material.type,
  vertexColors: mesh.material.vertexColors,
  textured: mesh.material.map !== null,
  bitmaps,
}));
