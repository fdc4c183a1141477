"""Regions of a body that must not be confused when one surface is laid on another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.surface import SurfacePoints, closest_on_surface

__all__ = ["REGIONS", "BodySurface", "nearest_in_region"]

#: Joints that move one region; lips and lids part by the jaw and the eyes, fingers by finger.
REGIONS: tuple[tuple[str, ...], ...] = (
    ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar", "neck"),
    ("head",), ("jaw",), ("left_eye",), ("right_eye",),
    *((f"{s}_shoulder", f"{s}_elbow") for s in ("left", "right")),
    *((f"{s}_wrist",) for s in ("left", "right")),
    *((f"{s}_hip", f"{s}_knee") for s in ("left", "right")),
    *((f"{s}_ankle", f"{s}_foot") for s in ("left", "right")),
    *(tuple(f"{s}_{f}{k}" for k in (1, 2, 3)) for s in ("left", "right")
      for f in ("index", "middle", "pinky", "ring", "thumb")),
)  # fmt: skip

#: A triangle belongs to every region that moves it at least this much.
_TOUCHES = 0.08


@dataclass(frozen=True)
class BodySurface:
    """A body's template as the registration sees it.

    vertices (V, 3) metres; faces (F, 3); share (V, R) of each region in each vertex's skinning;
    joints (55, 3).
    """

    vertices: np.ndarray
    faces: np.ndarray
    share: np.ndarray
    joints: np.ndarray

    @classmethod
    def of(cls, body: BodyModel) -> BodySurface:
        """The surface of a body with SMPL-X's joints."""
        weights = body.skin_weights_t.double().cpu().numpy()
        share = [weights[[JOINT_INDEX[j] for j in region]].sum(0) for region in REGIONS]
        return cls(
            body.v_template.double().cpu().numpy(),
            body.faces.cpu().numpy(),
            np.stack(share, axis=1),
            body.joint_template.double().cpu().numpy(),
        )

    def moved(self, vertices: np.ndarray) -> BodySurface:
        """The same surface elsewhere."""
        return BodySurface(vertices, self.faces, self.share, self.joints)

    def normals(self) -> np.ndarray:
        """(V, 3) area-weighted unit normals."""
        corners = self.vertices[self.faces]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        total = np.zeros_like(self.vertices)
        for corner in range(3):
            np.add.at(total, self.faces[:, corner], cross)
        length = np.linalg.norm(total, axis=1, keepdims=True)
        normals: np.ndarray = total / np.maximum(length, 1e-12)
        return normals


def nearest_in_region(
    points: np.ndarray, normals: np.ndarray, share: np.ndarray, target: BodySurface
) -> SurfacePoints:
    """The place on ``target`` nearest to each point, within the point's own region.

    Args:
        points: (P, 3) metres; normals: (P, 3) unit; share: (P, R) of each region.
        target: where to look. Triangles that face away are avoided.
    """
    region = share.argmax(1)
    face = np.zeros(len(points), np.int64)
    weight, distance = np.zeros((len(points), 3)), np.full(len(points), np.inf)
    face_share = target.share[target.faces].max(1)
    for r in np.unique(region):
        of_region = np.nonzero(region == r)[0]
        allowed = np.nonzero(face_share[:, r] > _TOUCHES)[0]
        if not len(allowed):
            allowed = np.arange(len(target.faces))
        found = closest_on_surface(
            points[of_region], target.vertices, target.faces[allowed], normals[of_region]
        )
        face[of_region] = allowed[found.face]
        weight[of_region], distance[of_region] = found.barycentric, found.distance
    return SurfacePoints(face, weight, distance)
