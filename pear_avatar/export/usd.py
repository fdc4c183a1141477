"""An avatar as USD: a skinned mesh (UsdSkel) with blend shapes, texture and animations.

One ``.usdz`` archive, as Blender, Unreal, Omniverse, Houdini and Apple's programs open it. The
format is written by Pixar's own library, the package ``usd-core``, which is an extra.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.export.avatar_mesh import avatar_surface
from pear_avatar.export.gltf import Morphs, Surface, as_motions
from pear_avatar.export.gltf.animation import JointKeys, joint_keys
from pear_avatar.export.gltf.mesh import MeshLayout, skin_influences
from pear_avatar.export.gltf.morphs import MorphTargets, build_morphs
from pear_avatar.export.gltf.save import clip_names
from pear_avatar.export.rig import Rig, RigStyle
from pear_avatar.geometry.meshes import vertex_normals
from pear_avatar.io.atomic import atomic_path
from pear_avatar.types import Motion

__all__ = ["save_usd"]

#: USD counts time in frames of the stage.
_FRAMES_A_SECOND = 60.0
_DEFAULT_RIG = RigStyle()
_PERSON, _SKELETON, _MESH = "/Person", "/Person/Skeleton", "/Person/Body"


@dataclass(frozen=True)
class _Pixar:
    """The modules of ``pxr`` that are used here; they have no types."""

    Gf: Any
    Sdf: Any
    Usd: Any
    UsdGeom: Any
    UsdShade: Any
    UsdSkel: Any
    UsdUtils: Any
    Vt: Any

    @classmethod
    def load(cls) -> _Pixar:
        try:
            return cls(**{n: importlib.import_module(f"pxr.{n}") for n in cls.__annotations__})
        except ImportError as error:
            raise PearError(
                f"USD needs Pixar's library ({error}): pip install 'pear-avatar[usd]'"
            ) from error


def save_usd(
    path: str | Path,
    avatar: Avatar,
    motion: Motion | Sequence[Motion] | None = None,
    *,
    texture_size: int = 1024,
    fps: float | None = None,
    rig: RigStyle = _DEFAULT_RIG,
) -> None:
    """Write an avatar as ``.usdz``: metres, y up, all joints that move a vertex, facial actions.

    Args:
        path: the file; it appears whole or not at all.
        avatar: the person.
        motion: what to animate, one or several; the first is bound, all lie under the skeleton.
        texture_size: pixels a side of the texture.
        fps: key frames a second; by default the motion's own frames.
        rig: root, names and axes of the joints.

    Raises:
        PearError: another ending, or ``usd-core`` is not installed.
    """
    path = Path(path)
    if path.suffix.lower() != ".usdz":
        raise PearError(f"USD is written as one .usdz archive, got {path.name!r}")
    pixar = _Pixar.load()
    motions = as_motions(motion, fps)
    surface = avatar_surface(avatar, texture_size)
    with tempfile.TemporaryDirectory(prefix="pear-avatar-") as name, torch.no_grad():
        folder = Path(name)
        layer = folder / "person.usdc"
        stage = pixar.Usd.Stage.CreateNew(str(layer))
        writer = _Writer(pixar, stage, avatar.body, Rig.of(avatar.body, None, rig))
        writer.write(motions, surface, folder)
        stage.GetRootLayer().Save()
        archive = folder / "person.usdz"
        if not pixar.UsdUtils.CreateNewUsdzPackage(str(layer), str(archive)):
            raise PearError(f"USD's library could not pack {path.name}")
        with atomic_path(path) as temporary:
            temporary.write_bytes(archive.read_bytes())


class _Writer:
    """One person on one stage."""

    def __init__(self, pixar: _Pixar, stage: Any, body: BodyModel, rig: Rig) -> None:
        self._pixar, self._stage, self._body, self._rig = pixar, stage, body, rig
        self._layout = MeshLayout.of(body)
        self._paths = _joint_paths(rig)

    def write(self, motions: Sequence[Motion], surface: Surface, folder: Path) -> None:
        """Everything; the texture goes into the folder beside the stage's layer."""
        p, stage = self._pixar, self._stage
        p.UsdGeom.SetStageUpAxis(stage, p.UsdGeom.Tokens.y)
        p.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetTimeCodesPerSecond(_FRAMES_A_SECOND)
        stage.SetFramesPerSecond(_FRAMES_A_SECOND)
        root = p.UsdSkel.Root.Define(stage, _PERSON)
        stage.SetDefaultPrim(root.GetPrim())
        skeleton = self._skeleton()
        targets = build_morphs(
            self._body, None, Morphs(shape=0, face="actions"), _expressions(motions)
        )
        mesh = self._mesh(skeleton)
        self._blend_shapes(mesh, targets)
        self._material(mesh, surface, folder)
        for index, (motion, name) in enumerate(zip(motions, clip_names(motions), strict=True)):
            animation = self._animation(motion, f"{_SKELETON}/{_prim_name(name, index)}", targets)
            if index == 0:
                binding = p.UsdSkel.BindingAPI.Apply(skeleton.GetPrim())
                binding.CreateAnimationSourceRel().SetTargets([animation.GetPrim().GetPath()])

    def _skeleton(self) -> Any:
        p, rig = self._pixar, self._rig
        skeleton = p.UsdSkel.Skeleton.Define(self._stage, _SKELETON)
        skeleton.CreateJointsAttr(self._paths)
        world, local = rig.world, np.tile(np.eye(4), (len(rig.joints), 1, 1))
        local[:, :3, :3], local[:, :3, 3] = rig.local_rotations, rig.local_offsets
        if rig.root is not None:
            world, local = (np.concatenate([np.eye(4)[None], T]) for T in (world, local))
        # USD's matrices act on rows from the right.
        skeleton.CreateBindTransformsAttr(self._matrices(world))
        skeleton.CreateRestTransformsAttr(self._matrices(local))
        return skeleton

    def _matrices(self, T: np.ndarray) -> Any:
        return self._pixar.Vt.Matrix4dArray.FromNumpy(np.ascontiguousarray(T.transpose(0, 2, 1)))

    def _points(self, values: Tensor | np.ndarray) -> Any:
        rows = np.ascontiguousarray(np.asarray(values, np.float32))
        return self._pixar.Vt.Vec3fArray.FromNumpy(rows)

    def _mesh(self, skeleton: Any) -> Any:
        """Geometry, texture coordinates and every influence of the body."""
        p, body, layout = self._pixar, self._body, self._layout
        mesh = p.UsdGeom.Mesh.Define(self._stage, _MESH)
        vertices = body.v_template.double().cpu().numpy() + self._rig.shift
        points = vertices[layout.vertex]
        mesh.CreatePointsAttr(self._points(points))
        mesh.CreateExtentAttr(self._points(np.stack([points.min(0), points.max(0)])))
        mesh.CreateFaceVertexCountsAttr([3] * len(layout.faces))
        mesh.CreateFaceVertexIndicesAttr(layout.faces.ravel().tolist())
        mesh.CreateSubdivisionSchemeAttr("none")
        normals = vertex_normals(body.v_template, body.faces).cpu().numpy()[layout.vertex]
        mesh.CreateNormalsAttr(self._points(normals))
        mesh.SetNormalsInterpolation(p.UsdGeom.Tokens.vertex)
        primvars = p.UsdGeom.PrimvarsAPI(mesh)
        if layout.uv is not None:
            uv = np.stack([layout.uv[:, 0], 1 - layout.uv[:, 1]], axis=1)  # v from the bottom
            coordinates = primvars.CreatePrimvar(
                "st", p.Sdf.ValueTypeNames.TexCoord2fArray, p.UsdGeom.Tokens.vertex
            )
            coordinates.Set(p.Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(uv)))
        joints, weights = skin_influences(body, body.skin_joints.shape[1])
        binding = p.UsdSkel.BindingAPI.Apply(mesh.GetPrim())
        width = joints.shape[1]
        first = 0 if self._rig.root is None else 1
        index = (joints[layout.vertex].astype(np.int64) + first).ravel().tolist()
        binding.CreateJointIndicesPrimvar(False, width).Set(index)
        weight = weights[layout.vertex].ravel().tolist()
        binding.CreateJointWeightsPrimvar(False, width).Set(weight)
        binding.CreateSkeletonRel().SetTargets([skeleton.GetPrim().GetPath()])
        binding.CreateGeomBindTransformAttr(p.Gf.Matrix4d(1.0))
        return mesh

    def _blend_shapes(self, mesh: Any, targets: MorphTargets) -> None:
        p, layout = self._pixar, self._layout
        paths = []
        for name, delta in zip(targets.names, targets.deltas, strict=True):
            rows = delta[layout.vertex]
            moved = np.flatnonzero(rows.any(axis=1))
            shape = p.UsdSkel.BlendShape.Define(self._stage, f"{_MESH}/{name}")
            shape.CreateOffsetsAttr(self._points(rows[moved]))
            shape.CreatePointIndicesAttr(moved.tolist())
            paths.append(shape.GetPrim().GetPath())
        binding = p.UsdSkel.BindingAPI(mesh.GetPrim())
        binding.CreateBlendShapesAttr(list(targets.names))
        binding.CreateBlendShapeTargetsRel().SetTargets(paths)

    def _material(self, mesh: Any, surface: Surface, folder: Path) -> None:
        """The picture shines by itself, since it holds the light of the video already."""
        p, stage = self._pixar, self._stage
        if surface.texture is None:
            color = mesh.CreateDisplayColorPrimvar(p.UsdGeom.Tokens.vertex)
            display = np.asarray(surface.colors)[self._layout.vertex]
            color.Set(self._points(np.clip(display, 0, 1) ** 2.2))
            return
        Image.fromarray(surface.texture).save(folder / "texture.png")
        names = p.Sdf.ValueTypeNames
        material = p.UsdShade.Material.Define(stage, f"{_PERSON}/Material")
        shader, picture, reader = (
            p.UsdShade.Shader.Define(stage, f"{_PERSON}/Material/{name}")
            for name in ("Surface", "Texture", "Coordinates")
        )
        reader.CreateIdAttr("UsdPrimvarReader_float2")
        reader.CreateInput("varname", names.String).Set("st")
        picture.CreateIdAttr("UsdUVTexture")
        picture.CreateInput("file", names.Asset).Set("texture.png")
        picture.CreateInput("sourceColorSpace", names.Token).Set("sRGB")
        place = reader.CreateOutput("result", names.Float2)
        picture.CreateInput("st", names.Float2).ConnectToSource(place)
        shader.CreateIdAttr("UsdPreviewSurface")
        shader.CreateInput("roughness", names.Float).Set(1.0)
        shader.CreateInput("diffuseColor", names.Color3f).Set((0.0, 0.0, 0.0))
        color = picture.CreateOutput("rgb", names.Float3)
        shader.CreateInput("emissiveColor", names.Color3f).ConnectToSource(color)
        material.CreateSurfaceOutput().ConnectToSource(shader.CreateOutput("surface", names.Token))
        p.UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)

    def _animation(self, motion: Motion, path: str, targets: MorphTargets) -> Any:
        p, rig = self._pixar, self._rig
        keys = joint_keys(rig, self._body, None, motion)
        weights = targets.weights(motion.params.expression)
        animation = p.UsdSkel.Animation.Define(self._stage, path)
        animation.CreateJointsAttr(self._paths)
        animation.CreateBlendShapesAttr(list(targets.names))
        quats, moves = _with_root(keys, rig.root is not None)
        turned = animation.CreateRotationsAttr()
        moved, driven = animation.CreateTranslationsAttr(), animation.CreateBlendShapeWeightsAttr()
        animation.CreateScalesAttr(p.Vt.Vec3hArray(quats.shape[1], p.Gf.Vec3h(1.0)))
        for frame, time in enumerate(keys.time.astype(np.float64) * _FRAMES_A_SECOND):
            code = p.Usd.TimeCode(float(time))
            turned.Set(p.Vt.QuatfArray.FromNumpy(quats[frame]), code)
            moved.Set(self._points(moves[frame]), code)
            driven.Set(p.Vt.FloatArray.FromNumpy(np.ascontiguousarray(weights[frame])), code)
        end = max(self._stage.GetEndTimeCode(), float(keys.time[-1]) * _FRAMES_A_SECOND)
        self._stage.SetStartTimeCode(0.0)
        self._stage.SetEndTimeCode(end)
        return animation


