"""Procedural colours of the synthetic person, evaluated where the surface is seen.

Every recipe looks up template coordinates (metres, y up, the person's left at +x), so patterns
stick to the surface whatever the pose, at any resolution and without texture maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.body.topology import (
    CHEEKS,
    CHIN,
    LEFT_BROW_OUTLINE,
    LEFT_EYE_OUTLINE,
    LEFT_UPPER_LID,
    NOSE_TIP,
    OUTER_LIPS,
    RIGHT_BROW_OUTLINE,
    RIGHT_EYE_OUTLINE,
    RIGHT_UPPER_LID,
)
from pear_avatar.synthesis.person import Landmarks, Person

_BROWS = (RIGHT_BROW_OUTLINE, LEFT_BROW_OUTLINE)
_EYES = (RIGHT_EYE_OUTLINE, LEFT_EYE_OUTLINE)
_UPPER_LIDS = (RIGHT_UPPER_LID, LEFT_UPPER_LID)


Color = tuple[float, float, float]


@dataclass(frozen=True)
class Paint:
    """albedo: (M, 3) display RGB. gloss: (M,) strength of the highlight, 0 to 1."""

    albedo: np.ndarray
    gloss: np.ndarray


def paint(person: Person, material: np.ndarray, xyz: np.ndarray, inset: np.ndarray) -> Paint:
    """Colours of M surface points.

    Args:
        person: who is painted.
        material: (M,) of :class:`Material`.
        xyz: (M, 3) interpolated ``paint_xyz``.
        inset: (M,) interpolated ``paint_inset``.
    """
    albedo = np.zeros_like(xyz)
    gloss = np.zeros(len(xyz), np.float32)
    for kind, recipe in person.recipes.items():
        own = np.nonzero(material == kind)[0]
        if len(own):
            albedo[own] = recipe.albedo(xyz[own], inset[own])
            gloss[own] = recipe.gloss
    return Paint(np.clip(albedo, 0, 1), gloss)


def mix(base: np.ndarray, weight: np.ndarray, color: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Colours (M, 3) with a weight (M,) of another colour laid over them."""
    w = np.clip(weight, 0, 1)[:, None].astype(np.float32)
    mixed: np.ndarray = base * (1 - w) + np.asarray(color, np.float32) * w
    return mixed


def band(x: np.ndarray, half: float, soft: float) -> np.ndarray:
    """1 within ``half`` of zero, falling to 0 over ``soft``."""
    band: np.ndarray = np.clip((half + soft - np.abs(x)) / soft, 0, 1)
    return band


def wave(x: np.ndarray, period: float, duty: float, soft: float) -> np.ndarray:
    """Soft square wave: 1 over ``duty`` of each period."""
    phase = np.abs((x / period) % 1.0 - 0.5) * period
    return band(phase, duty * period / 2, soft)


