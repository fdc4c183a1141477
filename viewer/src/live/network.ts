/** The lifter's network, as in pear_avatar.recovery.lifter.lifter_network. */

import type { Linear, LiveModel, Norm, Whitening } from "./model";

/** What the network reads; rows of its inputs, see features.ts. */
export interface Inputs {
  /** Pose and context, joined. */
  readonly body: Float32Array;
  readonly leftHand: Float32Array;
  readonly rightHand: Float32Array;
  readonly face: Float32Array;
}

export interface Outputs {
  /** (132,) 6D rotations of 22 joints; (16,); (6,); (3,) */
  readonly body: Float32Array;
  readonly betas: Float32Array;
  readonly scales: Float32Array;
  readonly camera: Float32Array;
  /** (90,) 6D rotations of 15 joints each, the left ones mirrored. */
  readonly leftFingers: Float32Array;
  readonly rightFingers: Float32Array;
  /** (52,) in [0, 1]; (4,) radians */
  readonly actions: Float32Array;
  readonly gaze: Float32Array;
}

const BLOCKS = ["blocks.1", "blocks.2", "blocks.3"] as const;
const [BODY, BETAS, SCALES, ACTIONS] = [132, 16, 6, 52];

/** Inputs -> outputs; the weights are looked up once. */
export function lifterNetwork(model: LiveModel): (inputs: Inputs) => Outputs {
  const { linear, norm, whitening } = model;
  const whiten = {
    body: whitening("body_whitening"),
    hand: whitening("hand_whitening"),
    face: whitening("face_whitening"),
  };
  const handEncoder = mlp(linear("hand_encoder.0"), linear("hand_encoder.2"));
  const faceEncoder = mlp(linear("face_encoder.0"), linear("face_encoder.2"));
  const handDecoder = mlp(linear("hand_decoder.0"), linear("hand_decoder.2"));
  const faceDecoder = mlp(linear("face_decoder.0"), linear("face_decoder.2"));
  const [bodyEncoder, partMixer, bodyDecoder] = ["body_encoder", "part_mixer", "body_decoder"].map(linear);
  const attend = attention(model);
  const blocks = BLOCKS.map((name) => ({
    norm: norm(`${name}.norm`),
    expand: linear(`${name}.expand`),
    contract: linear(`${name}.contract`),
  }));
  const last = norm("norm");
  return (inputs) => {
    const left = handEncoder(whitened(inputs.leftHand, whiten.hand));
    const right = handEncoder(whitened(inputs.rightHand, whiten.hand));
    const look = faceEncoder(whitened(inputs.face, whiten.face));
    let state = apply(whitened(inputs.body, whiten.body), bodyEncoder);
    add(state, apply(joined(left, right, look), partMixer));
    attend(state);
    for (const block of blocks)
      add(state, apply(gelu(apply(normalised(state, block.norm), block.expand)), block.contract));
    state = normalised(state, last);
    const body = apply(state, bodyDecoder);
    const face = faceDecoder(joined(look, state));
    const [betas, scales, camera] = [BODY, BODY + BETAS, BODY + BETAS + SCALES];
    return {
      body: body.subarray(0, betas),
      betas: body.subarray(betas, scales),
      scales: body.subarray(scales, camera),
      camera: body.subarray(camera),
      leftFingers: handDecoder(joined(left, state)),
      rightFingers: handDecoder(joined(right, state)),
      actions: face.subarray(0, ACTIONS).map((x) => 1 / (1 + Math.exp(-x))),
      gaze: face.subarray(ACTIONS),
    };
  };
}

function mlp(first: Linear, second: Linear): (x: Float32Array) => Float32Array {
  return (x) => apply(gelu(apply(x, first)), second);
}

/** Multi-head attention between the tokens of the state, added to it. */
function attention(model: LiveModel): (state: Float32Array) => void {
  const norm = model.norm("blocks.0.norm");
  const mix = model.linear("blocks.0.query_key_value");
  const project = model.linear("blocks.0.project");
  const width = norm.bias.length;
  const heads = model.meta.heads;
  const size = width / heads;
  return (state) => {
    const tokens = state.length / width;
    const mixed = Array.from({ length: tokens }, (_, t) =>
      apply(normalised(state.subarray(t * width, (t + 1) * width), norm), mix),
    );
    for (let t = 0; t < tokens; t++) {
      const out = new Float32Array(width);
      for (let head = 0; head < heads; head++) {
        const o = head * size;
        const weights = mixed.map((other) => {
          let dot = 0;
          for (let k = 0; k < size; k++) dot += mixed[t][o + k] * other[width + o + k];
          return dot / Math.sqrt(size);
        });
        const most = Math.max(...weights);
        const exps = weights.map((w) => Math.exp(w - most));
        const total = exps.reduce((a, b) => a + b, 0);
        exps.forEach((e, u) => {
          for (let k = 0; k < size; k++) out[o + k] += (e / total) * mixed[u][2 * width + o + k];
        });
      }
      // Each token was mixed from the state as it was, so that it may be changed here.
      add(state.subarray(t * width, (t + 1) * width), apply(out, project));
    }
  };
}

function apply(x: Float32Array, { weight, bias }: Linear): Float32Array {
  const inputs = x.length;
  const out = new Float32Array(bias.length);
  for (let i = 0, o = 0; i < out.length; i++, o += inputs) {
    let sum = bias[i];
    for (let k = 0; k < inputs; k++) sum += weight[o + k] * x[k];
    out[i] = sum;
  }
  return out;
}

function whitened(x: Float32Array, { matrix, mean }: Whitening): Float32Array {
  const size = mean.length;
  const sums = new Float64Array(size);
  for (let i = 0, o = 0; i < size; i++, o += size) {
    const d = x[i] - mean[i];
    if (d !== 0) for (let k = 0; k < size; k++) sums[k] += d * matrix[o + k];
  }
  return Float32Array.from(sums);
}

function normalised(x: Float32Array, { weight, bias }: Norm): Float32Array {
  let mean = 0;
  for (let i = 0; i < x.length; i++) mean += x[i] / x.length;
  let variance = 0;
  for (let i = 0; i < x.length; i++) variance += (x[i] - mean) ** 2 / x.length;
  const scale = 1 / Math.sqrt(variance + 1e-5);
  return x.map((v, i) => (v - mean) * scale * weight[i] + bias[i]);
}

/** x Phi(x), in place. */
function gelu(x: Float32Array): Float32Array {
  for (let i = 0; i < x.length; i++) x[i] *= 0.5 * (1 + erf(x[i] / Math.SQRT2));
  return x;
}

/** Abramowitz and Stegun 7.1.26; within 1.5e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const poly =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - poly * Math.exp(-x * x));
}

function add(to: Float32Array, by: Float32Array): void {
  for (let i = 0; i < to.length; i++) to[i] += by[i];
}

function joined(...parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
