"""Skin, hair and eyes of the dressed people: tones with spots, age, make-up and stubble."""

from __future__ import annotations

import numpy as np

from pear_avatar.body.topology import (
    CHIN,
    FOREHEAD,
    LEFT_BROW_OUTLINE,
    LEFT_EYE_OUTER,
    LEFT_EYE_OUTLINE,
    LEFT_UPPER_LID,
    OUTER_LIPS,
    RIGHT_BROW_OUTLINE,
    RIGHT_EYE_OUTER,
    RIGHT_EYE_OUTLINE,
    RIGHT_UPPER_LID,
)
from pear_avatar.synthesis.attributes import Attributes, Color
from pear_avatar.synthesis.layers import hair_field
from pear_avatar.synthesis.noise import ValueNoise
from pear_avatar.synthesis.paint import (
    band,
    line_distance,
    mix,
    paint_face,
    polygon_distance,
)
from pear_avatar.synthesis.person import Landmarks

_BROW_ARCS = (RIGHT_BROW_OUTLINE[:5], LEFT_BROW_OUTLINE[:5])
_LIDS = (RIGHT_UPPER_LID, LEFT_UPPER_LID)
_LOWER_LIDS = (RIGHT_EYE_OUTLINE[:9], LEFT_EYE_OUTLINE[:9])
#: Points of the face mesh: under the nose, inner lips, brow middle, and per side the wing of the
#: nose, the corner of the mouth, the outer corner of the eye and the sign of x.
_UNDER_NOSE, _INNER_LIPS, _BETWEEN_BROWS = 2, (13, 14), 9
_SIDES = ((129, 61, RIGHT_EYE_OUTER, -1.0), (358, 291, LEFT_EYE_OUTER, 1.0))


def skin(
    marks: Landmarks, who: Attributes, noise: ValueNoise, p: np.ndarray, inset: np.ndarray
) -> np.ndarray:
    """Skin at template places (M, 3); ``inset`` as of the person, negative outside the hems."""
    tone = np.asarray(who.skin, np.float32)
    color = np.tile(tone, (len(p), 1))
    x, y, _ = p.T
    u, v = _surface(marks, p)
    blotch = noise.fractal(u * 24, v * 24, 3) - 0.5
    pores = noise.value(u * 900, v * 900) - 0.5
    color = color * (1 + 0.09 * blotch + 0.03 * pores)[:, None]
    ruddy = tone * np.array([1.02, 0.86, 0.82], np.float32)
    hands = np.abs(x) > marks["left_wrist"][0] - 0.02
    color = mix(color, 0.35 * hands + 0.3 * (y < marks["left_ankle"][1]), ruddy)
    spots = noise.value(u * 260, v * 260)
    sunny = (y > marks["spine3"][1]) | hands
    color = mix(
        color,
        0.55 * who.freckles * np.clip((spots - 0.80) / 0.1, 0, 1) * sunny,
        tone * [0.72, 0.58, 0.48],
    )
    old = np.clip((who.age - 45) / 35, 0, 1)
    patches = noise.value(u * 70 + 31, v * 70)
    color = mix(color, 0.35 * old * np.clip((patches - 0.84) / 0.06, 0, 1) * sunny, tone * 0.72)
    head = np.nonzero(y > marks["neck"][1] - 0.01)[0]
    color[head] = _head(marks, who, noise, p[head], color[head])
    under_cloth = np.exp(-np.clip(-inset, 0, 1) / 0.012)
    return color * (1 - 0.3 * under_cloth * (inset < 0))[:, None]