def _with_root(keys: JointKeys, rooted: bool) -> tuple[np.ndarray, np.ndarray]:
    """(N, K, 4) quaternions x y z w and (N, K, 3) metres, the root first where there is one."""
    quats, moves = keys.quats_xyzw, keys.translations
    if rooted:
        still = np.tile([0.0, 0.0, 0.0, 1.0], (len(quats), 1, 1))
        quats = np.concatenate([still, quats], axis=1)
        root = np.zeros((len(moves), 3)) if keys.root is None else keys.root
        moves = np.concatenate([root[:, None], moves], axis=1)
    return np.ascontiguousarray(quats, np.float32), moves


def _expressions(motions: Sequence[Motion]) -> Tensor | None:
    """All frames' expressions, one after another."""
    rows = [m.params.expression for m in motions]
    wide = max((r.shape[1] for r in rows), default=0)
    pad = torch.nn.functional.pad
    return torch.cat([pad(r, (0, wide - r.shape[1])) for r in rows]) if rows else None


def _joint_paths(rig: Rig) -> list[str]:
    """USD's joint names: the way from the root, parents first."""
    paths: list[str] = []
    for name, parent in zip(rig.names, rig.parents, strict=True):
        above = rig.root if parent < 0 else paths[parent]
        plain = name.replace(":", "_")
        paths.append(plain if above is None else f"{above}/{plain}")
    return paths if rig.root is None else [rig.root, *paths]


def _prim_name(name: str, index: int) -> str:
    """A clip's name as USD allows it; the number keeps those apart that become equal."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"clip_{index:02d}_{plain}"
