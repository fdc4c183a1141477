"""Layers cut from the body: where each garment ends, how far it stands off, and shoes.

Fields are measured on the template, so one cut fits every shape. A field is metres inside the
garment's nearest hem, negative outside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pear_avatar.synthesis.assembly import Piece, Skin, smoothstep
from pear_avatar.synthesis.garments import CutMesh, cut_mesh, lift, shrink_wrap
from pear_avatar.synthesis.person import Landmarks, Material

_TORSO = ("body", "hand.L", "hand.R", "head")
_LEGS = ("body", "foot.L", "foot.R")
_SCALP = ("head", "body")


@dataclass(frozen=True)
class TopCut:
    """The cut of a garment for the upper body; lengths in metres on the template.

    sleeve: share of the arm, shoulder to wrist; below 0 the arm hole lies on the shoulder.
    hem:    below the hip joints. collar: below the neck joint. vee: depth of the front's notch.
    chest, belly: ease at the chest and at the hem. cuff: ease at the end of the sleeve.
    extra:  added everywhere, for layers over layers.
    opening: half width of an open front, 0 where closed.
    """

    sleeve: float = 0.42
    hem: float = 0.045
    collar: float = 0.03
    vee: float = 0.05
    chest: float = 0.014
    belly: float = 0.022
    cuff: float = 0.016
    extra: float = 0.0
    opening: float = 0.0


@dataclass(frozen=True)
class LegCut:
    """The cut of trousers: where they end and how wide they are.

    waist: above the hip joints. end: share of the way from hip to ankle that is covered.
    hem: radius of the leg from the knee down, metres. ease: at the thigh. waist_ease: at the
    waist, where a top hangs over it; None for the same.
    """

    waist: float = 0.025
    end: float = 1.0
    hem: float = 0.088
    ease: float = 0.010
    waist_ease: float | None = None


def top_field(marks: Landmarks, p: np.ndarray, cut: TopCut) -> np.ndarray:
    """Metres inside a top's hems at template places (V, 3)."""
    x, y, z = p.T
    hem = marks["left_hip"][1] - cut.hem
    wrist, shoulder = marks["left_wrist"][0], marks["left_shoulder"][0]
    cuff = shoulder + cut.sleeve * (wrist - shoulder)
    neck = marks["neck"]
    slope = 0.5 * (z - neck[2]) + cut.vee * np.exp(-((x / 0.03) ** 2)) * (z > 0)
    collar = neck[1] - cut.collar - slope + 2.0 * np.maximum(np.abs(x) - 0.075, 0)
    arm_hole = np.where(y < marks["spine3"][1] - 0.06, 1.0, cuff - np.abs(x))
    field: np.ndarray = np.minimum.reduce([y - hem, arm_hole, collar - y])
    if cut.opening:
        spread = cut.opening * (0.6 + 0.8 * smoothstep(hem, neck[1], y))
        field = np.where(z > 0.0, np.minimum(field, np.abs(x) - spread), field)
    return field


def leg_field(marks: Landmarks, p: np.ndarray, cut: LegCut) -> np.ndarray:
    """Metres inside the hems of trousers or shorts at template places (V, 3)."""
    y = p[:, 1]
    hip, ankle = marks["left_hip"][1], marks["left_ankle"][1]
    end = hip + cut.end * (ankle + 0.015 - hip)
    field: np.ndarray = np.minimum(hip + cut.waist - y, y - end)
    return field


def hair_field(marks: Landmarks, p: np.ndarray, recession: float = 0.0) -> np.ndarray:
    """Height above the hairline, which runs round the head at a height given by azimuth.

    ``recession`` lifts the line above forehead and temples by so many metres.
    """
    eyes = (marks["left_eye"] + marks["right_eye"]) / 2
    q = p - eyes
    azimuth = np.degrees(np.abs(np.arctan2(q[:, 0], q[:, 2] + 0.085)))
    line = np.interp(
        azimuth,
        (0, 25, 42, 55, 68, 78, 90, 105, 118, 135, 180),
        (0.066, 0.066, 0.056, 0.030, -0.004, 0.000, 0.040, 0.036, -0.020, -0.066, -0.076),
    )
    if recession:
        line = line + recession * np.interp(azimuth, (0, 20, 40, 60, 75), (0.7, 0.8, 1.0, 0.6, 0))
    height = q[:, 1] - line
    return np.where(p[:, 1] > marks["neck"][1] + 0.02, height, -0.1).astype(np.float32)


def top_ease(marks: Landmarks, template: np.ndarray, cut: TopCut) -> np.ndarray:
    """How far (N,) metres a top stands off the skin."""
    x, y, _ = template.T
    shoulder, hip = marks["left_shoulder"], marks["left_hip"]
    below_chest = smoothstep(0.0, 1.0, (shoulder[1] - 0.1 - y) / (shoulder[1] - hip[1]))
    torso = cut.chest + cut.belly * below_chest
    along = smoothstep(shoulder[0], shoulder[0] + 0.2, np.abs(x))
    sleeve = 0.010 + (cut.cuff - 0.002) * along
    on_arm = smoothstep(shoulder[0] - 0.01, shoulder[0] + 0.05, np.abs(x))
    at_neck = 0.45 + 0.55 * smoothstep(0.0, 0.05, marks["neck"][1] - 0.03 - y)
    amount = (torso * (1 - on_arm) + sleeve * on_arm) * at_neck
    return (amount + cut.extra).astype(np.float32)


