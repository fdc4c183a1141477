// Generated from pear_avatar/viewer/schema.py by `python -m pear_avatar.viewer.typescript`.
// Do not edit: change the dataclasses there and run it again.

export type DType = "F32" | "F16" | "U8" | "I16" | "U16" | "U32";

/**
 * One tensor of a file: its name, the element types it may have, its shape.
 */
export interface TensorSpec {
  readonly name: string;
  readonly dtypes: readonly DType[];
  readonly shape: readonly (string | number)[];
  readonly optional: boolean;
}

/**
 * The `meta` of an avatar file; `info` holds short facts for people to read.
 */
export interface AvatarMeta {
  readonly format: string;
  readonly version: number;
  readonly name: string;
  readonly joint_names: readonly string[];
  readonly parents: readonly number[];
  readonly arkit_names: readonly string[];
  readonly shape_names: readonly string[];
  readonly info: Readonly<Record<string, string>>;
}

/**
 * The `meta` of a motion file; width and height of the video, 0 without a camera.
 */
export interface MotionMeta {
  readonly format: string;
  readonly version: number;
  readonly name: string;
  readonly fps: number;
  readonly source: string;
  readonly width: number;
  readonly height: number;
}

/**
 * The `meta` of a live model; `heads` is the number of its attention heads.
 */
export interface LiveMeta {
  readonly format: string;
  readonly version: number;
  readonly joint_names: readonly string[];
  readonly parents: readonly number[];
  readonly arkit_names: readonly string[];
  readonly heads: number;
}

/**
 * What the page loads once a camera is to drive the avatar. model: the live model. task: parts of
 * the detector's models, to be joined. wasm_loader, wasm: the detector's program. total_bytes: of
 * all of them, to show progress by.
 */
export interface SessionLive {
  readonly model: string;
  readonly task: readonly string[];
  readonly wasm_loader: string;
  readonly wasm: string;
  readonly total_bytes: number;
}

/**
 * A motion that one avatar can play.
 */
export interface SessionMotion {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly frames: number;
  readonly fps: number;
  readonly has_camera: boolean;
}

/**
 * The video that an avatar was fitted to; its size is that of the upright picture.
 */
export interface SessionVideo {
  readonly url: string;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly frames: number;
}

/**
 * One avatar of a gallery; `payload_bytes` is its file's size, to show progress by.
 */
export interface SessionAvatar {
  readonly id: string;
  readonly name: string;
  readonly splats: number;
  readonly payload: string;
  readonly payload_bytes: number;
  readonly thumbnail: string | null;
  readonly details: string;
  readonly video: SessionVideo | null;
  readonly motions: readonly SessionMotion[];
}

/**
 * All that the page shows. Urls are relative to the page, or `embedded:ID` in an export. `convert`
 * takes motion files of other formats (POST, with `name` and `avatar` in the query) and is null
 * where there is no server; `convert_endings` are the usual endings of such files, with the dot.
 * `live` is null where the page cannot load the detector (a single file opened from disk).
 */
export interface Session {
  readonly version: number;
  readonly title: string;
  readonly kind: "server" | "export";
  readonly avatars: readonly SessionAvatar[];
  readonly convert: string | null;
  readonly convert_endings: readonly string[];
  readonly max_upload_bytes: number;
  readonly live: SessionLive | null;
}

export const SCHEMA_VERSION = 1;
export const AVATAR_FORMAT = "pear-avatar-view";
export const MOTION_FORMAT = "pear-motion";
export const LIVE_FORMAT = "pear-live-model";

