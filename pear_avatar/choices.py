"""What a user chooses by name, stated once: code, command line and messages take it from here.

Importing this module loads nothing, so that the command line can list choices at once.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

__all__ = [
    "NPZ_LAYOUTS",
    "BodyName",
    "BoneNames",
    "Convention",
    "Gender",
    "NpzLayout",
    "Precision",
    "RootKind",
    "SplatAxes",
    "Travel",
    "VrmPermission",
]


class BodyName(str, Enum):
    """Which body: the open one that ships with the package, or SMPL-X files of the user's own."""

    OPEN = "open"
    SMPLX = "smplx"

    def __str__(self) -> str:
        return self.value

    @property
    def is_open(self) -> bool:
        """Whether it is the open body, which needs no licensed files."""
        return self is BodyName.OPEN


#: Which of the licensed files.
Gender = Literal["neutral", "male", "female"]

#: Names of the arrays in an ``.npz`` file of motion that is written, and what they are.
NpzLayout = Literal["amass", "smplh", "smplx", "ehm", "track"]
NPZ_LAYOUTS: dict[NpzLayout, str] = {
    "amass": "SMPL-X",
    "smplh": "AMASS without a face",
    "smplx": "as SMPLer-X writes",
    "ehm": "EHM tracker",
    "track": "with cameras, from a track",
}

#: Whose joint names an exported skeleton carries.
BoneNames = Literal["smplx", "mixamo", "unreal", "vrm"]

#: Where an exported skeleton begins, and what carries its way over the floor.
RootKind = Literal["floor", "pelvis"]
Travel = Literal["root", "pelvis", "in-place"]

#: Which way a file of splats stands: "y-up" as our world and OpenGL's (x right, y up, z back), or
#: "y-down" as cameras' and most 3DGS captures' (x right, y down, z forward).
SplatAxes = Literal["y-up", "y-down"]

#: How head and hands join the body, and how a network's crops are cut. "eased": heads scale about
#: the eyes, seams are eased over some skin, wide boxes are seen whole. "pear": exactly as the
#: published programs of PEAR and the EHM tracker do it.
Convention = Literal["eased", "pear"]

#: Of the PEAR network's products: "auto" takes bfloat16 where the device is faster with it.
Precision = Literal["auto", "float32"]

#: Who may act as the avatar of a VRM file, in VRM's own words.
VrmPermission = Literal["onlyAuthor", "onlySeparatelyLicensedPerson", "everyone"]
