/**
 * Feet that stay where they stand, by moving the whole body and nothing else
 * (pear_avatar.live.foot_lock). A foot that is low and slow stands.
 */

import { TRANSFORM } from "../rig/kinematics";
import { LEFT, RIGHT } from "./joints";

const FEET = [
  [LEFT.ankle, LEFT.foot],
  [RIGHT.ankle, RIGHT.foot],
] as const;
/** Height over the lower foot (m) and speed (m/s) below which a foot begins to stand. */
const ENTER: readonly [number, number] = [0.05, 0.35];
/** The same, above which it stops. */
const LEAVE: readonly [number, number] = [0.09, 0.8];
/** The middle of a flat foot lies so far above the lowest joint, m. */
const FLAT = 0.06;
const SPEED_MEMORY = 0.12;
const FREE = 0.6;
/** How fast the place of a standing foot gives way to where the camera sees it, m/s. */
const CREEP = 0.004;
/** A shift beyond this is a step that was missed: the foot is let go. */
const MOST = 0.3;

interface Foot {
  last: readonly [number, number] | null;
  speed: number;
  standing: boolean;
  since: number;
}

export class FootLock {
  private readonly feet: readonly [Foot, Foot] = [freeFoot(), freeFoot()];
  private anchor: readonly [number, number] | null = null;
  private stance: 0 | 1 | null = null;
  private move: readonly [number, number] = [0, 0];
  private time = Number.NEGATIVE_INFINITY;

  /** x and z, metres, to add to the body; `world` (55, 12) is where it is without. */
  shift(world: Float64Array, time: number): readonly [number, number] {
    const span = Math.min(Math.max(time - this.time, 1e-3), 0.5);
    this.time = time;
    const at = (joint: number, k: number): number => world[joint * TRANSFORM + 9 + k];
    const places = FEET.map((pair) => [0, 1, 2].map((k) => (at(pair[0], k) + at(pair[1], k)) / 2));
    const ground = Math.min(...FEET.flat().map((joint) => at(joint, 1)));
    this.feet.forEach((foot, i) =>
      judge(foot, [places[i][0], places[i][2]], places[i][1] - ground, { span, time }),
    );
    const flat = places.map((p) => [p[0], p[2]] as const);
    this.choose(flat);
    this.follow(flat, span);
    return this.move;
  }

  /** The foot that has stood longest holds the body. */
  private choose(places: readonly (readonly [number, number])[]): void {
    if (this.stance !== null && this.feet[this.stance].standing) return;
    const standing = ([0, 1] as const).filter((k) => this.feet[k].standing);
    standing.sort((a, b) => this.feet[a].since - this.feet[b].since);
    this.stance = standing[0] ?? null;
    const place = this.stance === null ? null : places[this.stance];
    this.anchor = place && [place[0] + this.move[0], place[1] + this.move[1]];
  }

  private follow(places: readonly (readonly [number, number])[], span: number): void {
    if (this.stance === null || !this.anchor) {
      const keep = Math.exp(-span / FREE);
      this.move = [this.move[0] * keep, this.move[1] * keep];
      return;
    }
    const place = places[this.stance];
    const apart = [place[0] - this.anchor[0], place[1] - this.anchor[1]];
    const size = Math.hypot(apart[0], apart[1]);
    const creep = Math.min(CREEP * span, size) / Math.max(size, 1e-9);
    this.anchor = [this.anchor[0] + apart[0] * creep, this.anchor[1] + apart[1] * creep];
    const move = [this.anchor[0] - place[0], this.anchor[1] - place[1]] as const;
    if (Math.hypot(move[0], move[1]) > MOST) {
      this.stance = null;
      this.anchor = null;
      return;
    }
    this.move = move;
  }
}

function freeFoot(): Foot {
  return { last: null, speed: 0, standing: false, since: 0 };
}

function judge(
  foot: Foot,
  place: readonly [number, number],
  height: number,
  { span, time }: { readonly span: number; readonly time: number },
): void {
  const moved = foot.last ? Math.hypot(place[0] - foot.last[0], place[1] - foot.last[1]) / span : 0;
  foot.last = place;
  foot.speed += (moved - foot.speed) * (1 - Math.exp(-span / SPEED_MEMORY));
  const [mostHeight, mostSpeed] = foot.standing ? LEAVE : ENTER;
  const stands = height < mostHeight + FLAT && foot.speed < mostSpeed;
  if (stands && !foot.standing) foot.since = time;
  foot.standing = stands;
}
