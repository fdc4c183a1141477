"""Avatars for other programs: splats of one pose (PLY, SPZ, glTF), and a skinned, textured mesh."""

from pear_avatar.export.avatar_mesh import save_avatar_glb
from pear_avatar.export.splat_gltf import save_splat_gltf
from pear_avatar.export.splat_ply import save_splat_ply
from pear_avatar.export.spz import save_spz
from pear_avatar.export.texture import bake_texture, vertex_colors
from pear_avatar.export.usd import save_usd
from pear_avatar.export.vrm import VrmMeta, save_vrm

__all__ = [
    "VrmMeta",
    "bake_texture",
    "save_avatar_glb",
    "save_splat_gltf",
    "save_splat_ply",
    "save_spz",
    "save_usd",
    "save_vrm",
    "vertex_colors",
]
