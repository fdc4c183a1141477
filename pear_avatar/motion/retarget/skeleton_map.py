"""Which joint of a motion-capture skeleton is which joint of the body.

Names differ between studios, and one name means different joints ("LeftShoulder" is a collar
bone here and an upper arm there). So only joints with telling names are looked up (elbows,
wrists, knees, ankles, toes, head, fingers), and the others follow from how these hang together:
a shoulder is what an elbow hangs from, the chest is where both arms meet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.retarget.capture import CaptureMotion

__all__ = ["SkeletonMap", "map_skeleton"]

_PARTS: dict[str, tuple[str, ...]] = {
    "elbow": ("forearm", "elbow", "lowerarm", "lowarm", "radius"),
    "wrist": ("wrist", "hand"),
    "knee": ("knee", "leg", "shin", "calf", "lowerleg", "lowleg", "tibia"),
    "ankle": ("ankle", "foot"),
    "toe": ("toe", "toebase", "toes", "ball", "foot"),
}
_FINGER = re.compile(r"(index|middle|ring|pinky|little|thumb)0*([1-3])$")
_SIDES = ("left", "right")


@dataclass(frozen=True)
class SkeletonMap:
    """Indices into the source skeleton.

    root, chest, head: joints; the chest is where both arms meet.
    spine: from the root to the chest, both included. neck: between chest and head.
    limbs: body joint name -> source joint, for collars, arms, legs, feet and fingers.
    """

    root: int
    chest: int
    head: int
    spine: tuple[int, ...]
    neck: tuple[int, ...]
    limbs: dict[str, int]


def map_skeleton(bvh: CaptureMotion) -> SkeletonMap:
    """Recognise a skeleton.

    Raises MotionFileError naming what could not be recognised.
    """
    sides = [_side_and_part(name) for name in bvh.names]
    found: dict[str, int] = {}
    for side in _SIDES:
        for part, names in _PARTS.items():
            joint = _lookup(sides, side, names, set(found.values()))
            if joint is not None:
                found[f"{side}_{part}"] = joint
        found |= _fingers(sides, side)
    head = next((i for i, (_, part) in enumerate(sides) if part == "head"), None)
    needed = [f"{s}_{p}" for s in _SIDES for p in ("elbow", "wrist", "knee", "ankle")]
    missing = [name for name in needed if name not in found] + (["head"] if head is None else [])
    if head is None or missing:
        raise MotionFileError(
            f"{bvh.source}: cannot tell which joint is {', '.join(missing)}; the skeleton's "
            f"joints are {', '.join(bvh.names[:20])}. Rename them to, for example, LeftForeArm, "
            "LeftHand, LeftLeg, LeftFoot, Head"
        )
    return _by_topology(bvh, found, head)


def _by_topology(bvh: CaptureMotion, limbs: dict[str, int], head: int) -> SkeletonMap:
    def path(joint: int) -> list[int]:
        """From the root down to a joint, both included."""
        out = [joint]
        while bvh.parents[out[0]] >= 0:
            out.insert(0, bvh.parents[out[0]])
        return out

    arms = [path(limbs[f"{side}_elbow"]) for side in _SIDES]
    shared = [a for a, b in zip(*arms, strict=False) if a == b]
    chest = shared[-1]
    for side, arm in zip(_SIDES, arms, strict=True):
        below = arm[len(shared) : -1]
        if not below:
            raise MotionFileError(f"{bvh.source}: the {side} elbow hangs from no shoulder")
        limbs[f"{side}_shoulder"] = below[-1]
        if len(below) > 1:
            limbs[f"{side}_collar"] = below[0]
        legs = path(limbs[f"{side}_knee"])
        if len(legs) < 3:
            raise MotionFileError(f"{bvh.source}: the {side} knee hangs from no hip")
        limbs[f"{side}_hip"] = legs[-2]
        limbs[f"{side}_wrist"] = _hand_below(bvh, limbs[f"{side}_wrist"])
        if f"{side}_toe" in limbs:
            limbs[f"{side}_foot"] = limbs.pop(f"{side}_toe")
    to_head = path(head)
    neck = to_head[to_head.index(chest) + 1 : -1] if chest in to_head else []
    return SkeletonMap(0, chest, head, tuple(shared), tuple(neck), limbs)


def _hand_below(bvh: CaptureMotion, wrist: int) -> int:
    """The joint that turns the hand, where a rig splits the wrist or the forearm into several."""
    for joint, parent in enumerate(bvh.parents):
        if parent != wrist or "thumb" in bvh.names[joint].lower():
            continue
        at_one_place = not bvh.offsets[joint].any() and joint in bvh.parents
        if at_one_place or _ends_forearm(bvh, wrist, joint):
            return _hand_below(bvh, joint)
    return wrist


def _ends_forearm(bvh: CaptureMotion, wrist: int, hand: int) -> bool:
    """Whether a "wrist" lies amid the forearm and the "hand" below it is the true wrist.

    Acclaim skeletons have one such, to twist: two thirds of the way from the elbow. A hand's own
    bone is shorter against its forearm.
    """
    if _side_and_part(bvh.names[hand])[1] not in ("hand", "fingerbase"):
        return False
    upper, lower = bvh.offsets[wrist], bvh.offsets[hand]
    lengths = float(np.linalg.norm(upper)), float(np.linalg.norm(lower))
    straight = float(upper @ lower) > 0.98 * lengths[0] * lengths[1]
    return straight and 0.45 * lengths[0] < lengths[1] < lengths[0]


def _side_and_part(name: str) -> tuple[str, str]:
    """("left" | "right" | "", what is left of the name in lower case)."""
    name = name.split(":")[-1]
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    for side in _SIDES:
        if plain.startswith(side):
            return side, plain[len(side) :]
        if plain.endswith(side):
            return side, plain[: -len(side)]
    if match := re.search(r"[._ -]([lr])$", name.lower()):
        return _SIDES["lr".index(match[1])], plain[:-1]
    known = {n for names in _PARTS.values() for n in names}
    starts = re.match(r"[lr][._ -]", name.lower()) or plain[1:] in known
    if plain[:1] in ("l", "r") and starts:
        return _SIDES["lr".index(plain[0])], plain[1:]
    return "", plain


def _lookup(
    sides: list[tuple[str, str]], side: str, names: tuple[str, ...], taken: set[int]
) -> int | None:
    for name in names:
        for joint, (s, part) in enumerate(sides):
            if s == side and part == name and joint not in taken:
                return joint
    return None


def _fingers(sides: list[tuple[str, str]], side: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for joint, (s, part) in enumerate(sides):
        match = _FINGER.search(part)
        if s == side and match:
            finger = "pinky" if match[1] == "little" else match[1]
            found.setdefault(f"{side}_{finger}{match[2]}", joint)
    return found
