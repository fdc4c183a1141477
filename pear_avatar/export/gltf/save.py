"""A body, or a body in motion, as one glTF file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.export.gltf.animation import (
    SkeletonNodes,
    joint_keys,
    write_animation,
    write_skeleton,
)
from pear_avatar.export.gltf.correctives import influence_correctives, pose_correctives
from pear_avatar.export.gltf.document import VERTICES, GltfDocument
from pear_avatar.export.gltf.mesh import (
    Influences,
    MeshLayout,
    skin_attributes,
    skin_influences,
    write_faces,
)
from pear_avatar.export.gltf.morphs import AUTO_PREFIX, Morphs, MorphTargets, build_morphs
from pear_avatar.export.rig import Rig, RigStyle
from pear_avatar.geometry.meshes import vertex_normals
from pear_avatar.motion.resample import resample_motion
from pear_avatar.types import BodyParams, Motion

__all__ = ["Figure", "Surface", "as_motions", "build_figure", "clip_names", "save_glb"]

#: Of a body that brings no colour: a light, warm grey (linear RGBA).
_PLAIN = (0.62, 0.55, 0.50, 1.0)
_ROUGHNESS = 0.8

_DEFAULT_MORPHS = Morphs()
_DEFAULT_RIG = RigStyle()


@dataclass(frozen=True)
class Surface:
    """What the skin looks like.

    colors:  (V, 3) display RGB in [0, 1] for each vertex of the body.
    texture: (H, W, 3 or 4) uint8 display RGB in the body's texture coordinates, first row on top;
             preferred to ``colors``.
    unlit:   show colours as they are (``KHR_materials_unlit``), for colours that hold light.
    """

    colors: Tensor | np.ndarray | None = None
    texture: np.ndarray | None = None
    unlit: bool = False


@dataclass(frozen=True)
class Figure:
    """A document that holds a body: where its skeleton and its mesh lie, and the T morph names."""

    document: GltfDocument
    skeleton: SkeletonNodes
    mesh_node: int
    targets: tuple[str, ...]


def save_glb(
    path: str | Path,
    body: BodyModel,
    motion: Motion | Sequence[Motion] | None = None,
    *,
    morphs: Morphs = _DEFAULT_MORPHS,
    betas: Tensor | None = None,
    colors: Tensor | np.ndarray | None = None,
    texture: np.ndarray | None = None,
    fps: float | None = None,
    influences: Influences | None = None,
    unlit: bool = False,
    rig: RigStyle = _DEFAULT_RIG,
) -> None:
    """Write a skinned body as ``.glb`` or ``.gltf``: y up, facing +z, metres, nodes in T-pose.

    The file holds the mesh in the motion's shape with its texture coordinates, the joints by
    name, morph targets by name, and one animation for each motion. It stands on the floor at the
    origin; each motion begins there.

    Args:
        path: the file; it appears whole or not at all.
        body: any body; that of an avatar is already personal.
        motion: what to animate, one or several; None writes the T-pose alone.
        morphs: which morph targets.
        betas: (S,) the shape of the mesh; by default the (first) motion's.
        colors: (V, 3) display RGB in [0, 1] for each vertex of the body.
        texture: (H, W, 3 or 4) uint8 display RGB; see :class:`Surface`.
        fps: key frames a second; by default the motion's own frames.
        influences: joints that move a vertex, 4 or 8; see :func:`build_figure`.
        unlit: show colours as they are, for colours that hold light.
        rig: root, names and axes of the joints.

    Raises:
        ValueError: arguments that do not fit the body, or an ending that is no glTF.
    """
    motions = as_motions(motion, fps)
    surface = Surface(colors, texture, unlit)
    figure = build_figure(
        body, motions, morphs=morphs, betas=betas, surface=surface, influences=influences, rig=rig
    )
    figure.document.write(path)


def build_figure(
    body: BodyModel,
    motions: Sequence[Motion],
    *,
    morphs: Morphs,
    surface: Surface,
    rig: RigStyle,
    betas: Tensor | None = None,
    influences: Influences | None = None,
) -> Figure:
    """Put a body and its motions into a document.

    Pose correctives (licensed SMPL-X has them) become morph targets of these very motions.

    Args:
        body: any body.
        motions: one animation each.
        morphs: which morph targets.
        surface: colours.
        rig: root, names and axes of the joints.
        betas: (S,) the shape of the mesh; by default the first motion's.
        influences: joints that move a vertex. 4 with a motion, by default: every reader shows it
            within 0.3 mm, since morph targets of these motions (names with ``AUTO_PREFIX``) make
            up for the weaker joints that a few vertices (armpits, neck) would also follow.
            8 without one, for a body to be posed: exact in any pose where the second set of four
            is read (Blender, engines), and up to 15 mm off at those vertices where only the
            first is (three.js).
    """
    if influences is None:
        influences = 4 if motions else 8
    if influences not in (4, 8):
        raise PearError(f"influences must be 4 or 8, got {influences}")
    if surface.texture is not None:
        surface = replace(surface, colors=None)  # glTF would multiply the two
    betas = _shape_of(body, motions, betas)
    document = GltfDocument()
    with torch.no_grad():
        skeleton = Rig.of(body, betas, rig)
        targets, weights = _targets(body, betas, morphs, motions, influences)
        nodes = write_skeleton(document, skeleton)
        layout = MeshLayout.of(body)
        vertices = body.shape(betas).vertices() + torch.from_numpy(skeleton.shift)
        primitive = {
            "attributes": {
                **_surface(document, body, layout, vertices, surface.colors),
                **skin_attributes(document, body, layout, influences),
            },
            "indices": write_faces(document, layout),
            "material": _material(document, layout, surface),
        }
        mesh = _mesh(document, layout, primitive, targets)
        node = document.add("nodes", {"name": "body", "mesh": mesh, "skin": nodes.skin})
        for motion, name, driven in zip(motions, clip_names(motions), weights, strict=True):
            keys = joint_keys(skeleton, body, betas, motion)
            write_animation(document, skeleton, nodes, keys, driven, mesh_node=node, name=name)
    document.root["scene"] = document.add("scenes", {"nodes": [nodes.top, node]})
    return Figure(document, nodes, node, targets.names)


def as_motions(
    motion: Motion | Sequence[Motion] | None, fps: float | None = None
) -> tuple[Motion, ...]:
    """One, several or no motions as a tuple, with ``fps`` frames a second where that is set."""
    if motion is None:
        return ()
    motions = (motion,) if isinstance(motion, Motion) else tuple(motion)
    return motions if fps is None else tuple(resample_motion(m, fps)[0] for m in motions)


def clip_names(motions: Sequence[Motion]) -> list[str]:
    """A name for each motion; a name that comes again gets a number."""
    seen: Counter[str] = Counter()
    names = []
    for motion in motions:
        name = motion.name or "motion"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names


def _targets(
    body: BodyModel,
    betas: Tensor | None,
    morphs: Morphs,
    motions: Sequence[Motion],
    influences: Influences,
) -> tuple[MorphTargets, list[np.ndarray]]:
    """The file's T morph targets, and their weights (N, T) over each motion."""
    motion = _joined(motions)
    expression = None if motion is None else motion.params.expression
    targets = build_morphs(body, betas, morphs, expression)
    if motion is None:
        return targets, []
    weights = [targets.weights(motion.params.expression)]
    deltas: list[np.ndarray] = []
    for more, driven in (
        pose_correctives(body, motion.params.rotations),
        influence_correctives(body, skin_influences(body, influences), betas, motion),
    ):
        deltas += more
        weights.append(driven)
    added = tuple(f"{AUTO_PREFIX}skin_{k:02d}" for k in range(len(deltas)))
    targets = replace(targets, names=targets.names + added, deltas=(*targets.deltas, *deltas))
    ends = np.cumsum([m.params.num_frames for m in motions])[:-1]
    return targets, np.split(np.concatenate(weights, axis=1), ends)


