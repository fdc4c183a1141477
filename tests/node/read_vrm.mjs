// Reads a VRM file with three-vrm and poses it by its humanoid names: node read_vrm.mjs FILE
// -> one JSON line about humanoid, expressions, licence, and the floor.
import fs from 'node:fs';
import * as THREE from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { VRMLoaderPlugin } from '@pixiv/three-vrm';

globalThis.self = globalThis;
globalThis.ProgressEvent = class extends Event {};
globalThis.createImageBitmap = async () => ({ width: 1, height: 1, close() {} });

const bytes = fs.readFileSync(process.argv[2]);
const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const loader = new GLTFLoader().register((parser) => new VRMLoaderPlugin(parser));
const vrm = (await loader.parseAsync(data, '')).userData.vrm;

let mesh;
vrm.scene.traverse((o) => { if (o.isSkinnedMesh) mesh = o; });
const at = new THREE.Vector3();
const place = (bone) => vrm.humanoid.getRawBoneNode(bone).getWorldPosition(at).toArray();
const bounds = () => {
  vrm.scene.updateMatrixWorld(true);
  mesh.skeleton.update();
  const box = new THREE.Box3();
  for (let i = 0; i < mesh.geometry.attributes.position.count; i++) {
    box.expandByPoint(mesh.getVertexPosition(i, at).applyMatrix4(mesh.matrixWorld));
  }
  return [box.min.toArray(), box.max.toArray()];
};
const rest = bounds();
const restHand = place('leftHand');
// Arms down, in the axes that VRM's applications use: the world's at rest.
vrm.humanoid.getNormalizedBoneNode('leftUpperArm').rotation.z = -Math.PI / 2;
vrm.update(0);
vrm.scene.updateMatrixWorld(true);
const loweredHand = place('leftHand');
vrm.expressionManager.setValue('aa', 1);
vrm.expressionManager.setValue('blinkLeft', 1);
vrm.update(0);
const weights = {};
for (const [name, i] of Object.entries(mesh.morphTargetDictionary)) {
  if (mesh.morphTargetInfluences[i]) weights[name] = mesh.morphTargetInfluences[i];
}
console.log(JSON.stringify({
  meta: vrm.meta,
  bones: Object.keys(vrm.humanoid.humanBones),
  expressions: Object.keys(vrm.expressionManager.expressionMap),
  lookAt: vrm.lookAt !== undefined,
  rest,
  shoulder: place('leftUpperArm'),
  restHand,
  loweredHand,
  weights,
}));
