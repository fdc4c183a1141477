"""Cloth of the dressed people: patterns, prints, and what each kind of garment is sewn with."""

from __future__ import annotations

import numpy as np

from pear_avatar.synthesis.attributes import Cloth, Color
from pear_avatar.synthesis.noise import ValueNoise
from pear_avatar.synthesis.paint import band, folds, mix, wave
from pear_avatar.synthesis.person import Landmarks


def patterned(cloth: Cloth, across: np.ndarray, down: np.ndarray, noise: ValueNoise) -> np.ndarray:
    """RGB (M, 3) of a cloth at places in metres across and down its weave (M,)."""
    base, accent = (np.asarray(c, np.float32) for c in (cloth.color, cloth.accent))
    color = np.tile(base, (len(across), 1))
    size = 0.6 + 1.0 * float(noise.value(np.zeros(1), np.full(1, 0.5))[0])
    if cloth.pattern == "checked":
        color = mix(color, 0.5 * wave(across, 0.05 * size, 0.35, 0.003), accent)
        color = mix(color, 0.5 * wave(down, 0.05 * size, 0.35, 0.003), accent)
        return mix(color, 0.5 * wave(down + 0.018, 0.05 * size, 0.07, 0.002), base * 0.5)
    if cloth.pattern == "striped":
        return mix(color, wave(down, 0.05 * size, 0.45, 0.003), accent)
    if cloth.pattern == "pinstriped":
        return mix(color, 0.8 * wave(across, 0.018 * size, 0.15, 0.002), accent)
    if cloth.pattern == "dotted":
        cell = 0.028 * size
        row = np.floor(down / cell)
        u = (across / cell + 0.5 * (row % 2)) % 1 - 0.5
        dot = np.hypot(u, down / cell - row - 0.5)
        return mix(color, np.clip((0.27 - dot) / 0.08, 0, 1), accent)
    if cloth.pattern == "floral":
        return _floral(color, accent, across / size, down / size, noise)
    if cloth.pattern == "blocks":
        return mix(color, np.clip((down - 0.22) / 0.002, 0, 1), accent)
    return color


def _floral(
    color: np.ndarray, accent: np.ndarray, across: np.ndarray, down: np.ndarray, noise: ValueNoise
) -> np.ndarray:
    """Blossoms of five petals scattered over a grid, and leaves."""
    cell = 0.055
    i, j = np.floor(across / cell), np.floor(down / cell)
    u = across / cell - i - 0.3 - 0.4 * noise.value(i * 3.7 + 0.5, j * 5.3 + 0.5)
    v = down / cell - j - 0.3 - 0.4 * noise.value(i * 7.1 + 9.5, j * 2.9 + 0.5)
    radius = np.hypot(u, v)
    petal = 0.24 + 0.09 * np.cos(5 * np.arctan2(v, u) + 6 * noise.value(i, j))
    leaf = np.clip((noise.fractal(across * 45 + 90, down * 45, 2) - 0.62) / 0.03, 0, 1)
    color = mix(color, 0.6 * leaf, (0.22, 0.34, 0.20))
    color = mix(color, np.clip((petal - radius) / 0.05, 0, 1), accent)
    return mix(color, np.clip((0.08 - radius) / 0.04, 0, 1), (0.92, 0.76, 0.24))


