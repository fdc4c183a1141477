/** What the page and the worker say to each other. */

import type { RigData } from "../io/avatar";
import type { Limbs } from "../rig/limbs";

/** Everything that decides where the body is; plain numbers, copied. */
export interface Pose {
  /** (55, 4) local wxyz. */
  readonly rotations: Float32Array;
  readonly transl: readonly [number, number, number];
  /** (E,) */
  readonly expression: Float32Array;
  /** (S,) */
  readonly shape: Float32Array;
  readonly head: number;
  /** Lengths of arms and legs as multiples of the person's own. */
  readonly limbs: Limbs;
}

export interface SplatAnchorData {
  readonly face: Uint16Array | Uint32Array;
  readonly barycentric: Uint16Array;
  readonly offsets: Uint16Array;
}

export interface InitRequest {
  readonly type: "init";
  readonly rig: RigData;
  readonly splats: SplatAnchorData;
}

export interface FrameRequest {
  readonly type: "frame";
  readonly pose: Pose;
  /** World direction in which depth grows: the camera's z axis. */
  readonly direction: readonly [number, number, number];
  /** Buffers given away and returned; posed vertices (rows of 128 x 4) and splat order (rows of 1024). */
  readonly vertices: Float32Array;
  readonly order: Uint32Array;
}

export type Request = InitRequest | FrameRequest;

export interface FrameReply {
  readonly type: "frame";
  readonly vertices: Float32Array;
  readonly order: Uint32Array;
  /** (55, 12) world transforms of the joints. */
  readonly world: Float64Array;
  readonly milliseconds: number;
}

export interface ReadyReply {
  readonly type: "ready";
}

export interface FailReply {
  readonly type: "fail";
  readonly message: string;
}

export type Reply = FrameReply | ReadyReply | FailReply;