def leg_ease(marks: Landmarks, template: np.ndarray, cut: LegCut) -> np.ndarray:
    """How far (N,) metres trousers stand off: a straight leg hangs from calf to hem."""
    x, y, z = template.T
    knee, ankle = marks["left_knee"], marks["left_ankle"]
    share = np.clip((knee[1] - y) / (knee[1] - ankle[1]), 0, 1)
    axis = knee + share[:, None] * (ankle - knee)
    radius = np.hypot(np.abs(x) - axis[:, 0], z - axis[:, 2])
    straight = cut.hem - 0.008 * share - radius
    below = smoothstep(0.02, 0.18, knee[1] + 0.08 - y)
    inner = 1 - 0.6 * np.exp(-((np.abs(x) / 0.05) ** 2)) * (y < marks["left_hip"][1])
    ease: np.ndarray | float = cut.ease
    if cut.waist_ease is not None:
        hip = marks["left_hip"][1]
        ease = cut.waist_ease + (cut.ease - cut.waist_ease) * smoothstep(0.0, 0.1, hip - 0.03 - y)
    amount = np.maximum(ease + 0.006 * smoothstep(-0.1, 0.1, -y), straight * below)
    return (amount * inner).astype(np.float32)


def cap_ease(
    marks: Landmarks, template: np.ndarray, inset: np.ndarray, volume: float = 0.021
) -> np.ndarray:
    """How far (N,) metres short hair stands off: flat at the hairline, fuller on top."""
    _, y, z = template.T
    eyes = (marks["left_eye"] + marks["right_eye"]) / 2
    top = 0.35 + 0.65 * smoothstep(0.02, 0.09, y - eyes[1])
    front = 1 + 0.35 * smoothstep(-0.02, 0.02, z - eyes[2] + 0.04) * (y > eyes[1] + 0.06)
    return (0.003 + volume * smoothstep(-0.005, 0.05, inset) * top * front).astype(np.float32)


def cut_piece(skin: Skin, material: Material, field: np.ndarray) -> CutMesh:
    """The part of the body where a garment's field (V,) is positive."""
    names = {Material.HAIR: _SCALP, Material.TROUSERS: _LEGS}.get(material, _TORSO)
    return cut_mesh(skin.faces[skin.in_parts(*names)], field)


def layer(
    skin: Skin, material: Material, field: np.ndarray, cut: TopCut | LegCut | None, steps: int
) -> Piece:
    """A garment (or cap of hair where ``cut`` is None), cut from the body and lifted off it."""
    names = {Material.HAIR: _SCALP, Material.TROUSERS: _LEGS}.get(material, _TORSO)
    own = np.nonzero(skin.in_parts(*names))[0]
    piece = cut_mesh(skin.faces[own], field)
    template, inset = piece.carry(skin.template), piece.carry(field)
    marks = skin.landmarks
    if cut is None:
        amount = cap_ease(marks, template, inset)
    elif isinstance(cut, LegCut):
        amount = leg_ease(marks, template, cut)
    else:
        amount = top_ease(marks, template, cut)
    return lifted(skin, material, piece, own, amount, inset=inset, steps=steps)


def lifted(
    skin: Skin,
    material: Material,
    piece: CutMesh,
    source: np.ndarray,
    amount: np.ndarray,
    *,
    inset: np.ndarray,
    steps: int,
) -> Piece:
    """A cut piece lifted by ``amount`` (N,) metres; ``source`` are the faces it was cut from."""
    rest = lift(piece.carry(skin.rest), piece.carry(skin.normals), piece.faces, amount, steps)
    return Piece(
        rest=rest,
        weights=piece.carry(skin.weights),
        faces=piece.faces,
        material=material,
        two_sided=True,
        paint_xyz=piece.carry(skin.template),
        paint_inset=inset,
        body_face=source[piece.source_face],
    )


def shoe(skin: Skin, side: str) -> Piece:
    """A shoe: a rounded shell on the hull of the foot, with a flat sole, bound like the foot.

    It is painted by lengths to the outside, above the floor, and from the heel to the tip.
    """
    sign = 1.0 if side == "left" else -1.0
    ankle = skin.landmarks["left_ankle"][1]
    own = (skin.template[:, 0] * sign > 0) & (skin.template[:, 1] < ankle + 0.035)
    foot, weights = skin.rest[own], skin.weights[own]
    upper = foot + 0.007 * skin.normals[own]
    floor = foot[:, 1].min() - 0.016
    print_ = foot[foot[:, 1] < foot[:, 1].min() + 0.03]
    center = print_.mean(0)
    sole = (print_ - center) * np.array([1.14, 0.0, 1.07]) + center
    points = np.concatenate([upper, *(sole * [1, 0, 1] + [0, floor + h, 0] for h in (0, 0.018))])
    rest, faces = shrink_wrap(points.astype(np.float64), levels=4)
    rest[:, 1] = np.maximum(rest[:, 1], floor)
    gap, nearest = cKDTree(foot).query(rest, k=8)
    near = 1.0 / (gap + 0.005)
    bound = (weights[nearest] * near[..., None]).sum(1) / near.sum(1)[:, None]
    frame = np.stack(
        [(rest[:, 0] - center[0]) * sign, rest[:, 1] - floor, rest[:, 2] - rest[:, 2].min()], 1
    )
    return Piece(
        rest=rest,
        weights=bound,
        faces=faces,
        material=Material.SHOE,
        two_sided=False,
        paint_xyz=frame,
        paint_inset=rest[:, 1] - floor,
    )
