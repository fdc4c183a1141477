"""The pieces of a person, collected into one mesh, and the naked body that they are cut from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.body.model import BodyModel
from pear_avatar.synthesis.garments import neighbour_mean, smooth, vertex_normals
from pear_avatar.synthesis.person import Landmarks, Material


@dataclass(frozen=True)
class Piece:
    """One part of a person: N vertices, F faces; the fields are :class:`Person`'s.

    material:  one :class:`Material`, or (F,) of them.
    body_face: (F,) int64 or None where the piece lies over nothing.
    loose:     whether limbs push its vertices aside.
    """

    rest: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    material: Material | np.ndarray
    two_sided: bool
    paint_xyz: np.ndarray
    paint_inset: np.ndarray
    body_face: np.ndarray | None = None
    loose: bool = False


@dataclass
class Assembly:
    """Joins pieces into the arrays of a :class:`~pear_avatar.synthesis.person.Person`."""

    pieces: list[Piece] = field(default_factory=list)

    def add(self, piece: Piece) -> int:
        """Add a piece; returns the index of its first vertex."""
        start = sum(len(p.rest) for p in self.pieces)
        self.pieces.append(piece)
        return start

    def arrays(self) -> dict[str, Any]:
        """The joined arrays by field name."""
        pieces = self.pieces
        starts = np.cumsum([0, *(len(p.rest) for p in pieces)])
        own = [np.full(len(p.faces), -1) if p.body_face is None else p.body_face for p in pieces]
        loose = [
            np.arange(a, a + len(p.rest)) for a, p in zip(starts, pieces, strict=False) if p.loose
        ]
        return {
            "rest": np.concatenate([p.rest for p in pieces]).astype(np.float32),
            "weights": np.concatenate([p.weights for p in pieces]).astype(np.float32),
            "faces": np.concatenate([p.faces + a for a, p in zip(starts, pieces, strict=False)]),
            "material": np.concatenate(
                [np.broadcast_to(p.material, len(p.faces)).astype(np.uint8) for p in pieces]
            ),
            "two_sided": np.concatenate([np.full(len(p.faces), p.two_sided) for p in pieces]),
            "paint_xyz": np.concatenate([p.paint_xyz for p in pieces]).astype(np.float32),
            "paint_inset": np.concatenate([p.paint_inset for p in pieces]).astype(np.float32),
            "body_face": np.concatenate(own).astype(np.int64),
            "loose": np.concatenate([np.zeros(0, np.int64), *loose]).astype(np.int64),
        }


@dataclass(frozen=True)
class Skin:
    """The naked shaped body as arrays; V vertices, F faces.

    rest, template, normals: (V, 3) shaped, unshaped, and smoothed normals of the shaped one.
    weights: (V, 55). faces: (F, 3). part: (F,) index into part_names.
    landmarks: of the template. shaped_face: (478, 3) face points of the shaped body.
    """

    rest: np.ndarray
    template: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    part_names: tuple[str, ...]
    landmarks: Landmarks
    shaped: Landmarks

    @staticmethod
    def of(body: BodyModel, betas: np.ndarray) -> Skin:
        """The skin of a shape (S,)."""
        faces = body.faces.numpy()
        with torch.no_grad():
            shape = body.shape(torch.from_numpy(betas))
            rest = shape.vertices().numpy().astype(np.float32)
            still = torch.eye(3).expand(NUM_JOINTS, 3, 3)
            marks = []
            for posed in (body.shape().pose(still), shape.pose(still)):
                face = posed.landmarks("mediapipe_face").numpy()
                marks.append(Landmarks(posed.joints.numpy(), face))
        normals = vertex_normals(rest, faces)
        return Skin(
            rest=rest,
            template=body.v_template.numpy().astype(np.float32),
            normals=smooth(normals, neighbour_mean(faces, len(rest)), 4),
            weights=body.skin_weights_t.numpy().T.astype(np.float32),
            faces=faces,
            part=np.asarray(body.face_part),
            part_names=tuple(str(n) for n in body.part_names),
            landmarks=marks[0],
            shaped=marks[1],
        )

    def in_parts(self, *names: str) -> np.ndarray:
        """(F,) bool: faces of these parts."""
        return np.isin(self.part, [i for i, n in enumerate(self.part_names) if n in names])

    def body_material(self) -> np.ndarray:
        """(F,) uint8 of :class:`Material` of the naked body."""
        material = np.full(len(self.faces), Material.SKIN, np.uint8)
        eyes = [n for n in self.part_names if n.startswith("eye_") and "cavity" not in n]
        material[self.in_parts(*eyes)] = Material.EYE
        material[self.in_parts("mouth_cavity", "tongue")] = Material.MOUTH
        material[self.in_parts("teeth")] = Material.TEETH
        return material


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, a smooth cubic between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    stepped: np.ndarray = t * t * (3 - 2 * t)
    return stepped
