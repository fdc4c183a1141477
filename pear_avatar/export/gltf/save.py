"""A body, or a body in motion, as one glTF file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.export.gltf.animation import write_animation, write_skeleton
from pear_avatar.export.gltf.correctives import influence_correctives, pose_correctives
from pear_avatar.export.gltf.document import VERTICES, GltfDocument
from pear_avatar.export.gltf.mesh import (
    Influences,
    MeshLayout,
    skin_attributes,
    skin_influences,
    write_faces,
)
from pear_avatar.export.gltf.morphs import Morphs, MorphTargets, build_morphs
from pear_avatar.geometry.meshes import vertex_normals
from pear_avatar.motion.resample import resample_motion
from pear_avatar.types import Motion

__all__ = ["save_glb"]

#: Of a body that brings no colour: a light, warm grey (linear RGBA).
_PLAIN = (0.62, 0.55, 0.50, 1.0)
_ROUGHNESS = 0.8

_DEFAULT_MORPHS = Morphs()


def save_glb(
    path: str | Path,
    body: BodyModel,
    motion: Motion | None = None,
    *,
    morphs: Morphs = _DEFAULT_MORPHS,
    betas: Tensor | None = None,
    colors: Tensor | np.ndarray | None = None,
    texture: np.ndarray | None = None,
    fps: float | None = None,
    influences: Influences | None = None,
    unlit: bool = False,
) -> None:
    """Write a skinned body as ``.glb`` or ``.gltf``: y up, facing +z, metres, nodes in T-pose.

    The file holds the mesh in the motion's shape with its texture coordinates, the joints by
    name, morph targets by name, and one animation. Pose correctives (licensed SMPL-X has them)
    become morph targets of this one motion, ``corrective_00`` and so on.

    Args:
        path: the file; it appears whole or not at all.
        body: any body; that of an avatar is already personal.
        motion: what to animate; None writes the T-pose alone.
        morphs: which morph targets.
        betas: (S,) the shape of the mesh; by default the motion's.
        colors: (V, 3) display RGB in [0, 1] for each vertex of the body.
        texture: (H, W, 3 or 4) uint8 display RGB in the body's texture coordinates, first row on
            top; preferred to ``colors``.
        fps: key frames a second; by default the motion's own frames.
        influences: joints that move a vertex. 4 with a motion, by default: every reader shows it
            within 0.3 mm, since morph targets of this one motion (``corrective_00`` and so on)
            make up for the weaker joints that a few vertices (armpits, neck) would also follow.
            8 without one, for a body to be posed: exact in any pose where the second set of four
            is read (Blender, engines), and up to 15 mm off at those vertices where only the
            first is (three.js).
        unlit: show colours as they are (``KHR_materials_unlit``), for colours that hold light.

    Raises:
        ValueError: arguments that do not fit the body, or an ending that is no glTF.
    """
    if influences is None:
        influences = 8 if motion is None else 4
    if influences not in (4, 8):
        raise PearError(f"influences must be 4 or 8, got {influences}")
    if motion is not None and fps is not None:
        motion = resample_motion(motion, fps)[0]
    if texture is not None:
        colors = None  # glTF would multiply the two
    betas = _shape_of(body, motion, betas)
    document = GltfDocument()
    with torch.no_grad():
        shaped = body.shape(betas)
        targets, weights = _targets(body, betas, morphs, motion, influences)
        skin = write_skeleton(document, body, shaped.joints)
        layout = MeshLayout.of(body)
        primitive = {
            "attributes": {
                **_surface(document, body, layout, shaped.vertices(), colors),
                **skin_attributes(document, body, layout, influences),
            },
            "indices": write_faces(document, layout),
            "material": _material(document, layout, colors, texture, unlit),
        }
        mesh = _mesh(document, layout, primitive, targets)
        node = document.add("nodes", {"name": "body", "mesh": mesh, "skin": skin})
        if motion is not None:
            write_animation(document, body, betas, motion, weights, mesh_node=node)
    document.root["scene"] = document.add("scenes", {"nodes": [0, node]})
    document.write(path)


def _targets(
    body: BodyModel,
    betas: Tensor | None,
    morphs: Morphs,
    motion: Motion | None,
    influences: Influences,
) -> tuple[MorphTargets, np.ndarray]:
    """The file's T morph targets, and their weights (N, T) over the motion."""
    expression = None if motion is None else motion.params.expression
    targets = build_morphs(body, betas, morphs, expression)
    if motion is None:
        return targets, np.zeros((0, len(targets.names)), np.float32)
    weights = [targets.weights(motion.params.expression)]
    deltas: list[np.ndarray] = []
    for more, driven in (
        pose_correctives(body, motion.params.rotations),
        influence_correctives(body, skin_influences(body, influences), betas, motion),
    ):
        deltas += more
        weights.append(driven)
    added = tuple(f"corrective_{k:02d}" for k in range(len(deltas)))
    targets = replace(targets, names=targets.names + added, deltas=(*targets.deltas, *deltas))
    return targets, np.concatenate(weights, axis=1)


