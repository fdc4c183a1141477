"""What recovery leaves on disk: parameters, joints, meshes, and pictures to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.body.joints import JOINT_NAMES, PARENTS
from pear_avatar.export.gltf import save_glb
from pear_avatar.export.mesh_files import save_mesh, save_mesh_sequence
from pear_avatar.export.rig import AT_PELVIS
from pear_avatar.geometry.cameras import project
from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.io.npz import save_npz
from pear_avatar.io.replacing import MARK
from pear_avatar.motion.track_file import save_track
from pear_avatar.rendering.mesh_picture import COLORS, DrawnBody, draw_over, side_view
from pear_avatar.types import BodyParams, Track

__all__ = ["MeshKind", "PersonTrack", "draw_people", "write_person"]

MeshKind = Literal["glb", "ply", "obj", "none"]

#: Longer side of pictures that are drawn over.
MAX_DRAWN_SIDE = 1280
_SIDE_VIEW_SHARE = 0.5
_UNTRUSTED = (150, 150, 150)


@dataclass(frozen=True)
class PersonTrack:
    """One recovered person over N frames (one for a picture).

    identity:   number of the person in this input.
    track:      motion and cameras, betas shared over the frames.
    body:       the person's own body: proportions are in it, ``track``'s betas are not.
    confidence: (N,) in [0, 1].
    box_xyxy:   (N, 4) pixels.
    """

    identity: int
    track: Track
    body: BodyModel
    confidence: np.ndarray
    box_xyxy: np.ndarray
    reason: tuple[str, ...] = field(default=())

    @property
    def color(self) -> tuple[int, int, int]:
        """By which the person is known in all pictures."""
        return COLORS[self.identity % len(COLORS)]

    @cached_property
    def rows(self) -> dict[int, int]:
        """Frame number -> row of the track."""
        return {int(f): i for i, f in enumerate(self.track.frame_index)}

    def joints(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, 55, 3) metres in the world and (N, 55, 2) pixels; no mesh is made."""
        params = self.track.motion.params
        with torch.no_grad():
            shaped = self.body.shape(params.betas, params.expression)
            joints = shaped.pose(params.rotations, params.transl).joints
            px, _ = project(self.track.camera, joints)
        return joints.numpy(), px.numpy()

    def vertices(self, row: int) -> Tensor:
        """(V, 3) metres in the world."""
        p: BodyParams = self.track.motion.params[row]
        with torch.no_grad():
            return self.body.shape(p.betas, p.expression).pose(p.rotations, p.transl).vertices()


def write_person(stem: Path, person: PersonTrack, mesh: MeshKind) -> list[Path]:
    """Write ``<stem>.npz``, ``<stem>_joints`` and the mesh; each appears whole or not at all.

    The parameters are a track file, which ``convert`` and ``render --pose`` read. Joints of one
    picture are JSON, of a video npz. Several frames of a mesh are an animated GLB or a folder of
    numbered PLY or OBJ files.
    """
    written = [stem.with_name(f"{stem.name}.npz")]
    save_track(written[0], person.track)
    written.append(_write_joints(stem, person))
    if mesh != "none":
        written.append(_write_mesh(stem, person, mesh))
    return written


def _write_joints(stem: Path, person: PersonTrack) -> Path:
    joints, px = person.joints()
    if len(joints) > 1:
        path = stem.with_name(f"{stem.name}_joints.npz")
        save_npz(
            path,
            {
                "names": np.array(JOINT_NAMES),
                "parents": np.array(PARENTS),
                "joints": joints.astype(np.float32),
                "joints_px": px.astype(np.float32),
                "time": person.track.motion.time,
                "frame_index": person.track.frame_index,
                "confidence": person.confidence.astype(np.float32),
            },
        )
        return path
    camera = person.track.camera
    content: dict[str, Any] = {
        "made_by": MARK,
        "identity": person.identity,
        "confidence": round(float(person.confidence[0]), 4),
        "reason": person.reason[0] if person.reason else "",
        "box_xyxy": [round(float(v), 1) for v in person.box_xyxy[0]],
        "units": "metres; y up, the camera at the world's origin looking along -z",
        "joints": {n: _round(p, 5) for n, p in zip(JOINT_NAMES, joints[0], strict=True)},
        "joints_px": {n: _round(p, 2) for n, p in zip(JOINT_NAMES, px[0], strict=True)},
        "K": camera.K[0].tolist(),
        "image_wh": [camera.width, camera.height],
    }
    path = stem.with_name(f"{stem.name}_joints.json")
    write_text_atomic(path, json.dumps(content, indent=1))
    return path


def _round(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(v), digits) for v in values]


def _write_mesh(stem: Path, person: PersonTrack, mesh: MeshKind) -> Path:
    motion = person.track.motion
    if mesh == "glb":
        path = stem.with_name(f"{stem.name}.glb")
        # Where the camera sees the person, so that the mesh lies over the picture.
        save_glb(path, person.body, motion, betas=motion.params.betas, rig=AT_PELVIS)
        return path
    assert mesh != "none"
    if motion.params.num_frames == 1:
        path = stem.with_name(f"{stem.name}.{mesh}")
        save_mesh(path, person.body, person.vertices(0))
        return path
    folder = stem.with_name(f"{stem.name}_{mesh}")
    save_mesh_sequence(folder, person.body, motion, kind=mesh)
    return folder


def draw_people(
    picture: np.ndarray, people: Sequence[PersonTrack], frame: int, *, mesh: bool
) -> np.ndarray:
    """The picture with all people drawn over it, beside a view that the camera does not have.

    Args:
        picture: (H, W, 3) uint8, the whole frame at any scale.
        people: of this input.
        frame: number of the frame.
        mesh: shaded bodies, or else skeletons.

    Returns:
        (H, about 1.5 W, 3) uint8; the right part shows the bodies from their side.
    """
    here = [(p, p.rows[frame]) for p in people if frame in p.rows]
    height, width = picture.shape[:2]
    side = max(2, round(_SIDE_VIEW_SHARE * height) // 2 * 2)
    bodies = []
    over = picture
    if here:
        scale = width / here[0][0].track.camera.width
        for person, row in here:
            camera = person.track.camera[row]
            color = person.color if person.track.trusted[row] else _UNTRUSTED
            bodies.append(DrawnBody.of(person.vertices(row), person.body.faces, camera, color))
        K = here[0][0].track.camera.K[here[0][1]].numpy().copy()
        K[:2] *= scale
        over = draw_over(picture, bodies, K) if mesh else picture.copy()
        if not mesh:
            for person, row in here:
                skeleton_over(over, person, row, scale)
    return np.concatenate([over, side_view(bodies, height, side)], axis=1)


def skeleton_over(picture: np.ndarray, person: PersonTrack, row: int, scale: float) -> None:
    """Draw the 55 joints and their bones into the picture."""
    params = person.track.motion.params[row]
    with torch.no_grad():
        posed = person.body.shape(params.betas).pose(params.rotations, params.transl)
        px, depth = project(person.track.camera[row], posed.joints)
    limit = 4 * max(picture.shape)
    points = (px.numpy() * scale).clip(-limit, limit).round().astype(int)
    for joint in range(1, len(PARENTS)):
        if min(float(depth[joint]), float(depth[PARENTS[joint]])) <= 0:
            continue
        start, stop = (tuple(int(v) for v in points[k]) for k in (PARENTS[joint], joint))
        cv2.line(picture, start, stop, person.color, 2 if joint < 25 else 1, cv2.LINE_AA)