def _print(color: np.ndarray, cloth: Cloth, p: np.ndarray, y0: float, noise: ValueNoise) -> None:
    """A picture on the chest (in place): a ring, a bar, blots, whatever the noise says."""
    kind = int(3.999 * noise.value(np.full(1, 5.5), np.full(1, 0.5))[0])
    x, y = p[:, 0], p[:, 1] - y0
    near = np.nonzero((np.abs(x) < 0.13) & (np.abs(y) < 0.13) & (p[:, 2] > 0.0))[0]
    x, y = x[near], y[near]
    radius = np.hypot(x, y)
    if kind == 0:
        ink = band(radius - 0.075, 0.012, 0.003) + np.clip((0.035 - radius) / 0.003, 0, 1)
    elif kind == 1:
        row = np.floor((y + 0.055) / 0.036)
        letter = noise.value(np.floor(x / 0.022) * 3.1 + 0.5, row * 7.7 + 0.5)
        stroke = noise.value(np.floor(x / 0.0073) * 1.7 + 3.5, np.floor(y / 0.012) * 2.3 + 0.5)
        ink = (letter > 0.2) * (stroke > 0.42) * band(x, 0.1, 0.002) * (np.abs(y) < 0.055)
        ink = ink * band((y + 0.055) % 0.036 - 0.018, 0.013, 0.002)
    elif kind == 2:
        ink = np.clip((noise.fractal(x * 22 + 8, y * 22 + 3, 3) - 0.5) / 0.03, 0, 1)
        ink = ink * np.clip((0.11 - radius) / 0.004, 0, 1)
    else:
        ink = band(y - 0.02, 0.03, 0.002) * band(x, 0.12, 0.002)
        ink = np.maximum(ink, band(y + 0.05, 0.008, 0.002) * band(x, 0.12, 0.002))
    color[near] = mix(color[near], np.clip(ink, 0, 1), cloth.accent)