def _surface(marks: Landmarks, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres round and along the limb (M,) of places, so that spots are round everywhere."""
    x, y, z = p.T
    shoulder, hip = marks["left_shoulder"], marks["left_hip"]
    arm, leg = np.abs(x) > shoulder[0], y < hip[1] - 0.05
    round_arm = 0.045 * np.arctan2(y - shoulder[1], z - shoulder[2])
    round_leg = 0.07 * np.arctan2(np.abs(x) - hip[0], z) + 0.5 * (x > 0)
    round_trunk = 0.09 * np.arctan2(x, z - 0.01)
    around = np.where(arm, round_arm, np.where(leg, round_leg, round_trunk))
    return around, np.where(arm, np.abs(x) + 0.7 * (x > 0), y)


def _head(
    marks: Landmarks, who: Attributes, noise: ValueNoise, p: np.ndarray, color: np.ndarray
) -> np.ndarray:
    tone = np.asarray(who.skin, np.float32)
    brow = who.hair.color if who.hair.cut != "bald" else _dull(who.hair.color)
    color = paint_face(marks, tone, brow, p, color)
    color = _scalp(marks, who, noise, p, color)
    front = np.nonzero(p[:, 2] > marks.face[CHIN][2] - 0.055)[0]
    flat, local = p[front, :2], color[front]
    lips = polygon_distance(flat, marks.face[list(OUTER_LIPS), :2])
    if who.makeup:
        hue = noise.value(np.full(1, 3.5), np.full(1, 8.5))[0]
        red = np.array([0.72, 0.16 + 0.2 * hue, 0.22 + 0.2 * hue], np.float32)
        local = mix(local, 0.75 * who.makeup * np.clip(lips / 0.002 + 0.4, 0, 1), red)
        for lid in _LIDS:
            line = line_distance(flat, marks.face[list(lid), :2] + [0, 0.003])
            local = mix(
                local, 0.5 * who.makeup * np.exp(-((line / 0.004) ** 2)), tone * [0.5, 0.42, 0.5]
            )
    if who.sex == "male":
        for arc in _BROW_ARCS:
            line = line_distance(flat, marks.face[list(arc), :2] - [0, 0.003])
            local = mix(local, 0.55 * np.exp(-((line / 0.0045) ** 2)), brow)
    local = _aged(marks, who, noise, flat, tone, color=local)
    color[front] = local
    if who.beard != "none":
        color = _stubble(marks, who, noise, p, color)
    return color


def _dull(color: Color) -> Color:
    r, g, b = (0.75 * c for c in color)
    return r, g, b


def _scalp(
    marks: Landmarks, who: Attributes, noise: ValueNoise, p: np.ndarray, color: np.ndarray
) -> np.ndarray:
    """Hair roots: shadow under hair, dots where it is shorn, a trace where there is none."""
    field = hair_field(marks, p, who.hair.recession)
    strength = {"bald": 0.12, "buzz": 0.75}.get(who.hair.cut, 0.9)
    dots = noise.value(*(700 * w for w in _surface(marks, p)))
    soft = np.clip((field + 0.004) / 0.012, 0, 1)
    return mix(color, strength * soft * (0.75 + 0.5 * (dots - 0.5)), who.hair.color)


def _stubble(
    marks: Landmarks, who: Attributes, noise: ValueNoise, p: np.ndarray, color: np.ndarray
) -> np.ndarray:
    face = marks.face
    x, y = np.abs(p[:, 0]), p[:, 1]
    cheek = face[_UNDER_NOSE][1] - 0.012 + 0.5 * np.clip(x - 0.045, 0, None) - y
    jaw = np.minimum.reduce([cheek, y - face[CHIN][1] + 0.035, p[:, 2] - face[CHIN][2] + 0.11])
    mouth = face[list(_INNER_LIPS)].mean(0)
    lips = np.hypot(x / 0.029, (y - mouth[1]) / 0.011) > 1
    dots = noise.value(*(900 * w for w in _surface(marks, p)))
    amount = {"stubble": 0.5, "full": 0.4}.get(who.beard, 0.22)
    soft = np.clip(jaw / 0.014, 0, 1) * lips * (0.6 + 0.8 * (dots - 0.3))
    return mix(color, amount * soft, who.hair.color)


def _aged(
    marks: Landmarks,
    who: Attributes,
    noise: ValueNoise,
    flat: np.ndarray,
    tone: np.ndarray,
    *,
    color: np.ndarray,
) -> np.ndarray:
    """Folds beside the mouth, lines on the forehead and beside the eyes, bags below them."""
    old = float(np.clip((who.age - 28) / 45, 0.05, 1))
    dark, face = tone * np.array([0.68, 0.56, 0.52], np.float32), marks.face[:, :2]
    for nose, corner, outer, sign in _SIDES:
        fold = np.stack(
            [face[nose], face[nose] + [0.009 * sign, -0.012], face[corner] + [0.010 * sign, 0.0]]
        )
        gap = line_distance(flat, fold)
        color = mix(color, 0.6 * old * np.exp(-((gap / 0.0022) ** 2)), dark)
        for tilt in (-0.5, 0.0, 0.5):
            start = face[outer] + [0.005 * sign, 0.0]
            crow = np.stack([start, start + np.array([0.014 * sign, 0.014 * tilt])])
            gap = line_distance(flat, crow)
            color = mix(color, 0.5 * old * np.exp(-((gap / 0.0010) ** 2)), dark)
    for lid in _LOWER_LIDS:
        gap = line_distance(flat, face[list(lid)] - [0, 0.0075])
        color = mix(color, 0.45 * old * np.exp(-((gap / 0.0022) ** 2)), dark)
    top, low = face[FOREHEAD][1], face[_BETWEEN_BROWS][1]
    for k in range(3):
        y = low + (0.35 + 0.22 * k) * (top - low)
        wave_ = 0.002 * np.sin(flat[:, 0] * 90 + 2 * k)
        line = band(flat[:, 1] - y - wave_, 0.0004, 0.0014) * (np.abs(flat[:, 0]) < 0.042)
        color = mix(color, 0.55 * max(old - 0.25, 0) * line, dark)
    return color


def hair(
    color_of_hair: Color, gray: float, noise: ValueNoise, p: np.ndarray, inset: np.ndarray
) -> np.ndarray:
    """Strands; ``p`` is metres across them, along them, and the clump (about -1 to 1)."""
    base = np.asarray(color_of_hair, np.float32)
    fine = noise.fractal(p[:, 0] * 900, p[:, 1] * 14, 2) - 0.5
    lock = noise.fractal(p[:, 0] * 130 + 9, p[:, 1] * 7, 2) - 0.5
    shade = 1 + 0.55 * fine + 0.75 * lock + 0.18 * p[:, 2]
    color = base * shade[:, None]
    sheen = np.clip(lock * 2 + fine, 0, 1)
    color = color + 0.10 * sheen[:, None] * np.sqrt(base)
    if gray:
        silver = noise.value(p[:, 0] * 700 + 50, p[:, 1] * 9)
        color = mix(color, gray * np.clip((silver - 0.5) / 0.2, 0, 1), (0.75, 0.74, 0.73))
    return color


def eyes(marks: Landmarks, iris: Color, p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """White with a trace of veins, a ringed iris, a pupil."""
    center = np.where(p[:, :1] > 0, marks["left_eye"], marks["right_eye"])
    d = p - center
    angle = np.arctan2(np.hypot(d[:, 0], d[:, 1]), d[:, 2])
    spokes = np.sin(np.arctan2(d[:, 1], d[:, 0]) * 17) * 0.12
    color = np.tile(np.array([0.88, 0.86, 0.84], np.float32), (len(p), 1))
    color = mix(color, np.clip((angle - 0.7) / 0.6, 0, 0.35), (0.80, 0.62, 0.58))
    ring = np.asarray(iris, np.float32) * (1 + spokes)[:, None]
    inside = np.clip((0.50 - angle) / 0.05 + 0.5, 0, 1)[:, None].astype(np.float32)
    color = color * (1 - inside) + ring * inside
    color = mix(color, 0.6 * band(angle - 0.47, 0.03, 0.04), np.asarray(iris) * 0.4)
    return mix(color, (0.21 - angle) / 0.04 + 0.5, (0.03, 0.03, 0.03))
