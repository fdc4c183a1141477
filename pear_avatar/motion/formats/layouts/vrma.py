"""VRM animations (VRMA), and GLB files with an animated human skeleton.

A VRMA file is a GLB whose extension ``VRMC_vrm_animation`` says which node is which bone; other
GLB files are recognised by their nodes' names, as BVH is.
"""

from __future__ import annotations

import struct
from typing import Any

from pear_avatar.motion.formats.captures import capture_file
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.glb_nodes import GlbFile, capture_of_glb
from pear_avatar.motion.formats.read_options import ReadOptions

_MAGIC = b"glTF"
_EXTENSION = "VRMC_vrm_animation"


def sniff(content: Content) -> bool:
    """Whether the data begin as GLB files do."""
    return content.data.startswith(_MAGIC)


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The body moved as the nodes move."""
    try:
        glb = GlbFile(content.data)
        capture = capture_of_glb(glb, _bones(glb.json), content.name)
    except (struct.error, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        what = " ".join(str(error).split())[:120]
        raise content.error(
            f"no animated skeleton can be read from it ({what}); export it as GLB with animation"
        ) from error
    return capture_file(capture, FORMAT.name, options)


def _bones(content: dict[str, Any]) -> dict[int, str]:
    """Node -> the bone's name, where the file says it."""
    extension = content.get("extensions", {}).get(_EXTENSION, {})
    bones = extension.get("humanoid", {}).get("humanBones", {})
    return {int(bone["node"]): str(name) for name, bone in bones.items()}


FORMAT = Format(
    name="vrma",
    files="VRMA (VRM animation), and GLB with an animated human skeleton",
    notes="retargeted as BVH is, bones by the file's own table or by names; the longest animation, "
    "evenly sampled",
    endings=(".vrma", ".glb"),
    sniff=sniff,
    read=read,
    rank=30,
)