export const AVATAR_TENSORS: readonly TensorSpec[] = [
  { name: "template.vertices", dtypes: ["F32"], shape: ["V", 3], optional: false },
  { name: "template.faces", dtypes: ["U16", "U32"], shape: ["F", 3], optional: false },
  { name: "template.joints", dtypes: ["F32"], shape: [55, 3], optional: false },
  { name: "template.skin_joints", dtypes: ["U8"], shape: ["V", "K"], optional: false },
  { name: "template.skin_weights", dtypes: ["U16"], shape: ["V", "K"], optional: false },
  { name: "expression.vertices", dtypes: ["U16", "U32"], shape: ["M"], optional: false },
  { name: "expression.deltas", dtypes: ["I16"], shape: ["E", "M", 3], optional: false },
  { name: "expression.scales", dtypes: ["F32"], shape: ["E"], optional: false },
  { name: "arkit.coef", dtypes: ["F32"], shape: [52, "E"], optional: false },
  { name: "arkit.pose", dtypes: ["F32"], shape: [52, 9], optional: false },
  { name: "shape.deltas", dtypes: ["I16"], shape: ["S", "V", 3], optional: true },
  { name: "shape.scales", dtypes: ["F32"], shape: ["S"], optional: true },
  { name: "shape.joints", dtypes: ["F32"], shape: ["S", 55, 3], optional: true },
  { name: "splat.face", dtypes: ["U16", "U32"], shape: ["N"], optional: false },
  { name: "splat.barycentric", dtypes: ["U16"], shape: ["N", 2], optional: false },
  { name: "splat.offsets", dtypes: ["F16"], shape: ["N", 3], optional: false },
  { name: "splat.quats", dtypes: ["I16"], shape: ["N", 4], optional: false },
  { name: "splat.scales", dtypes: ["F16"], shape: ["N", 3], optional: false },
  { name: "splat.rgba", dtypes: ["U8"], shape: ["N", 4], optional: false },
];

export const MOTION_TENSORS: readonly TensorSpec[] = [
  { name: "rotations", dtypes: ["F32"], shape: ["N", 55, 4], optional: false },
  { name: "transl", dtypes: ["F32"], shape: ["N", 3], optional: false },
  { name: "expression", dtypes: ["F32"], shape: ["N", "X"], optional: true },
  { name: "time", dtypes: ["F32"], shape: ["N"], optional: false },
  { name: "video_time", dtypes: ["F32"], shape: ["N"], optional: true },
  { name: "camera.K", dtypes: ["F32"], shape: ["N", 4], optional: true },
  { name: "camera.T", dtypes: ["F32"], shape: ["N", 3, 4], optional: true },
];

