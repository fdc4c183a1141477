/** Places of SMPL-X's joints that live driving names, and lengths between them. */

export const PELVIS = 0;
export const SPINE1 = 3;
export const LEFT = { hip: 1, knee: 4, ankle: 7, foot: 10, shoulder: 16 } as const;
export const RIGHT = { hip: 2, knee: 5, ankle: 8, foot: 11, shoulder: 17 } as const;
export const FEET = [LEFT.ankle, LEFT.foot, RIGHT.ankle, RIGHT.foot] as const;
export const LEGS = [
  LEFT.hip,
  LEFT.knee,
  LEFT.ankle,
  LEFT.foot,
  RIGHT.hip,
  RIGHT.knee,
  RIGHT.ankle,
  RIGHT.foot,
];

/** Mean length of both legs from hip to ankle, of rest joints (55, 3). */
export function legLength(joints: ArrayLike<number>): number {
  const between = (a: number, b: number): number =>
    Math.hypot(...[0, 1, 2].map((k) => joints[3 * a + k] - joints[3 * b + k]));
  return (
    [LEFT, RIGHT].reduce(
      (sum, side) => sum + between(side.hip, side.knee) + between(side.knee, side.ankle),
      0,
    ) / 2
  );
}

/** The joint on the other side, by name. */
export function mirrorJoints(names: readonly string[]): number[] {
  const other = (name: string): string => {
    if (name.startsWith("left_")) return `right_${name.slice(5)}`;
    return name.startsWith("right_") ? `left_${name.slice(6)}` : name;
  };
  return names.map((name) => names.indexOf(other(name)));
}

/** The facial action on the other side, by its ARKit name. */
export function mirrorActions(names: readonly string[]): number[] {
  const other = (name: string): string => {
    if (name.endsWith("Left")) return `${name.slice(0, -4)}Right`;
    return name.endsWith("Right") ? `${name.slice(0, -5)}Left` : name;
  };
  return names.map((name) => names.indexOf(other(name)));
}
