/** Spark (three.js) with the same splats, moved by its own skinning: four bones a splat, no blendshapes. */

import { SparkRenderer, SplatMesh, SplatSkinning } from "@sparkjsdev/spark";
import * as THREE from "three";
import { halfToNumber } from "../src/io/half";
import { cross, fromColumns, multiply, unit, type Quat, type Vec3 } from "../src/rig/quaternion";
import { forwardKinematics, TRANSFORM } from "../src/rig/kinematics";
import { Poser } from "../src/worker/poser";
import { base64, loadScene, measure, type Scene } from "./common";

const SIZE = 640;

window.bench = (async () => {
  const scene = await loadScene();
  const renderer = new THREE.WebGLRenderer({ antialias: false, alpha: true, preserveDrawingBuffer: true });
  renderer.setPixelRatio(1);
  renderer.setSize(SIZE, SIZE);
  renderer.setClearColor(0x000000, 0);
  document.body.appendChild(renderer.domElement);
  const world = new THREE.Scene();
  // In motion each frame waits for its own pose and order, as every frame of ours has them; left to
  // itself Spark draws on with the order of some frame before, which it may do in the still scene.
  const spark = new SparkRenderer({ renderer, autoUpdate: !scene.moving, minSortIntervalMs: 0 });
  world.add(spark);
  const mesh = new SplatMesh({ constructSplats: (splats) => fill(scene, splats) });
  world.add(mesh);
  await mesh.initialized;
  const move = scene.moving ? skinned(scene, mesh) : null;
  const camera = new THREE.PerspectiveCamera(50, 1, 0.05, 50);
  camera.matrixAutoUpdate = false;
  const draw = async (frame: number): Promise<void> => {
    place(camera, scene, frame);
    move?.(frame);
    if (scene.moving || frame === 0) await spark.update({ scene: world, camera });
    renderer.render(world, camera);
  };
  const gl = renderer.getContext() as WebGL2RenderingContext;
  window.picture = async () => {
    for (let i = 0; i < 8; i++) {
      await draw(0);
      await new Promise((resolve) => setTimeout(resolve, 250)); // until its sort has come back
    }
    const pixels = new Uint8Array(SIZE * SIZE * 4);
    gl.readPixels(0, 0, SIZE, SIZE, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    const rows = Array.from({ length: SIZE }, (_, y) =>
      pixels.subarray((SIZE - 1 - y) * SIZE * 4, (SIZE - y) * SIZE * 4),
    );
    return base64(Uint8Array.from(rows.flatMap((r) => [...r])));
  };
  return measure(gl, scene.avatar.splats.count, draw);
})();

/** Bind the splats to the 55 joints; the result poses them for a frame. */
function skinned(scene: Scene, mesh: SplatMesh): (frame: number) => void {
  const { rig, splats } = scene.avatar;
  const transl = scene.pose(0).transl;
  const skinning = new SplatSkinning({ mesh, numSplats: splats.count, numBones: rig.parents.length });
  const still = new THREE.Quaternion();
  rig.parents.forEach((_, j) => {
    const at = [0, 1, 2].map((k) => rig.joints[3 * j + k] + transl[k]);
    skinning.setRestQuatPos(j, still, new THREE.Vector3(at[0], at[1], at[2]));
  });
  for (let s = 0; s < splats.count; s++) {
    const first = rig.faces[3 * splats.face[s]] * rig.influences;
    const bones = [0, 1, 2, 3].map((k) => (k < rig.influences ? rig.skinJoints[first + k] : 0));
    const weights = [0, 1, 2, 3].map((k) => (k < rig.influences ? rig.skinWeights[first + k] : 0));
    const sum = weights.reduce((a, b) => a + b);
    const [x, y, z, w] = weights.map((q) => q / sum);
    skinning.setSplatBones(s, new THREE.Vector4(...bones), new THREE.Vector4(x, y, z, w));
  }
  mesh.skinning = skinning;
  mesh.updateGenerator();
  const world = new Float64Array(rig.parents.length * TRANSFORM);
  return (frame) => {
    const pose = scene.pose(frame);
    forwardKinematics(rig.parents, rig.joints, pose.rotations, pose.transl, world);
    rig.parents.forEach((_, j) => {
      const o = j * TRANSFORM;
      const [w, x, y, z] = fromColumns(world, o);
      const place = new THREE.Vector3(world[o + 9], world[o + 10], world[o + 11]);
      skinning.setBoneQuatPos(j, new THREE.Quaternion(x, y, z, w), place);
    });
    skinning.updateBones();
  };
}

interface Fillable {
  pushSplat(
    center: THREE.Vector3,
    scales: THREE.Vector3,
    quaternion: THREE.Quaternion,
    opacity: number,
    color: THREE.Color,
  ): void;
}

function fill(scene: Scene, out: Fillable): void {
  const { splats, rig } = scene.avatar;
  const poser = new Poser(rig, splats);
  poser.setPose(scene.still);
  const vertex = (i: number): Vec3 => [poser.posed[4 * i], poser.posed[4 * i + 1], poser.posed[4 * i + 2]];
  const minus = (p: Vec3, q: Vec3): Vec3 => [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
  for (let s = 0; s < splats.count; s++) {
    const f = 3 * splats.face[s];
    const [a, b, c] = [vertex(rig.faces[f]), vertex(rig.faces[f + 1]), vertex(rig.faces[f + 2])];
    const e = unit(minus(b, a)),
      n = unit(cross(minus(b, a), minus(c, a))),
      t = cross(n, e);
    const [u, v] = [splats.barycentric[2 * s] / 65535, splats.barycentric[2 * s + 1] / 65535];
    const o = [0, 1, 2].map((k) => halfToNumber(splats.offsets[3 * s + k]));
    const at = (k: number): number =>
      (1 - u - v) * a[k] + u * b[k] + v * c[k] + o[0] * e[k] + o[1] * t[k] + o[2] * n[k];
    const local = [0, 1, 2, 3].map((k) => splats.quats[4 * s + k] / 32767) as unknown as Quat;
    const [w, x, y, z] = multiply(fromColumns([...e, ...t, ...n], 0), local);
    const scale = [0, 1, 2].map((k) => halfToNumber(splats.scales[3 * s + k]) / 1000);
    const [red, green, blue, alpha] = [0, 1, 2, 3].map((k) => splats.rgba[4 * s + k] / 255);
    out.pushSplat(
      new THREE.Vector3(at(0), at(1), at(2)),
      new THREE.Vector3(scale[0], scale[1], scale[2]),
      new THREE.Quaternion(x, y, z, w),
      alpha,
      new THREE.Color(red, green, blue),
    );
  }
}

/** OpenCV's camera as three's: y and z turned round. */
function place(camera: THREE.PerspectiveCamera, scene: Scene, frame: number): void {
  const view = scene.view(frame, SIZE);
  const T = Array.from(view.T);
  const row = (r: number, sign: number): [number, number, number, number] => [
    sign * T[4 * r],
    sign * T[4 * r + 1],
    sign * T[4 * r + 2],
    sign * T[4 * r + 3],
  ];
  camera.matrix.set(...row(0, 1), ...row(1, -1), ...row(2, -1), 0, 0, 0, 1).invert();
  camera.matrixWorldNeedsUpdate = true;
  camera.fov = (2 * Math.atan(view.height / (2 * view.fy)) * 180) / Math.PI;
  camera.updateProjectionMatrix();
}
