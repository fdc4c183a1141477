/** What the page and the detecting worker say to each other. */

import type { SessionLive } from "../generated/schema";
import type { Landmarks } from "./landmarks";
import type { LiveBody } from "./reader";

export interface InitMessage {
  readonly type: "init";
  /** With addresses made absolute. */
  readonly live: SessionLive;
}

export interface PictureMessage {
  readonly type: "picture";
  readonly picture: ImageBitmap;
  /** Seconds of the camera; increasing. */
  readonly time: number;
}

export interface CalibrateMessage {
  readonly type: "calibrate";
}

export type ToDetector = InitMessage | PictureMessage | CalibrateMessage;

export interface ProgressMessage {
  readonly type: "progress";
  /** In [0, 1]; 1 while the networks are being prepared. */
  readonly share: number;
}

export interface ReadyMessage {
  readonly type: "ready";
}

export interface FoundMessage {
  readonly type: "found";
  readonly time: number;
  /** null without a person in sight. */
  readonly landmarks: Landmarks | null;
  readonly body: LiveBody | null;
  readonly milliseconds: number;
}

export interface FailMessage {
  readonly type: "fail";
  readonly message: string;
}

export type FromDetector = ProgressMessage | ReadyMessage | FoundMessage | FailMessage;
