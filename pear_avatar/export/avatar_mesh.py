"""The avatar as a skinned mesh that looks like the person, for Blender, three.js and engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.export.gltf import Influences, Morphs, Surface, save_glb
from pear_avatar.export.rig import RigStyle
from pear_avatar.export.texture import bake_texture, vertex_colors
from pear_avatar.types import Motion

__all__ = ["avatar_surface", "save_avatar_glb"]

_FACE_ONLY = Morphs(shape=0)
_DEFAULT_RIG = RigStyle()


def save_avatar_glb(
    path: str | Path,
    avatar: Avatar,
    motion: Motion | Sequence[Motion] | None = None,
    *,
    texture_size: int = 1024,
    morphs: Morphs = _FACE_ONLY,
    influences: Influences | None = None,
    fps: float | None = None,
    rig: RigStyle = _DEFAULT_RIG,
) -> None:
    """Write the avatar's personal mesh with its 55 joints, facial actions and baked colours.

    The colours hold the light of the video, so the material is unlit. A body without texture
    coordinates gets colours at its vertices.

    Args:
        path: ``.glb`` or ``.gltf``; it appears whole or not at all.
        avatar: the person; their shape and clothes are in the mesh.
        motion: what to animate, one or several; their betas are not used.
        texture_size: pixels a side of the baked texture.
        morphs: which morph targets; a personal body has no shape coefficients left.
        influences: joints that move a vertex, 4 or 8; see :func:`pear_avatar.export.gltf.save_glb`.
        fps: key frames a second; by default the motion's own frames.
        rig: root, names and axes of the joints.
    """
    surface = avatar_surface(avatar, texture_size)
    save_glb(
        path,
        avatar.body,
        motion,
        morphs=morphs,
        colors=surface.colors,
        texture=surface.texture,
        fps=fps,
        influences=influences,
        unlit=surface.unlit,
        rig=rig,
    )


def avatar_surface(avatar: Avatar, texture_size: int = 1024) -> Surface:
    """The colours of an avatar's splats on its mesh, with the light of the video in them."""
    if avatar.body.uv.shape[0] == 0:
        return Surface(colors=vertex_colors(avatar), unlit=True)
    return Surface(texture=bake_texture(avatar, texture_size), unlit=True)
