"""A dressed person: one posable mesh whose faces say what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS


class Material(IntEnum):
    """What a face is made of; a person has one recipe for each that it wears."""

    SKIN = 0
    EYE = 1
    MOUTH = 2
    TEETH = 3
    SHIRT = 4
    TROUSERS = 5
    SHOE = 6
    HAIR = 7
    SKIRT = 8
    OUTER = 9
    BEARD = 10
    FRAME = 11
    LENS = 12
    HAT = 13
    GLOVE = 14


@dataclass(frozen=True)
class Landmarks:
    """Places on the template that the tailor and the painter measure from, in metres.

    joints: (55, 3); face: (478, 3) mediapipe's face mesh points.
    """

    joints: np.ndarray
    face: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        """A joint's position (3,)."""
        position: np.ndarray = self.joints[JOINT_INDEX[name]]
        return position


@dataclass(frozen=True)
class Recipe:
    """How a material is painted.

    albedo: maps places (M, 3) and insets (M,) to display RGB (M, 3).
    gloss:  strength of the highlight, 0 to 1.
    """

    albedo: Callable[[np.ndarray, np.ndarray], np.ndarray]
    gloss: float


@dataclass(frozen=True)
class Capsules:
    """Round limbs that loose cloth may not enter: K segments in the rest pose.

    ends:   (K, 2, 3) metres. radius: (K,) metres. joint: (K,) int64, the joint that moves each.
    """

    ends: np.ndarray
    radius: np.ndarray
    joint: np.ndarray

    def push_out(self, points: np.ndarray, transforms: np.ndarray) -> np.ndarray:
        """Points (N, 3) moved to the surface of the posed capsules where they lie inside.

        Args:
            points: posed, in metres.
            transforms: (55, 3, 4) from rest to posed per joint.
        """
        for (a, b), radius, joint in zip(self.ends, self.radius, self.joint, strict=True):
            R, t = transforms[joint, :, :3], transforms[joint, :, 3]
            start, along = R @ a + t, R @ (b - a)
            share = ((points - start) @ along) / max(float(along @ along), 1e-9)
            gap = points - (start + np.clip(share, 0, 1)[:, None] * along)
            distance = np.sqrt(np.einsum("nc,nc->n", gap, gap))
            depth = np.maximum(radius - distance, 0) / np.maximum(distance, 1e-6)
            points = points + gap * depth[:, None]
        pushed: np.ndarray = points.astype(np.float32)
        return pushed


@dataclass(frozen=True)
class Person:
    """One dressed person: V vertices (the B body vertices first), F faces, in the rest pose.

    betas:            (S,) shape coefficients.
    rest:             (V, 3) float32 rest pose, shaped and dressed.
    weights:          (V, 55) float32 skinning weights.
    expression_index: (M,) int64 the vertices that facial expressions move.
    expression:       (M, 3, E) float32 their directions.
    faces:            (F, 3) int64; hidden skin is left out.
    material:         (F,) uint8 of :class:`Material`.
    two_sided:        (F,) bool, True on open layers.
    paint_xyz:        (V, 3) float32 where the painter looks the surface up: template coordinates
                      (a frame of its own for each shoe, skirt and hair-do).
    paint_inset:      (V,) float32 metres inside the nearest hem; negative on skin outside it.
    body_face:        (F,) int64 the body's own face that each face is (or lies over), -1 for
                      pieces that are cut from nothing of it, such as a skirt.
    recipes:          how each material that is worn is painted.
    loose, limbs:     (L,) int64 vertices of hanging cloth, and the limbs that push them aside.
    """

    betas: np.ndarray
    rest: np.ndarray
    weights: np.ndarray
    expression_index: np.ndarray
    expression: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    two_sided: np.ndarray
    paint_xyz: np.ndarray
    paint_inset: np.ndarray
    body_face: np.ndarray
    recipes: Mapping[Material, Recipe]
    loose: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    limbs: Capsules | None = None

    def pose(self, transforms: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """(V, 3) posed vertices in metres.

        Args:
            transforms: (55, 3, 4) from rest to posed per joint (``PosedBody.rest_to_posed``).
            expression: (E,) coefficients.
        """
        rest = self.rest.copy()
        rest[self.expression_index] += self.expression @ expression.astype(np.float32)
        affine = transforms.reshape(NUM_JOINTS, 12).astype(np.float32)
        blended = (self.weights @ affine).reshape(-1, 3, 4)
        posed: np.ndarray = (blended[..., :3] * rest[:, None, :]).sum(-1) + blended[..., 3]
        if self.limbs is not None:
            posed[self.loose] = self.limbs.push_out(posed[self.loose], transforms)
        return posed
