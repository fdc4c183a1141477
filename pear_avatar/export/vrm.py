"""An avatar as VRM 1.0: a glTF file that says which joint is which and which morph is which face.

Follows https://github.com/vrm-c/vrm-specification, ``VRMC_vrm-1.0``. Joints that swing by
themselves (``VRMC_springBone``) are left out: an avatar has no layer of loose hair to swing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.choices import VrmPermission
from pear_avatar.errors import PearError
from pear_avatar.export.avatar_mesh import avatar_surface
from pear_avatar.export.bone_names import VRM_BONES
from pear_avatar.export.gltf import Figure, Morphs, build_figure
from pear_avatar.export.rig import RigStyle

__all__ = ["VRM_PRESETS", "VrmMeta", "save_vrm"]

_LICENCE = "https://vrm.dev/licenses/1.0/"


def _both(name: str, weight: float) -> dict[str, float]:
    return {f"{name}Left": weight, f"{name}Right": weight}


#: VRM's own expressions as strengths of ARKit's actions.
VRM_PRESETS: dict[str, dict[str, float]] = {
    "happy": {**_both("mouthSmile", 0.9), **_both("cheekSquint", 0.6), **_both("eyeSquint", 0.3)},
    "angry": {
        **_both("browDown", 1.0),
        **_both("noseSneer", 0.5),
        **_both("mouthFrown", 0.5),
        **_both("eyeSquint", 0.4),
    },
    "sad": {"browInnerUp": 1.0, **_both("mouthFrown", 0.8), "mouthShrugLower": 0.3},
    "relaxed": {**_both("mouthSmile", 0.3), **_both("eyeBlink", 0.3)},
    "surprised": {
        "browInnerUp": 0.8,
        **_both("browOuterUp", 0.8),
        **_both("eyeWide", 0.8),
        "jawOpen": 0.4,
    },
    "aa": {"jawOpen": 0.7},
    "ih": {"jawOpen": 0.15, **_both("mouthStretch", 0.5), **_both("mouthSmile", 0.2)},
    "ou": {"jawOpen": 0.15, "mouthPucker": 0.9},
    "ee": {"jawOpen": 0.2, **_both("mouthSmile", 0.4), **_both("mouthStretch", 0.4)},
    "oh": {"jawOpen": 0.4, "mouthFunnel": 0.8},
    "blink": _both("eyeBlink", 1.0),
    "blinkLeft": {"eyeBlinkLeft": 1.0},
    "blinkRight": {"eyeBlinkRight": 1.0},
    "neutral": {},
}

#: Degrees that the eyes turn at most, and degrees of the target's direction that make them.
_EYE_TURN, _EYE_INPUT = 10.0, 30.0


@dataclass(frozen=True)
class VrmMeta:
    """What the file says of itself; the strictest permissions unless the user chooses others.

    name:       of the avatar.
    author:     who made it.
    permission: who may act as it.
    licence:    address of a licence of the author's own, beside VRM's.
    """

    name: str
    author: str
    permission: VrmPermission = "onlyAuthor"
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.author.strip():
            raise PearError("a VRM file states its name and its author; neither may be empty")
        if self.permission not in get_args(VrmPermission):
            raise PearError(
                f"permission must be one of {get_args(VrmPermission)}, got {self.permission!r}"
            )
        if self.licence and not self.licence.startswith(("https://", "http://")):
            raise PearError(
                f"the licence must be a web address (https://...), got {self.licence!r}"
            )

    def to_json(self) -> dict[str, Any]:
        """The object ``meta`` of the extension."""
        more = {"otherLicenseUrl": self.licence} if self.licence else {}
        return {
            "name": self.name,
            "version": "1",
            "authors": [self.author],
            "licenseUrl": _LICENCE,
            "avatarPermission": self.permission,
            "allowExcessivelyViolentUsage": False,
            "allowExcessivelySexualUsage": False,
            "commercialUsage": "personalNonProfit",
            "allowPoliticalOrReligiousUsage": False,
            "allowAntisocialOrHateUsage": False,
            "creditNotation": "required",
            "allowRedistribution": False,
            "modification": "prohibited",
            **more,
        }


def save_vrm(path: str | Path, avatar: Avatar, meta: VrmMeta, *, texture_size: int = 1024) -> None:
    """Write an avatar as VRM 1.0: skeleton with VRM's names, 52 ARKit expressions and VRM's own.

    A vertex follows its four strongest joints, since most VRM programs read no more.

    Args:
        path: the ``.vrm`` file; it appears whole or not at all.
        avatar: the person.
        meta: name, author and permissions.
        texture_size: pixels a side of the texture.

    Raises:
        PearError: another ending, or a body whose joints are not SMPL-X's.
    """
    path = Path(path)
    if path.suffix.lower() != ".vrm":
        raise PearError(f"a VRM file ends in .vrm, got {path.name!r}")
    if avatar.body.num_joints != NUM_JOINTS:
        raise PearError(f"VRM needs a body of {NUM_JOINTS} joints, got {avatar.body.num_joints}")
    figure = build_figure(
        avatar.body,
        (),
        morphs=Morphs(shape=0),
        surface=avatar_surface(avatar, texture_size),
        rig=RigStyle(bones="vrm"),
        influences=4,
    )
    document = figure.document
    document.use_extension("VRMC_vrm")
    nodes = figure.skeleton.joints
    bones = {bone: {"node": node} for bone, node in zip(VRM_BONES, nodes, strict=True)}
    document.root["extensions"] = {
        "VRMC_vrm": {
            "specVersion": "1.0",
            "meta": meta.to_json(),
            "humanoid": {"humanBones": bones},
            "expressions": _expressions(figure),
            "firstPerson": {"meshAnnotations": [{"node": figure.mesh_node, "type": "auto"}]},
            "lookAt": _look_at(avatar),
        }
    }
    document.write(path)


def _expressions(figure: Figure) -> dict[str, Any]:
    """VRM's own expressions as far as the morphs make them, and each morph under its own name."""
    index = {name: i for i, name in enumerate(figure.targets)}

    def bound(weights: dict[str, float]) -> dict[str, Any]:
        binds = [
            {"node": figure.mesh_node, "index": index[name], "weight": weight}
            for name, weight in weights.items()
        ]
        return {"morphTargetBinds": binds} if binds else {}

    preset = {
        name: bound(weights)
        for name, weights in VRM_PRESETS.items()
        if weights.keys() <= index.keys()
    }
    return {"preset": preset, "custom": {name: bound({name: 1.0}) for name in figure.targets}}


def _look_at(avatar: Avatar) -> dict[str, Any]:
    """Eyes that turn with what they look at, seen from between them."""
    joints = avatar.body.joint_template.double().cpu()
    eyes = joints[[JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]].mean(0)
    # The head's axes are the world's: its bone points straight up.
    offset = (eyes - joints[JOINT_INDEX["head"]]).tolist()
    turn = {"inputMaxValue": _EYE_INPUT, "outputScale": _EYE_TURN}
    sides = ("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")
    ranges = {f"rangeMap{side}": turn for side in sides}
    return {"type": "bone", "offsetFromHeadBone": offset, **ranges}