export const LIVE_TENSORS: readonly TensorSpec[] = [
  { name: "body_whitening.matrix", dtypes: ["F32"], shape: ["B", "B"], optional: false },
  { name: "body_whitening.mean", dtypes: ["F32"], shape: ["B"], optional: false },
  { name: "hand_whitening.matrix", dtypes: ["F32"], shape: ["G", "G"], optional: false },
  { name: "hand_whitening.mean", dtypes: ["F32"], shape: ["G"], optional: false },
  { name: "face_whitening.matrix", dtypes: ["F32"], shape: ["A", "A"], optional: false },
  { name: "face_whitening.mean", dtypes: ["F32"], shape: ["A"], optional: false },
  { name: "body_encoder.weight", dtypes: ["F16"], shape: ["D", "B"], optional: false },
  { name: "body_encoder.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "hand_encoder.0.weight", dtypes: ["F16"], shape: ["H", "G"], optional: false },
  { name: "hand_encoder.0.bias", dtypes: ["F16"], shape: ["H"], optional: false },
  { name: "hand_encoder.2.weight", dtypes: ["F16"], shape: ["P", "H"], optional: false },
  { name: "hand_encoder.2.bias", dtypes: ["F16"], shape: ["P"], optional: false },
  { name: "face_encoder.0.weight", dtypes: ["F16"], shape: ["H", "A"], optional: false },
  { name: "face_encoder.0.bias", dtypes: ["F16"], shape: ["H"], optional: false },
  { name: "face_encoder.2.weight", dtypes: ["F16"], shape: ["P", "H"], optional: false },
  { name: "face_encoder.2.bias", dtypes: ["F16"], shape: ["P"], optional: false },
  { name: "part_mixer.weight", dtypes: ["F16"], shape: ["D", "P3"], optional: false },
  { name: "part_mixer.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.0.norm.weight", dtypes: ["F16"], shape: ["T"], optional: false },
  { name: "blocks.0.norm.bias", dtypes: ["F16"], shape: ["T"], optional: false },
  { name: "blocks.0.query_key_value.weight", dtypes: ["F16"], shape: ["T3", "T"], optional: false },
  { name: "blocks.0.query_key_value.bias", dtypes: ["F16"], shape: ["T3"], optional: false },
  { name: "blocks.0.project.weight", dtypes: ["F16"], shape: ["T", "T"], optional: false },
  { name: "blocks.0.project.bias", dtypes: ["F16"], shape: ["T"], optional: false },
  { name: "blocks.1.norm.weight", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.1.norm.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.1.expand.weight", dtypes: ["F16"], shape: ["D", "D"], optional: false },
  { name: "blocks.1.expand.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.1.contract.weight", dtypes: ["F16"], shape: ["D", "D"], optional: false },
  { name: "blocks.1.contract.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.2.norm.weight", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.2.norm.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.2.expand.weight", dtypes: ["F16"], shape: ["D", "D"], optional: false },
  { name: "blocks.2.expand.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.2.contract.weight", dtypes: ["F16"], shape: ["D", "D"], optional: false },
  { name: "blocks.2.contract.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.3.norm.weight", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.3.norm.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.3.expand.weight", dtypes: ["F16"], shape: ["D", "D"], optional: false },
  { name: "blocks.3.expand.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "blocks.3.contract.weight", dtypes: ["F16"], shape: ["D", "D"], optional: false },
  { name: "blocks.3.contract.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "norm.weight", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "norm.bias", dtypes: ["F16"], shape: ["D"], optional: false },
  { name: "body_decoder.weight", dtypes: ["F16"], shape: ["O", "D"], optional: false },
  { name: "body_decoder.bias", dtypes: ["F16"], shape: ["O"], optional: false },
  { name: "hand_decoder.0.weight", dtypes: ["F16"], shape: ["H", "C"], optional: false },
  { name: "hand_decoder.0.bias", dtypes: ["F16"], shape: ["H"], optional: false },
  { name: "hand_decoder.2.weight", dtypes: ["F16"], shape: ["O2", "H"], optional: false },
  { name: "hand_decoder.2.bias", dtypes: ["F16"], shape: ["O2"], optional: false },
  { name: "face_decoder.0.weight", dtypes: ["F16"], shape: ["H", "C"], optional: false },
  { name: "face_decoder.0.bias", dtypes: ["F16"], shape: ["H"], optional: false },
  { name: "face_decoder.2.weight", dtypes: ["F16"], shape: ["O3", "H"], optional: false },
  { name: "face_decoder.2.bias", dtypes: ["F16"], shape: ["O3"], optional: false },
  { name: "joint.template", dtypes: ["F32"], shape: [55, 3], optional: false },
  { name: "joint.dirs", dtypes: ["F32"], shape: ["S", 55, 3], optional: false },
  { name: "joint.part", dtypes: ["U8"], shape: [55], optional: false },
  { name: "pair.joint", dtypes: ["U8"], shape: ["Q"], optional: false },
  { name: "pair.part", dtypes: ["U8"], shape: ["Q"], optional: false },
  { name: "pair.landmark", dtypes: ["U16"], shape: ["Q"], optional: false },
  { name: "pair.share", dtypes: ["F32"], shape: ["Q"], optional: false },
  { name: "pair.template", dtypes: ["F32"], shape: ["Q", 3], optional: false },
  { name: "pair.dirs", dtypes: ["F32"], shape: ["X", "Q", 3], optional: false },
  { name: "arkit.coef", dtypes: ["F32"], shape: [52, "E"], optional: false },
  { name: "arkit.pose", dtypes: ["F32"], shape: [52, 9], optional: false },
  { name: "fingers.relaxed", dtypes: ["F32"], shape: [30, 4], optional: false },
  { name: "face.points", dtypes: ["U16"], shape: ["F"], optional: false },
];
