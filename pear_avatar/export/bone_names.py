"""What other programs call SMPL-X's 55 joints."""

from __future__ import annotations

from pear_avatar.body.joints import JOINT_NAMES, NUM_JOINTS
from pear_avatar.choices import BoneNames

__all__ = ["VRM_BONES", "bone_names", "root_name"]

#: Of each joint: Mixamo's name, the Unreal mannequin's, and VRM 1.0's humanoid bone.
_BODY = {
    "pelvis": ("Hips", "pelvis", "hips"),
    "spine1": ("Spine", "spine_01", "spine"),
    "spine2": ("Spine1", "spine_02", "chest"),
    "spine3": ("Spine2", "spine_03", "upperChest"),
    "neck": ("Neck", "neck_01", "neck"),
    "head": ("Head", "head", "head"),
    "jaw": ("Jaw", "jaw", "jaw"),
}
#: The same for joints of a side; an asterisk stands for the side as each program writes it.
_SIDED = {
    "hip": ("*UpLeg", "thigh_*", "*UpperLeg"),
    "knee": ("*Leg", "calf_*", "*LowerLeg"),
    "ankle": ("*Foot", "foot_*", "*Foot"),
    "foot": ("*ToeBase", "ball_*", "*Toes"),
    "collar": ("*Shoulder", "clavicle_*", "*Shoulder"),
    "shoulder": ("*Arm", "upperarm_*", "*UpperArm"),
    "elbow": ("*ForeArm", "lowerarm_*", "*LowerArm"),
    "wrist": ("*Hand", "hand_*", "*Hand"),
    "eye": ("*Eye", "eye_*", "*Eye"),
    **{
        f"{finger}{k + 1}": (f"*Hand{name}{k + 1}", f"{short}_0{k + 1}_*", f"*{vrm}{part}")
        for finger, name, short, vrm in (
            ("index", "Index", "index", "Index"),
            ("middle", "Middle", "middle", "Middle"),
            ("pinky", "Pinky", "pinky", "Little"),
            ("ring", "Ring", "ring", "Ring"),
            ("thumb", "Thumb", "thumb", "Thumb"),
        )
        for k, part in enumerate(
            ("Metacarpal", "Proximal", "Distal")
            if finger == "thumb"
            else ("Proximal", "Intermediate", "Distal")
        )
    },
}
_PREFIX = {"mixamo": "mixamorig:"}
_COLUMN: dict[BoneNames, int] = {"mixamo": 0, "unreal": 1, "vrm": 2}
_SIDES = {"left": ("Left", "l", "left"), "right": ("Right", "r", "right")}


def bone_names(count: int, names: BoneNames) -> tuple[str, ...]:
    """The names of ``count`` joints; numbers for a skeleton that is not SMPL-X's."""
    if count != NUM_JOINTS:
        return tuple(f"joint_{i:02d}" for i in range(count))
    if names == "smplx":
        return JOINT_NAMES
    return tuple(_PREFIX.get(names, "") + _translated(joint, names) for joint in JOINT_NAMES)


def root_name(names: BoneNames) -> str:
    """What the joint on the floor is called."""
    return "Root" if names in ("mixamo", "vrm") else "root"


def _translated(joint: str, names: BoneNames) -> str:
    column = _COLUMN[names]
    if joint in _BODY:
        return _BODY[joint][column]
    side, part = joint.split("_")
    return _SIDED[part][column].replace("*", _SIDES[side][column])


#: VRM 1.0's humanoid bone of each of SMPL-X's joints.
VRM_BONES: tuple[str, ...] = bone_names(NUM_JOINTS, "vrm")
