"""Meshes as OBJ (text) and PLY (binary): one frame in a file, or a motion in a folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.io.atomic import atomic_folder, atomic_path
from pear_avatar.io.replacing import is_ours
from pear_avatar.motion.resample import resample_motion
from pear_avatar.types import Motion

__all__ = ["MeshKind", "save_mesh", "save_mesh_sequence"]

MeshKind = Literal["obj", "ply"]

_FRAME_NAME = re.compile(r"frame_\d{5,}\.(obj|ply)")

#: Frames posed at a time.
_BATCH = 16

Encoder = Callable[[np.ndarray], bytes]


def save_mesh(
    path: str | Path,
    body: BodyModel,
    vertices: Tensor | np.ndarray,
    *,
    colors: Tensor | np.ndarray | None = None,
) -> None:
    """Write one mesh; the ending, ``.obj`` or ``.ply``, picks the format.

    Metres, y up, in the world of the vertices. OBJ files carry the body's texture coordinates.

    Args:
        path: the file; it appears whole or not at all.
        body: whose triangles the vertices belong to.
        vertices: (V, 3).
        colors: (V, 3) RGB in [0, 1] for each vertex; in OBJ files they follow the coordinates,
            as MeshLab, Blender and trimesh read them.
    """
    path = Path(path)
    encode = _encoder(path.suffix.lower().removeprefix("."), body, colors)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode(_array(vertices)))


def save_mesh_sequence(
    folder: str | Path,
    body: BodyModel,
    motion: Motion,
    *,
    kind: MeshKind = "obj",
    colors: Tensor | np.ndarray | None = None,
    fps: float | None = None,
) -> int:
    """Write ``frame_00000.obj`` (or ``.ply``) and so on: one mesh for each frame of a motion.

    Args:
        folder: appears whole or not at all; a folder of earlier frames is replaced, any other
            that is not empty is refused.
        body: what moves; a personal body ignores the motion's betas.
        motion: the poses.
        kind: "obj" or "ply".
        colors: (V, 3), see :func:`save_mesh`.
        fps: frames a second; by default the motion's own frames.

    Returns:
        The number of frames.
    """
    encode = _encoder(kind, body, colors)
    if fps is not None:
        motion = resample_motion(motion, fps)[0]
    params = motion.params
    betas = params.betas if body.num_betas else None
    with atomic_folder(folder, _is_our_frame) as temporary:
        for start in range(0, params.num_frames, _BATCH):
            p = params[start : start + _BATCH]
            with torch.no_grad():
                posed = body.shape(betas, p.expression).pose(p.rotations, p.transl)
                meshes = _array(posed.vertices())
            for row, vertices in enumerate(meshes):
                (temporary / f"frame_{start + row:05d}.{kind}").write_bytes(encode(vertices))
    return params.num_frames


def _is_our_frame(path: Path) -> bool:
    return _FRAME_NAME.fullmatch(path.name) is not None and is_ours(path)


def _encoder(kind: str, body: BodyModel, colors: Tensor | np.ndarray | None) -> Encoder:
    """What turns vertices (V, 3) into a file's bytes; everything else is prepared once."""
    if kind not in get_args(MeshKind):
        raise PearError(f"meshes are written as {' or '.join(get_args(MeshKind))}, got {kind!r}")
    count = body.num_vertices
    rgb = None if colors is None else np.clip(_array(colors), 0, 1)
    if rgb is not None and rgb.shape != (count, 3):
        raise ValueError(f"colors must have shape ({count}, 3), got {rgb.shape}")
    encode = (_obj_encoder if kind == "obj" else _ply_encoder)(body, rgb)

    def checked(vertices: np.ndarray) -> bytes:
        if vertices.shape != (count, 3):
            raise ValueError(f"vertices must have shape ({count}, 3), got {vertices.shape}")
        return encode(vertices)

    return checked


def _obj_encoder(body: BodyModel, rgb: np.ndarray | None) -> Encoder:
    textured = len(body.uv) > 0
    lines = []
    if textured:
        lines = [f"vt {u:.6f} {v:.6f}" for u, v in _array(body.uv)]
    faces = 1 + body.faces.cpu().numpy()
    if textured:
        corners = np.stack([faces, 1 + body.uv_faces.cpu().numpy()], axis=-1).reshape(-1, 6)
        lines += ["f {}/{} {}/{} {}/{}".format(*row) for row in corners.tolist()]
    else:
        lines += ["f {} {} {}".format(*row) for row in faces.tolist()]
    tail = "\n".join(lines).encode() + b"\n"
    columns = 3 if rgb is None else 6
    # One format string for the whole mesh is much quicker than a Python loop over vertices.
    pattern = ("v" + " %.6f" * columns + "\n") * body.num_vertices

    def encode(vertices: np.ndarray) -> bytes:
        rows = vertices if rgb is None else np.concatenate([vertices, rgb], axis=1)
        return (
            b"# pear-avatar: metres, y up\n"
            + (pattern % tuple(rows.ravel().tolist())).encode()
            + tail
        )

    return encode


def _ply_encoder(body: BodyModel, rgb: np.ndarray | None) -> Encoder:
    fields = [(name, "<f4") for name in "xyz"]
    if rgb is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue")]
    types = {"<f4": "float", "u1": "uchar"}
    faces = np.empty(len(body.faces), dtype=[("count", "u1"), ("index", "<i4", 3)])
    faces["count"], faces["index"] = 3, body.faces.cpu().numpy()
    header = [
        "ply", "format binary_little_endian 1.0", "comment pear-avatar: metres, y up",
        f"element vertex {body.num_vertices}",
        *(f"property {types[kind]} {name}" for name, kind in fields),
        f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", "",
    ]  # fmt: skip
    head, tail = "\n".join(header).encode(), faces.tobytes()
    rows = np.zeros(body.num_vertices, dtype=fields)
    if rgb is not None:
        for i, name in enumerate(("red", "green", "blue")):
            rows[name] = (rgb[:, i] * 255).round()

    def encode(vertices: np.ndarray) -> bytes:
        filled = rows.copy()
        for i, name in enumerate("xyz"):
            filled[name] = vertices[:, i]
        return head + filled.tobytes() + tail

    return encode


def _array(values: Tensor | np.ndarray) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