def _torso(marks: Landmarks, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Across and down the weave (M,) of a top, and where its sleeves are (M,) bool."""
    shoulder = marks["left_shoulder"]
    on_sleeve = np.abs(p[:, 0]) > shoulder[0] + 0.005
    round_torso = 0.16 * np.arctan2(p[:, 0], p[:, 2] + 0.02)
    round_arm = 0.05 * np.arctan2(p[:, 1] - shoulder[1], p[:, 2] - shoulder[2])
    across = np.where(on_sleeve, round_arm, round_torso)
    return across, np.where(on_sleeve, np.abs(p[:, 0]), p[:, 1]), on_sleeve


def top(
    marks: Landmarks, kind: str, cloth: Cloth, p: np.ndarray, inset: np.ndarray, *, seed: int
) -> np.ndarray:
    """A T-shirt, shirt, jumper or vest at template places (M, 3)."""
    noise = ValueNoise(seed)
    across, down, on_sleeve = _torso(marks, p)
    color = patterned(cloth, across, down, noise)
    base = np.asarray(cloth.color, np.float32)
    neck, shoulder = marks["neck"], marks["left_shoulder"]
    if cloth.pattern == "print":
        _print(color, cloth, p, float(neck[1] - 0.2), noise)
    at_neck = (p[:, 1] > shoulder[1] - 0.02) & ~on_sleeve
    if kind == "shirt":
        color = _buttons(color, base, p, float(neck[1]), on_sleeve)
        color = mix(color, 0.6 * ((inset < 0.03) & at_neck), base * 0.9)
    elif kind == "jumper":
        rib = 0.5 + 0.5 * np.sin(across * 1400)
        knit = np.sin(across * 900) * np.sin(down * 700)
        edge = inset < 0.045
        color = color * (1 + np.where(edge, 0.12 * (rib - 0.5), 0.05 * knit))[:, None]
    else:
        color = mix(color, 0.7 * ((inset < 0.016) & at_neck), base * 0.82)
    color = mix(color, 0.45 * band(inset - 0.016, 0.0010, 0.002), base * 0.55)
    return _worn(color, p, seed, 0.07)


def _buttons(
    color: np.ndarray, base: np.ndarray, p: np.ndarray, neck: float, on_sleeve: np.ndarray
) -> np.ndarray:
    """Placket, buttons and a breast pocket."""
    front = (p[:, 2] > 0.02) & ~on_sleeve
    color = mix(color, 0.5 * band(np.abs(p[:, 0]) - 0.016, 0.0012, 0.002) * front, base * 0.5)
    button = np.hypot(p[:, 0], (p[:, 1] - neck + 0.01) % 0.085 - 0.0425)
    color = mix(color, band(button, 0.005, 0.002) * front, (0.95, 0.94, 0.90))
    pocket = np.maximum(np.abs(p[:, 0] - 0.085) - 0.045, np.abs(p[:, 1] - neck + 0.20) - 0.05)
    return mix(color, 0.5 * band(pocket, 0.0015, 0.002) * front * (p[:, 0] > 0), base * 0.5)


def outer(
    marks: Landmarks, kind: str, cloth: Cloth, p: np.ndarray, inset: np.ndarray, *, seed: int
) -> np.ndarray:
    """A jacket, coat or hoodie at template places (M, 3)."""
    noise = ValueNoise(seed + 1)
    across, down, on_sleeve = _torso(marks, p)
    color = patterned(cloth, across, down, noise)
    base = np.asarray(cloth.color, np.float32)
    x, y = np.abs(p[:, 0]), p[:, 1]
    front = (p[:, 2] > 0.0) & ~on_sleeve
    low = marks["left_hip"][1] + (0.12 if kind != "coat" else 0.10)
    slant = np.abs((y - low) - 2.2 * (x - 0.10))
    pocket = (slant < 0.006) & (np.abs(y - low) < 0.055) & front
    color = mix(color, 0.6 * pocket, base * 0.45)
    if kind == "hoodie":
        rib = 0.5 + 0.5 * np.sin(across * 1200)
        color = color * (1 - 0.12 * (inset < 0.05) * rib)[:, None]
        cord = (np.abs(x - 0.035 - 0.02 * (marks["neck"][1] - y)) < 0.003) & front
        cord &= (y > marks["neck"][1] - 0.17) & (y < marks["neck"][1] - 0.04)
        color = mix(color, 0.9 * cord, (0.92, 0.92, 0.90))
    else:
        lapel = x - (0.05 + 0.32 * (y - marks["spine2"][1])) * (y > marks["spine2"][1])
        edge = band(lapel, 0.0016, 0.002) * front * (y > marks["spine2"][1])
        color = mix(color, 0.6 * edge, base * 0.45)
        button = np.hypot(p[:, 0] - 0.055, (y - low + 0.02) % 0.11 - 0.055)
        color = mix(
            color,
            band(button, 0.008, 0.002) * front * (y < marks["spine3"][1]),
            np.asarray(cloth.accent) * 0.7,
        )
    cuff = on_sleeve & (inset < 0.03)
    color = mix(color, 0.35 * cuff, base * 0.6)
    color = mix(color, 0.4 * band(inset - 0.02, 0.0012, 0.002), base * 0.5)
    grain = noise.fractal(across * 700, down * 700, 2)[:, None]
    return _worn(color * (0.93 + 0.14 * grain), p, seed + 1, 0.09)


def bottom(
    marks: Landmarks, kind: str, cloth: Cloth, p: np.ndarray, inset: np.ndarray, *, seed: int
) -> np.ndarray:
    """Trousers, jeans or shorts at template places (M, 3)."""
    hip, knee = marks["left_hip"], marks["left_knee"]
    noise = ValueNoise(seed + 2)
    leg = np.arctan2(p[:, 2], np.abs(p[:, 0]) - hip[0])
    color = patterned(cloth, leg * 0.08, p[:, 1], noise)
    base = np.asarray(cloth.color, np.float32)
    if kind == "jeans":
        weave = np.sin(900 * (p[:, 0] + p[:, 1])) * np.sin(900 * (p[:, 2] - p[:, 1]))
        color = color * (1 + 0.04 * weave)[:, None]
        worn = np.exp(-(((p[:, 1] - (knee[1] + 0.2)) / 0.16) ** 2)) * (p[:, 2] > 0)
        color = mix(color, 0.35 * worn, np.clip(base * 1.7, 0, 1))
        color = mix(color, 0.5 * band(inset - 0.02, 0.0012, 0.002), base * 1.6)
    elif kind != "shorts":
        crease = band(p[:, 2] * 0 + np.abs(leg - np.pi / 2) * 0.07, 0.001, 0.003)
        color = mix(color, 0.25 * crease * (p[:, 1] < hip[1] - 0.1), base * 1.4)
    seam = band(leg * 0.08, 0.0012, 0.002) * (np.abs(p[:, 0]) > hip[0])
    color = mix(color, 0.6 * seam, base * 0.55)
    pocket = (
        (np.abs(p[:, 1] - hip[1] + 0.0 - 1.2 * (0.15 - np.abs(p[:, 0]))) < 0.004)
        & (np.abs(p[:, 0]) > 0.09)
        & (p[:, 2] > 0)
        & (p[:, 1] > hip[1] - 0.02)
    )
    color = mix(color, 0.6 * pocket, base * 0.5)
    return _worn(color, p + np.float32(0.3), seed + 2, 0.08)


def skirt(cloth: Cloth, seed: int, p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """A skirt, painted by its angle and height."""
    noise = ValueNoise(seed + 3)
    angle = np.arctan2(p[:, 0], p[:, 2] + 0.02)
    color = patterned(cloth, angle * 0.2, p[:, 1], noise)
    color = color * (1 + 0.05 * np.sin(angle * 11 + 1))[:, None]
    base = np.asarray(cloth.color, np.float32)
    return mix(color, 0.4 * band(inset - 0.02, 0.0012, 0.002), base * 0.6)


def _worn(color: np.ndarray, p: np.ndarray, seed: int, depth: float) -> np.ndarray:
    """Creases that differ from person to person."""
    shift = np.float32(0.37 * (seed % 17))
    return color * (1 + depth * folds(p + shift, 1.3 + 0.05 * (seed % 9)))[:, None]


def shoe(color_of_upper: Color, kind: str, p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """A trainer or boot; ``p`` as of :func:`~pear_avatar.synthesis.layers.shoe`."""
    base = np.asarray(color_of_upper, np.float32)
    color = np.tile(base, (len(p), 1))
    length = max(float(p[:, 2].max(initial=0.0)), 0.2)
    sole = (0.93, 0.92, 0.90) if kind == "trainers" else (0.16, 0.13, 0.11)
    toe = np.clip((p[:, 2] - 0.80 * length) / 0.004, 0, 1)
    color = mix(color, 0.5 * toe, base * 0.75)
    laces = band(p[:, 0], 0.026, 0.003) * wave(p[:, 2], 0.017, 0.4, 0.003)
    laced = (p[:, 2] > 0.48 * length) & (p[:, 2] < 0.74 * length) & (p[:, 1] > 0.05)
    ink = (0.95, 0.95, 0.93) if kind == "trainers" else tuple(0.5 * base)
    color = mix(color, 0.9 * laces * laced, ink)
    if kind == "trainers":
        flash = band(p[:, 1] - 0.05 - 0.15 * (p[:, 2] - 0.5 * length), 0.006, 0.002)
        color = mix(
            color, 0.8 * flash * (np.abs(p[:, 0]) > 0.02) * (p[:, 2] < 0.6 * length), 1 - 0.8 * base
        )
    color = mix(color, np.clip((0.024 - p[:, 1]) / 0.003, 0, 1), sole)
    return mix(color, band(p[:, 1] - 0.026, 0.001, 0.002), base * 0.5)


def plain(color_of_it: Color, relief: float, p: np.ndarray, inset: np.ndarray) -> np.ndarray:
    """One colour with a little relief: hats, gloves, frames, lenses."""
    base = np.tile(np.asarray(color_of_it, np.float32), (len(p), 1))
    knit = np.sin(p[:, 0] * 800) * np.sin(p[:, 1] * 700) + 0.5 * np.sin(p[:, 2] * 60)
    return base * (1 + relief * knit)[:, None]