def _segment_gap(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distance (M,) of points (M, 2) to the nearest of K segments from a to b (K, 2)."""
    nearest = np.full(len(points), np.inf, np.float32)
    for (ax, ay), (ex, ey) in zip(a, b - a, strict=True):
        x, y = points[:, 0] - ax, points[:, 1] - ay
        t = np.clip((x * ex + y * ey) / max(ex * ex + ey * ey, 1e-12), 0, 1)
        nearest = np.minimum(nearest, (x - t * ex) ** 2 + (y - t * ey) ** 2)
    return nearest


def line_distance(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance (M,) in the plane to an open polyline (K, 2)."""
    return np.sqrt(_segment_gap(points, line[:-1], line[1:]))


def polygon_distance(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Signed distance (M,) in the plane to a closed polygon (K, 2); positive inside."""
    after = np.roll(polygon, -1, axis=0)
    distance = np.sqrt(_segment_gap(points, polygon, after))
    inside = np.zeros(len(points), bool)
    for (ax, ay), (bx, by) in zip(polygon, after, strict=True):
        if ay != by:
            crosses = (ay > points[:, 1]) != (by > points[:, 1])
            inside ^= crosses & (points[:, 0] < ax + (points[:, 1] - ay) / (by - ay) * (bx - ax))
    return np.where(inside, distance, -distance)


def skin(
    marks: Landmarks, tone: Color, hair_color: Color, p: np.ndarray, inset: np.ndarray
) -> np.ndarray:
    """Skin of ``tone`` with a face; brows and scalp have the hair's colour."""
    base = np.asarray(tone, np.float32)
    color = np.tile(base, (len(p), 1))
    mottle = np.sin(p[:, 0] * 170) * np.sin(p[:, 1] * 150 + 1) * np.sin(p[:, 2] * 160 + 2)
    color *= (1 + 0.015 * mottle)[:, None]
    under_cloth = np.exp(-np.clip(-inset, 0, 1) / 0.012)
    head = np.nonzero(p[:, 1] > marks["neck"][1] - 0.01)[0]
    color[head] = paint_face(marks, base, hair_color, p[head], color[head])
    scalp = np.clip((inset + 0.004) / 0.006, 0, 1) * (p[:, 1] > marks["neck"][1] + 0.02)
    color = mix(color, 0.9 * scalp, hair_color)
    return color * (1 - 0.3 * under_cloth * (inset < 0))[:, None]


def paint_face(
    marks: Landmarks, tone: np.ndarray, hair_color: Color, p: np.ndarray, color: np.ndarray
) -> np.ndarray:
    """Blush, lips, brows and lid lines, drawn in the frontal plane on the front of the head."""
    ruddy = tone * np.array([1.0, 0.78, 0.76], np.float32)
    for index, size in ((NOSE_TIP, 0.022), (CHEEKS[0], 0.028), (CHEEKS[1], 0.028)):
        d = p - marks.face[index]
        gap = np.einsum("mc,mc->m", d, d)
        color = mix(color, 0.45 * np.exp(-gap / size**2), ruddy)
    front = p[:, 2] > marks.face[CHIN][2] - 0.055
    plane = p[:, :2]
    near = np.nonzero(front)[0]
    flat, local = plane[near], color[near]
    lips = polygon_distance(flat, marks.face[list(OUTER_LIPS), :2])
    local = mix(local, 0.75 * np.clip(lips / 0.0025 + 0.5, 0, 1), tone * [0.86, 0.52, 0.54])
    for brow, eye, lid in zip(_BROWS, _EYES, _UPPER_LIDS, strict=True):
        inside = polygon_distance(flat, marks.face[list(brow), :2])
        local = mix(local, 0.85 * np.clip(inside / 0.002 + 0.6, 0, 1), hair_color)
        socket = polygon_distance(flat, marks.face[list(eye), :2])
        local = mix(local, 0.18 * np.clip(socket / 0.008 + 1, 0, 1), tone * [0.7, 0.55, 0.5])
        lash = line_distance(flat, marks.face[list(lid), :2])
        local = mix(local, 0.75 * band(lash, 0.0012, 0.0012), (0.10, 0.07, 0.06))
    color[near] = local
    return color


def eyes(marks: Landmarks, iris: Color, p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """White, iris and pupil about the eye's own axis."""
    center = np.where(p[:, :1] > 0, marks["left_eye"], marks["right_eye"])
    d = p - center
    angle = np.arctan2(np.hypot(d[:, 0], d[:, 1]), d[:, 2])
    white = np.tile(np.array([0.90, 0.88, 0.86], np.float32), (len(p), 1))
    color = mix(white, (0.50 - angle) / 0.05 + 0.5, iris)
    return mix(color, (0.21 - angle) / 0.04 + 0.5, (0.03, 0.03, 0.03))


def mouth(marks: Landmarks, p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """Tongue and cavity, darker further in."""
    depth = np.clip((marks.face[NOSE_TIP][2] - 0.015 - p[:, 2]) / 0.04, 0, 1)
    return mix(
        np.tile(np.array([0.55, 0.24, 0.24], np.float32), (len(p), 1)), depth, (0.22, 0.07, 0.07)
    )


def teeth(p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """One ivory."""
    return np.tile(np.array([0.90, 0.88, 0.82], np.float32), (len(p), 1))


def folds(p: np.ndarray, scale: float) -> np.ndarray:
    """Soft creases of cloth around zero, about +-1."""
    x, y, z = (p * scale).T
    bend = np.sin(11 * y + 5 * np.sin(6 * x + 1) + 4 * np.sin(7 * z))
    fine = np.sin(23 * (y + 0.4 * np.abs(x)) + 5 * np.sin(9 * z + 2 * x) + 2)
    folds: np.ndarray = 0.65 * bend + 0.35 * fine
    return folds


def shirt(
    marks: Landmarks, colors: tuple[Color, Color], pattern: str, p: np.ndarray, inset: np.ndarray
) -> np.ndarray:
    """A buttoned shirt, checked or striped, in a base colour and an accent."""
    shoulder, neck = marks["left_shoulder"], marks["neck"]
    on_sleeve = np.abs(p[:, 0]) > shoulder[0] + 0.005
    round_torso = 0.16 * np.arctan2(p[:, 0], p[:, 2] + 0.02)
    round_arm = 0.05 * np.arctan2(p[:, 1] - shoulder[1], p[:, 2] - shoulder[2])
    across = np.where(on_sleeve, round_arm, round_torso)
    down = np.where(on_sleeve, np.abs(p[:, 0]), p[:, 1])
    base, accent = (np.asarray(c, np.float32) for c in colors)
    color = np.tile(base, (len(p), 1))
    stripes = wave(across, 0.055, 0.30, 0.004)
    if pattern == "checked":
        color = mix(color, 0.55 * stripes, accent)
        color = mix(color, 0.55 * wave(down, 0.055, 0.30, 0.004), accent)
        color = mix(color, 0.5 * wave(down + 0.02, 0.055, 0.06, 0.003), base * 0.55)
    else:
        color = mix(color, 0.8 * wave(down, 0.07, 0.45, 0.004), accent)
    front = p[:, 2] > 0.02
    placket = front & ~on_sleeve
    color = mix(color, 0.6 * band(p[:, 0], 0.016, 0.002) * placket, base * 0.92)
    color = mix(color, 0.5 * band(np.abs(p[:, 0]) - 0.016, 0.0012, 0.002) * placket, base * 0.5)
    button = np.hypot(p[:, 0], (p[:, 1] - neck[1] + 0.01) % 0.085 - 0.0425)
    color = mix(color, band(button, 0.005, 0.002) * placket, (0.95, 0.94, 0.90))
    pocket = np.maximum(np.abs(p[:, 0] - 0.085) - 0.045, np.abs(p[:, 1] - neck[1] + 0.20) - 0.05)
    color = mix(color, 0.5 * band(pocket, 0.0015, 0.002) * front * (p[:, 0] > 0), base * 0.5)
    collar = (inset < 0.035) & (p[:, 1] > shoulder[1] + 0.01) & ~on_sleeve
    color = mix(color, 0.8 * collar, base * 0.85)
    color = mix(color, 0.45 * band(inset - 0.018, 0.0012, 0.002) * ~collar, base * 0.5)
    return color * (1 + 0.06 * folds(p, 1.6))[:, None]


def trousers(
    marks: Landmarks, color_of_cloth: Color, p: np.ndarray, inset: np.ndarray
) -> np.ndarray:
    """Jeans: a weave, worn thighs, seams."""
    hip, knee = marks["left_hip"], marks["left_knee"]
    base = np.asarray(color_of_cloth, np.float32)
    weave = np.sin(900 * (p[:, 0] + p[:, 1])) * np.sin(900 * (p[:, 2] - p[:, 1]))
    color = np.tile(base, (len(p), 1)) * (1 + 0.04 * weave)[:, None]
    worn = np.exp(-(((p[:, 1] - (knee[1] + 0.22)) / 0.16) ** 2)) * (p[:, 2] > 0)
    color = mix(color, 0.25 * worn, base * 1.5)
    leg = np.arctan2(p[:, 2], np.abs(p[:, 0]) - hip[0])
    seam = band(leg * 0.08, 0.0012, 0.002) * (np.abs(p[:, 0]) > hip[0])
    color = mix(color, 0.7 * seam, base * 0.55)
    color = mix(color, 0.5 * band(inset - 0.02, 0.0012, 0.002), base * 1.6)
    return color * (1 + 0.07 * folds(p + np.float32(0.3), 1.2))[:, None]


def shoe(color_of_upper: Color, p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """A laced shoe; ``p``: metres to the outside, above the floor, from the heel."""
    base = np.asarray(color_of_upper, np.float32)
    color = np.tile(base, (len(p), 1))
    length = max(float(p[:, 2].max(initial=0.0)), 0.2)
    toe = np.clip((p[:, 2] - 0.80 * length) / 0.004, 0, 1)
    color = mix(color, 0.5 * toe, base * 0.75)
    laces = band(p[:, 0], 0.026, 0.003) * wave(p[:, 2], 0.017, 0.4, 0.003)
    laced = (p[:, 2] > 0.48 * length) & (p[:, 2] < 0.74 * length) & (p[:, 1] > 0.05)
    color = mix(color, 0.9 * laces * laced, (0.95, 0.95, 0.93))
    color = mix(color, np.clip((0.024 - p[:, 1]) / 0.003, 0, 1), (0.93, 0.92, 0.90))
    return mix(color, band(p[:, 1] - 0.026, 0.001, 0.002), base * 0.5)


def hair(marks: Landmarks, color_of_hair: Color, p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """Streaks that run from the crown."""
    base = np.asarray(color_of_hair, np.float32)
    strand = 40 * np.arctan2(p[:, 0], np.abs(p[:, 2] - marks["head"][2]) + 0.05)
    streak = np.sin(3 * strand + 4 * np.sin(60 * p[:, 1])) + 0.6 * np.sin(
        7.3 * strand + 90 * p[:, 2]
    )
    return np.tile(base, (len(p), 1)) * (1 + 0.16 * streak)[:, None]
