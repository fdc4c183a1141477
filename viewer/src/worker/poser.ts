/** Poses the body and orders the splats; what the worker runs, kept apart so that tests can too. */

import { halfToNumber } from "../io/half";
import type { RigData } from "../io/avatar";
import { forwardKinematics, restToPosed, TRANSFORM } from "../rig/kinematics";
import { RestPose } from "../rig/shape";
import { skin, splatDepths, VERTEX, type SplatAnchors } from "../rig/skinning";
import { DepthSorter } from "../rig/sort";
import type { Pose, SplatAnchorData } from "./protocol";

export class Poser {
  /** (J, 12) world transforms of the joints in the pose last set. */
  readonly world: Float64Array;
  /** (V, 4) posed vertices and growth. */
  readonly posed: Float32Array;
  private readonly rig: RigData;
  private readonly rest: RestPose;
  private readonly transforms: Float64Array;
  private readonly anchors: SplatAnchors;
  private readonly offsets: Float32Array;
  private readonly depths: Float32Array;
  private readonly sorter: DepthSorter;
  private last: Pose | null = null;

  constructor(rig: RigData, splats: SplatAnchorData) {
    this.rig = rig;
    this.rest = new RestPose(rig);
    this.world = new Float64Array(rig.parents.length * TRANSFORM);
    this.transforms = new Float64Array(rig.parents.length * TRANSFORM);
    this.posed = new Float32Array((rig.vertices.length / 3) * VERTEX);
    const count = splats.face.length;
    this.anchors = anchorsOf(rig, splats);
    this.offsets = Float32Array.from(splats.offsets, halfToNumber);
    this.depths = new Float32Array(count);
    this.sorter = new DepthSorter(count);
  }

  /** Work is done only for what changed since the pose before. */
  setPose(pose: Pose): void {
    const { rest, last } = this;
    const reshaped =
      !last || last.head !== pose.head || !equal(last.limbs, pose.limbs) || !equal(last.shape, pose.shape);
    if (reshaped) rest.setShape(pose.shape, pose.head, pose.limbs);
    const expressed = reshaped || !equal(last.expression, pose.expression);
    if (expressed) rest.setExpression(pose.expression);
    const moved = expressed || !equal(last.rotations, pose.rotations) || !equal(last.transl, pose.transl);
    this.last = pose;
    if (!moved) return;
    forwardKinematics(this.rig.parents, rest.joints, pose.rotations, pose.transl, this.world);
    restToPosed(this.world, rest.joints, this.transforms);
    skin(this.rig, rest.vertices, this.transforms, rest.growth, this.posed);
  }

  /** Splat indices from far to near along a direction. */
  sort(direction: readonly number[], order: Uint32Array): void {
    splatDepths(this.anchors, this.offsets, this.posed, direction, this.depths);
    this.sorter.sort(this.depths, order);
  }
}

function anchorsOf(rig: RigData, splats: SplatAnchorData): SplatAnchors {
  const corners = new Uint32Array(splats.face.length * 3);
  for (let s = 0; s < splats.face.length; s++) {
    for (let k = 0; k < 3; k++) corners[3 * s + k] = rig.faces[3 * splats.face[s] + k] * VERTEX;
  }
  return { corners, weights: Float32Array.from(splats.barycentric, (q) => q / 65535) };
}

function equal(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