def _shape_of(body: BodyModel, motion: Motion | None, betas: Tensor | None) -> Tensor | None:
    """The shape of the mesh; a personal body has no coefficients left to set."""
    if body.num_betas == 0:
        return None
    if betas is None and motion is not None:
        betas = motion.params.betas
    if betas is not None and betas.dim() != 1:
        raise ValueError(f"one file holds one shape, betas (S,); got {tuple(betas.shape)}")
    return None if betas is None else betas.to(body.v_template)


def _surface(
    document: GltfDocument,
    body: BodyModel,
    layout: MeshLayout,
    vertices: Tensor,
    colors: Tensor | np.ndarray | None,
) -> dict[str, int]:
    """Positions, normals, texture coordinates and colours."""
    normals = vertex_normals(vertices, body.faces)
    # A vertex without a proper triangle has no normal; readers want a unit vector all the same.
    lost = normals.norm(dim=-1, keepdim=True) < 0.5
    normals = torch.where(lost, normals.new_tensor([0.0, 0.0, 1.0]), normals)
    attributes = {
        "POSITION": document.accessor(_rows(vertices, layout), target=VERTICES, bounds=True),
        "NORMAL": document.accessor(_rows(normals, layout), target=VERTICES),
    }
    if layout.uv is not None:
        attributes["TEXCOORD_0"] = document.accessor(layout.uv, target=VERTICES)
    if colors is not None:
        rgba = _vertex_colors(colors, body.num_vertices)[layout.vertex]
        attributes["COLOR_0"] = document.accessor(rgba, target=VERTICES, normalized=True)
    return attributes


def _rows(values: Tensor, layout: MeshLayout) -> np.ndarray:
    return values.detach().float().cpu().numpy()[layout.vertex]


def _vertex_colors(colors: Tensor | np.ndarray, count: int) -> np.ndarray:
    """(V, 3) display RGB -> (V, 4) uint16, linear as glTF's vertex colours are.

    16 bits, because 8 linear bits would show steps in dark cloth.
    """
    rgb = colors.detach().cpu().numpy() if isinstance(colors, Tensor) else np.asarray(colors)
    if rgb.shape != (count, 3):
        raise ValueError(f"colors must have shape ({count}, 3), got {rgb.shape}")
    rgb = np.clip(rgb.astype(np.float64), 0, 1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    rgba = np.concatenate([linear, np.ones((count, 1))], axis=1)
    return (rgba * 65535).round().astype(np.uint16)


def _material(
    document: GltfDocument,
    layout: MeshLayout,
    colors: Tensor | np.ndarray | None,
    texture: np.ndarray | None,
    unlit: bool,
) -> int:
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": _ROUGHNESS}
    if texture is not None:
        if layout.uv is None:
            raise PearError("this body has no texture coordinates; give colors instead")
        # Linear filtering with mipmaps; repeating is never wanted on a body.
        sampler = {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}
        source = {"source": document.png(texture), "sampler": document.add("samplers", sampler)}
        surface["baseColorTexture"] = {"index": document.add("textures", source)}
    elif colors is None:
        surface["baseColorFactor"] = list(_PLAIN)
    material: dict[str, Any] = {"name": "body", "pbrMetallicRoughness": surface}
    if unlit:
        document.use_extension("KHR_materials_unlit")
        material["extensions"] = {"KHR_materials_unlit": {}}
    return document.add("materials", material)


def _mesh(
    document: GltfDocument, layout: MeshLayout, primitive: dict[str, Any], targets: MorphTargets
) -> int:
    mesh: dict[str, Any] = {"name": "body", "primitives": [primitive]}
    if targets.names:
        primitive["targets"] = [
            {"POSITION": document.sparse_accessor(delta[layout.vertex])} for delta in targets.deltas
        ]
        mesh["weights"] = [0.0] * len(targets.names)
        mesh["extras"] = {"targetNames": list(targets.names)}
    return document.add("meshes", mesh)