def _joined(motions: Sequence[Motion]) -> Motion | None:
    """All frames one after another: what morph targets must serve."""
    if len(motions) < 2:
        return motions[0] if motions else None
    params = [m.params for m in motions]
    wide = max(p.expression.shape[1] for p in params)
    pad = torch.nn.functional.pad
    joined = BodyParams(
        params[0].betas,
        torch.cat([pad(p.expression, (0, wide - p.expression.shape[1])) for p in params]),
        torch.cat([p.rotations for p in params]),
        torch.cat([p.transl for p in params]),
    )
    return Motion(joined, np.arange(joined.num_frames, dtype=np.float64))


def _shape_of(body: BodyModel, motions: Sequence[Motion], betas: Tensor | None) -> Tensor | None:
    """The shape of the mesh; a personal body has no coefficients left to set."""
    if body.num_betas == 0:
        return None
    if betas is None and motions:
        betas = motions[0].params.betas
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


def _material(document: GltfDocument, layout: MeshLayout, look: Surface) -> int:
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": _ROUGHNESS}
    if look.texture is not None:
        if layout.uv is None:
            raise PearError("this body has no texture coordinates; give colors instead")
        # Linear filtering with mipmaps; repeating is never wanted on a body.
        sampler = {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}
        source = {
            "source": document.png(look.texture),
            "sampler": document.add("samplers", sampler),
        }
        surface["baseColorTexture"] = {"index": document.add("textures", source)}
    elif look.colors is None:
        surface["baseColorFactor"] = list(_PLAIN)
    material: dict[str, Any] = {"name": "body", "pbrMetallicRoughness": surface}
    if look.unlit:
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
