"""The Virtual Motion Capture protocol (VMC): what avatar programs speak over UDP.

Bones go out under Unity's names with rotations relative to the T-pose, in Unity's axes:
left-handed, y up, a character that faces +z. Our axes are right-handed with the person's left at
+x, so x is mirrored: a position (x, y, z) becomes (-x, y, z), a quaternion x y z w becomes
x -y -z w. Facial actions go out under their ARKit names ("perfect sync"), and as the presets of
VRM that every receiver knows (A, I, U, E, O, Blink, Joy, ...).

Protocol: https://protocol.vmc.info (messages ``/VMC/Ext/*`` of the performer to the marionette).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX, PARENTS
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.motion.osc import OscValue, osc_bundles, osc_message

__all__ = ["UNITY_BONES", "preset_weights", "vmc_packets"]

_FINGER_BONES = {
    "thumb": "Thumb",
    "index": "Index",
    "middle": "Middle",
    "ring": "Ring",
    "pinky": "Little",
}
_PHALANGES = ("Proximal", "Intermediate", "Distal")
_ORIGIN, _NO_TURN = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)


def _unity_bones() -> dict[str, str]:
    bones = {
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Chest",
        "spine3": "UpperChest",
        "neck": "Neck",
        "head": "Head",
        "jaw": "Jaw",
        "left_eye": "LeftEye",
        "right_eye": "RightEye",
    }
    limbs = {
        "hip": "UpperLeg",
        "knee": "LowerLeg",
        "ankle": "Foot",
        "foot": "Toes",
        "collar": "Shoulder",
        "shoulder": "UpperArm",
        "elbow": "LowerArm",
        "wrist": "Hand",
    }
    for side in ("left", "right"):
        bones |= {f"{side}_{ours}": f"{side.title()}{unity}" for ours, unity in limbs.items()}
        for finger, name in _FINGER_BONES.items():
            bones |= {
                f"{side}_{finger}{k + 1}": f"{side.title()}{name}{phalanx}"
                for k, phalanx in enumerate(_PHALANGES)
            }
    return bones


#: Our joint -> Unity's ``HumanBodyBones``; all 55 joints have one.
UNITY_BONES: dict[str, str] = _unity_bones()

#: Preset of VRM 0 -> the ARKit actions whose strengths it takes, as their mean.
_PRESETS: Mapping[str, tuple[str, ...]] = {
    "Blink_L": ("eyeBlinkLeft",),
    "Blink_R": ("eyeBlinkRight",),
    "Blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "A": ("jawOpen",),
    "U": ("mouthPucker",),
    "O": ("mouthFunnel",),
    "I": ("mouthStretchLeft", "mouthStretchRight"),
    "E": ("mouthLowerDownLeft", "mouthLowerDownRight"),
    "Joy": ("mouthSmileLeft", "mouthSmileRight"),
    "Sorrow": ("mouthFrownLeft", "mouthFrownRight"),
    "Angry": ("browDownLeft", "browDownRight"),
}


def preset_weights(actions: Mapping[str, float]) -> dict[str, float]:
    """Strengths of VRM's presets in [0, 1] for strengths of ARKit actions; missing ones are 0."""
    return {
        preset: min(1.0, max(0.0, sum(actions.get(n, 0.0) for n in names) / len(names)))
        for preset, names in _PRESETS.items()
    }


def vmc_packets(
    rotations: Tensor,
    rest_joints: Tensor,
    pelvis: Tensor,
    *,
    time: float,
    actions: Mapping[str, float] | None = None,
) -> list[bytes]:
    """The UDP packets of one frame.

    Args:
        rotations: (55, 3, 3) local rotations.
        rest_joints: (55, 3) metres, of the body in its T-pose: bone offsets.
        pelvis: (3,) metres, where the pelvis is, in a world whose floor is y = 0.
        time: seconds since the motion began.
        actions: ARKit actions and their strengths.
    """
    quats = matrix_to_quat_wxyz(rotations.detach().double().cpu())
    offsets = rest_joints.detach().double().cpu().clone()
    offsets[1:] = offsets[1:] - offsets[torch.tensor(PARENTS[1:])]
    offsets[0] = pelvis.detach().double().cpu()
    messages = [
        osc_message("/VMC/Ext/OK", 1),
        osc_message("/VMC/Ext/T", float(time)),
        osc_message("/VMC/Ext/Root/Pos", "root", *_ORIGIN, *_NO_TURN),
    ]
    for joint, bone in UNITY_BONES.items():
        k = JOINT_INDEX[joint]
        x, y, z = offsets[k].tolist()
        w, qx, qy, qz = quats[k].tolist()
        values: tuple[OscValue, ...] = (bone, -x, y, z, qx, -qy, -qz, w)
        messages.append(osc_message("/VMC/Ext/Bone/Pos", *values))
    if actions:
        named = {_perfect_sync(n): float(v) for n, v in actions.items()}
        for name, value in {**named, **preset_weights(actions)}.items():
            messages.append(osc_message("/VMC/Ext/Blend/Val", name, value))
        messages.append(osc_message("/VMC/Ext/Blend/Apply"))
    return osc_bundles(messages)


def _perfect_sync(name: str) -> str:
    """ARKit's name as receivers of perfect sync expect it: with a capital first letter."""
    return name[:1].upper() + name[1:]
