"""Which joint of a motion-capture skeleton is which joint of the body.

Names differ between studios, and one name means different joints ("LeftShoulder" is a collar
bone here and an upper arm there). So only joints with telling names are looked up (elbows,
wrists, knees, ankles, toes, head, fingers), and the others follow from how these hang together:
a shoulder is what an elbow hangs from, the chest is where both arms meet, the pelvis is where
the legs meet. What lies above the pelvis, such as a locator that carries the path, belongs to
the world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.joint_names import PARTS, finger_joint, side_and_part

__all__ = ["SkeletonMap", "map_skeleton"]

_SIDES = ("left", "right")

#: Bones of one limb whose directions agree so well (cosine) are parts of one.
_STRAIGHT = 0.98
#: A joint nearer to the thigh's start than this part of the hips' width turns with the leg.
_AT_HIP = 0.3


@dataclass(frozen=True)
class SkeletonMap:
    """Indices into the source skeleton.

    pelvis, chest, head: joints; the legs meet in the pelvis, the arms in the chest.
    carriers: the joints (left, right) that carry the hips; both are the pelvis in most skeletons.
    spine: from the pelvis to the chest, both included. neck: between chest and head.
    limbs: body joint name -> source joint, for collars, arms, legs, feet and fingers.
    """

    pelvis: int
    chest: int
    head: int
    carriers: tuple[int, int]
    spine: tuple[int, ...]
    neck: tuple[int, ...]
    limbs: dict[str, int]


def map_skeleton(capture: CaptureMotion) -> SkeletonMap:
    """Recognise a skeleton.

    Raises MotionFileError naming what could not be recognised.
    """
    parts = [side_and_part(name) for name in capture.names]
    found: dict[str, int] = {}
    for side in _SIDES:
        for part, names in PARTS.items():
            joint = _lookup(parts, side, names, set(found.values()))
            if joint is not None:
                found[f"{side}_{part}"] = joint
    needed = [f"{s}_{p}" for s in _SIDES for p in ("elbow", "wrist", "knee", "ankle")]
    missing = [name for name in needed if name not in found]
    head = next((i for i, (_, part) in enumerate(parts) if part in ("head", "skull")), None)
    if not missing and head is None:
        head = _topmost(capture, found)
    if head is None or missing:
        raise MotionFileError(
            f"{capture.source}: no joint was recognised as "
            f"{', '.join(missing + ([] if head is not None else ['head']))}; the skeleton's "
            f"joints are {', '.join(capture.names[:20])}. Rename them to, for example, "
            "LeftForeArm, LeftHand, LeftLeg, LeftFoot, Head"
        )
    return _by_topology(capture, found | _fingers(capture), head)


def _fingers(capture: CaptureMotion) -> dict[str, int]:
    found: dict[str, int] = {}
    for joint, name in enumerate(capture.names):
        finger = finger_joint(name)
        if finger is not None:
            found.setdefault(f"{finger[0]}_{finger[1]}", joint)
    for side in _SIDES:
        first = found.pop(f"{side}_thumb0", None)
        if first is not None:  # whose thumb is counted from 0: one ahead of ours
            later = [found.pop(f"{side}_thumb{k}", None) for k in (1, 2, 3)]
            thumb = [first, *(j for j in later if j is not None)]
            found |= {f"{side}_thumb{k}": joint for k, joint in enumerate(thumb[:3], start=1)}
    return found


def _by_topology(capture: CaptureMotion, limbs: dict[str, int], head: int) -> SkeletonMap:
    arms = [_path(capture, limbs[f"{side}_elbow"]) for side in _SIDES]
    legs = [_path(capture, limbs[f"{side}_knee"]) for side in _SIDES]
    above_arms, above_legs = (_shared(pair) for pair in (arms, legs))
    if not above_arms or not above_legs:
        raise MotionFileError(f"{capture.source}: its limbs hang from no common joint")
    chest, pelvis = above_arms[-1], above_legs[-1]
    rest = capture.rest()
    carriers = []
    for side, arm, leg in zip(_SIDES, arms, legs, strict=True):
        upper = _upper_joint(capture, rest, arm[len(above_arms) :])
        thigh = _upper_joint(capture, rest, leg[len(above_legs) :])
        if upper is None:
            raise MotionFileError(f"{capture.source}: the {side} elbow hangs from no shoulder")
        if thigh is None:
            raise MotionFileError(f"{capture.source}: the {side} knee hangs from no hip")
        limbs[f"{side}_shoulder"], limbs[f"{side}_hip"] = upper, thigh
        between = arm[len(above_arms) : arm.index(upper)]
        if between:
            limbs[f"{side}_collar"] = between[0]
        limbs[f"{side}_wrist"] = _hand_below(capture, limbs[f"{side}_wrist"])
        if f"{side}_toe" in limbs:
            limbs[f"{side}_foot"] = limbs.pop(f"{side}_toe")
    width = float(np.linalg.norm(rest[limbs["left_hip"]] - rest[limbs["right_hip"]]))
    for side, leg in zip(_SIDES, legs, strict=True):
        carriers.append(_carrier(rest, leg, limbs[f"{side}_hip"], pelvis, _AT_HIP * width))
    return SkeletonMap(
        pelvis=pelvis,
        chest=chest,
        head=head,
        carriers=(carriers[0], carriers[1]),
        spine=_spine(capture, pelvis, chest),
        neck=_neck(capture, chest, head),
        limbs=limbs,
    )


def _path(capture: CaptureMotion, joint: int) -> list[int]:
    """From the root down to a joint, both included."""
    out = [joint]
    while capture.parents[out[0]] >= 0:
        out.insert(0, capture.parents[out[0]])
    return out


def _shared(pair: list[list[int]]) -> list[int]:
    """The joints that two paths from the root have in common."""
    return [a for a, b in zip(*pair, strict=False) if a == b]


def _spine(capture: CaptureMotion, pelvis: int, chest: int) -> tuple[int, ...]:
    """From the pelvis to the chest, which in some skeletons do not hang one from the other."""
    down, up = _path(capture, pelvis), _path(capture, chest)
    below = up[len(_shared([down, up])) :]
    return (pelvis, *below) if below else (pelvis,)


def _neck(capture: CaptureMotion, chest: int, head: int) -> tuple[int, ...]:
    to_head = _path(capture, head)
    return tuple(to_head[to_head.index(chest) + 1 : -1]) if chest in to_head else ()


def _upper_joint(capture: CaptureMotion, rest: np.ndarray, chain: list[int]) -> int | None:
    """Where an upper arm or thigh begins, of the joints from the trunk to elbow or knee.

    Some rigs part a bone in two or three of one name, or with a helper for the twist, which lie
    on one line. A collar bone lies on one line with the arm as well, under another name.

    chain: from below the trunk to the elbow or knee, which is the last.
    """
    if len(chain) < 2:
        return None
    place = len(chain) - 2
    while place > 0:
        upper = rest[chain[place]] - rest[chain[place - 1]]
        lower = rest[chain[place + 1]] - rest[chain[place]]
        lengths = float(np.linalg.norm(upper) * np.linalg.norm(lower))
        straight = float(upper @ lower) > _STRAIGHT * lengths > 0
        (_, part), (_, above) = (side_and_part(capture.names[chain[k]]) for k in (place, place - 1))
        if not straight or part not in ("", above):
            break
        place -= 1
    return chain[place]


def _carrier(rest: np.ndarray, leg: list[int], hip: int, pelvis: int, near: float) -> int:
    """The joint whose turns move a hip: the first one above that does not lie at the hip."""
    for joint in reversed(leg[: leg.index(hip)]):
        if joint == pelvis or np.linalg.norm(rest[joint] - rest[hip]) > near:
            return joint
    return pelvis


def _topmost(capture: CaptureMotion, limbs: dict[str, int]) -> int | None:
    """The head of a skeleton without one by name: the end of the chain that goes on from where
    the arms meet, before it parts into a face."""
    arms = [_path(capture, limbs[f"{side}_elbow"]) for side in _SIDES]
    shared = _shared(arms)
    if not shared:
        return None
    in_arms = {joint for arm in arms for joint in arm}
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(capture.parents):
        children.setdefault(parent, []).append(joint)
    at = shared[-1]
    while True:
        below = [j for j in children.get(at, []) if j not in in_arms and _is_bone(capture, j)]
        if len(below) != 1:
            return at if at != shared[-1] else None
        at = below[0]


def _is_bone(capture: CaptureMotion, joint: int) -> bool:
    """Whether a joint is neither a helper nor of the face."""
    _, part = side_and_part(capture.names[joint])
    return bool(part) and not any(
        word in capture.names[joint].lower() for word in ("eye", "jaw", "face", "breast", "teeth")
    )


def _hand_below(capture: CaptureMotion, wrist: int) -> int:
    """The joint that turns the hand, where a rig splits the wrist or the forearm into several."""
    for joint, parent in enumerate(capture.parents):
        if parent != wrist or "thumb" in capture.names[joint].lower():
            continue
        at_one_place = not capture.offsets[joint].any() and joint in capture.parents
        if at_one_place or _ends_forearm(capture, wrist, joint):
            return _hand_below(capture, joint)
    return wrist


def _ends_forearm(capture: CaptureMotion, wrist: int, hand: int) -> bool:
    """Whether a "wrist" lies amid the forearm and the "hand" below it is the true wrist.

    Acclaim skeletons have one such, to twist: two thirds of the way from the elbow. A hand's own
    bone is shorter against its forearm.
    """
    if side_and_part(capture.names[hand])[1] not in ("hand", "fingerbase"):
        return False
    upper, lower = capture.offsets[wrist], capture.offsets[hand]
    lengths = float(np.linalg.norm(upper)), float(np.linalg.norm(lower))
    straight = float(upper @ lower) > _STRAIGHT * lengths[0] * lengths[1]
    return straight and 0.45 * lengths[0] < lengths[1] < lengths[0]


def _lookup(
    parts: list[tuple[str, str]], side: str, names: tuple[str, ...], taken: set[int]
) -> int | None:
    for name in names:
        for joint, (s, part) in enumerate(parts):
            if s == side and part == name and joint not in taken:
                return joint
    return None
