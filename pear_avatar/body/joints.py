"""SMPL-X's 55 joints: names, parents, symmetric partners, and where each parameter block lies."""

from __future__ import annotations

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")

JOINT_NAMES: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar",
    "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "jaw", "left_eye", "right_eye",
    *(f"{side}_{f}{k}" for side in ("left", "right") for f in _FINGERS for k in (1, 2, 3)),
)  # fmt: skip

PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
    20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
    21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53,
)  # fmt: skip

NUM_JOINTS = 55
JOINT_INDEX: dict[str, int] = {name: i for i, name in enumerate(JOINT_NAMES)}

#: Parameter blocks of SMPL-X files -> slice of the 55 joints.
PARAM_SLICES: dict[str, slice] = {
    "global_orient": slice(0, 1),
    "body_pose": slice(1, 22),
    "jaw_pose": slice(22, 23),
    "leye_pose": slice(23, 24),
    "reye_pose": slice(24, 25),
    "left_hand_pose": slice(25, 40),
    "right_hand_pose": slice(40, 55),
}

#: Joints of both hands, wrists aside.
FINGERS = range(PARAM_SLICES["left_hand_pose"].start, NUM_JOINTS)

#: MIRROR[i] is the joint on the other side of the body (itself for the middle ones).
MIRROR: tuple[int, ...] = tuple(
    JOINT_INDEX[
        n.replace("left_", "right_") if n.startswith("left_") else n.replace("right_", "left_")
    ]
    for n in JOINT_NAMES
)
