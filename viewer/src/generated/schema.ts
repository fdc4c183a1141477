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
 */
export interface Session {
  readonly version: number;
  readonly title: string;
  readonly kind: "server" | "export";
  readonly avatars: readonly SessionAvatar[];
  readonly convert: string | null;
  readonly convert_endings: readonly string[];
  readonly max_upload_bytes: number;
}

export const SCHEMA_VERSION = 1;
export const AVATAR_FORMAT = "pear-avatar-view";
export const MOTION_FORMAT = "pear-motion";

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
