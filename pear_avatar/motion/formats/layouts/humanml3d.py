"""HumanML3D's and KIT's features, which hold no motion that a reader can take: a message."""

from __future__ import annotations

from pear_avatar.motion.formats.content import BARE, Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions

#: Columns -> joints of the positions that can be recovered.
_WIDTHS = {263: 22, 251: 21}


def sniff(content: Content) -> bool:
    """Whether there is one array with as many columns as the features."""
    shape = content.arrays.shape(BARE)
    return len(shape) in (2, 3) and shape[-1] in _WIDTHS


def read(content: Content, options: ReadOptions) -> MotionFile:
    """Says how the features become joint positions, which are read."""
    width = content.arrays.shape(BARE)[-1]
    raise content.error(
        f"{width} features of HumanML3D's kind, relative to each frame's heading and in many "
        "files normalised: turn them into joint positions with recover_from_ric(data, "
        f"{_WIDTHS[width]}) of HumanML3D's scripts, after data * std + mean where they are "
        f"normalised, save the result (N, {_WIDTHS[width]}, 3) as npy, and read that"
    )


FORMAT = Format(
    name="humanml3d",
    files="HumanML3D's 263 features (KIT's 251)",
    notes="not read; a message says how they become joint positions, which are",
    endings=(".npy",),
    sniff=sniff,
    read=read,
    rank=20,
)
