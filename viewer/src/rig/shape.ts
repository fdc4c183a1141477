/** Shape, head size and expression: from the template to the rest pose that skinning moves. */

import type { RigData } from "../io/avatar";
import { type Limbs, stretchLimbs } from "./limbs";

/** The rest pose under construction; one set of buffers, reused. */
export class RestPose {
  /** (V, 3) with shape and head size, without expression. */
  private readonly shaped: Float32Array;
  /** (V, 3) what skinning moves. */
  readonly vertices: Float32Array;
  /** (J, 3) rest joints. */
  readonly joints: Float32Array;
  /** (V,) how much the surface grew by shape and head size; splats grow with it. */
  readonly growth: Float32Array;
  private head = 1;
  private readonly rig: RigData;
  private readonly templateArea: Float32Array;

  constructor(rig: RigData) {
    this.rig = rig;
    this.shaped = rig.vertices.slice();
    this.vertices = rig.vertices.slice();
    this.joints = rig.joints.slice();
    this.growth = new Float32Array(rig.vertices.length / 3).fill(1);
    this.templateArea = vertexAreas(rig.vertices, rig.faces);
  }

  /** Set shape coefficients (S,), head scale and limbs. Call {@link setExpression} afterwards. */
  setShape(shape: Float32Array, head: number, limbs: Limbs): void {
    const { rig, shaped, joints } = this;
    shaped.set(rig.vertices);
    joints.set(rig.joints);
    for (let s = 0; s < rig.shapeScales.length; s++) {
      if (!shape[s]) continue;
      addScaled(shaped, rig.shapeDeltas, s * shaped.length, shape[s] * rig.shapeScales[s]);
      addScaled(joints, rig.shapeJoints, s * joints.length, shape[s]);
    }
    this.head = head;
    if (head !== 1) this.scaleHead();
    const stretched = stretchLimbs(rig, shaped, joints, limbs);
    this.measureGrowth(stretched || shape.some((c) => c !== 0) || head !== 1);
    this.vertices.set(shaped);
  }

  /** Scale about the head joint, fading out along the neck with the skin weights. */
  private scaleHead(): void {
    const { rig, shaped, joints } = this;
    const pivot = joints.slice(3 * rig.headJoint, 3 * rig.headJoint + 3);
    const grow = this.head - 1;
    for (let i = 0; i < shaped.length; i++)
      shaped[i] += grow * rig.headWeight[(i / 3) | 0] * (shaped[i] - pivot[i % 3]);
    for (let i = 0; i < joints.length; i++) {
      if (rig.headDescendant[(i / 3) | 0]) joints[i] += grow * (joints[i] - pivot[i % 3]);
    }
  }

  private measureGrowth(edited: boolean): void {
    if (!edited) {
      this.growth.fill(1);
      return;
    }
    const area = vertexAreas(this.shaped, this.rig.faces);
    for (let v = 0; v < area.length; v++) {
      const ratio = area[v] / Math.max(this.templateArea[v], 1e-12);
      this.growth[v] = Math.sqrt(Math.min(Math.max(ratio, 0.25), 4));
    }
  }

  /** Add expression coefficients (E,) to the shaped vertices they move. */
  setExpression(expression: Float32Array): void {
    const { rig, shaped, vertices } = this;
    const moved = rig.expressionVertices;
    const sum = new Float32Array(moved.length * 3);
    for (let e = 0; e < rig.expressionScales.length; e++) {
      if (expression[e])
        addScaled(sum, rig.expressionDeltas, e * sum.length, expression[e] * rig.expressionScales[e]);
    }
    const grow = this.head - 1;
    for (let m = 0; m < moved.length; m++) {
      const v = moved[m];
      const size = 1 + grow * rig.headWeight[v];
      for (let k = 0; k < 3; k++) vertices[3 * v + k] = shaped[3 * v + k] + size * sum[3 * m + k];
    }
  }
}

function addScaled(out: Float32Array, from: ArrayLike<number>, offset: number, factor: number): void {
  for (let i = 0; i < out.length; i++) out[i] += factor * from[offset + i];
}

/** (V,) area of the triangles around each vertex. */
function vertexAreas(vertices: Float32Array, faces: Uint16Array | Uint32Array): Float32Array {
  const areas = new Float32Array(vertices.length / 3);
  for (let f = 0; f < faces.length; f += 3) {
    const a = 3 * faces[f],
      b = 3 * faces[f + 1],
      c = 3 * faces[f + 2];
    const ux = vertices[b] - vertices[a],
      uy = vertices[b + 1] - vertices[a + 1],
      uz = vertices[b + 2] - vertices[a + 2];
    const vx = vertices[c] - vertices[a],
      vy = vertices[c + 1] - vertices[a + 1],
      vz = vertices[c + 2] - vertices[a + 2];
    const area = Math.hypot(uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx);
    areas[faces[f]] += area;
    areas[faces[f + 1]] += area;
    areas[faces[f + 2]] += area;
  }
  return areas;
}
