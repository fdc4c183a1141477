"""Cloth that hangs free of the legs: skirts and the tails of coats, and collars.

They are tubes of rings. Each ring goes round the body's own outline at its height and never
narrower than the ring above it hangs, so cloth falls from the widest place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial import cKDTree

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.synthesis.assembly import Piece, Skin, smoothstep
from pear_avatar.synthesis.hair import grid_faces
from pear_avatar.synthesis.noise import ValueNoise
from pear_avatar.synthesis.person import Capsules, Material

_COLUMNS = 96


@dataclass(frozen=True)
class TubeCut:
    """The cut of a hanging tube; heights in metres in the shaped rest pose.

    top, bottom: where it starts and ends. flare: metres of radius gained per metre of fall.
    ease:        clearance from the body. opening: half width of an open front, 0 where closed.
    folds:       depth of its folds at the hem.
    """

    top: float
    bottom: float
    flare: float = 0.25
    ease: float = 0.012
    opening: float = 0.0
    folds: float = 0.012


def tube(
    skin: Skin, material: Material, cut: TubeCut, inner: np.ndarray, noise: ValueNoise
) -> Piece:
    """A hanging tube round hips and legs.

    Args:
        skin: the body that wears it.
        material: of its faces.
        cut: where it starts and how it falls.
        inner: (P, 3) rest positions that it must enclose at its top: skin and the layers below.
        noise: of the folds.
    """
    rows = max(8, int((cut.top - cut.bottom) / 0.022))
    height = np.linspace(cut.top, cut.bottom, rows)
    angle = (np.arange(_COLUMNS) + 0.5) * 2 * np.pi / _COLUMNS - np.pi
    center = np.array([0.0, skin.shaped["pelvis"][2]])
    radius = _hanging_radius(_outlines(inner, height, angle, center), height, cut)
    t = np.linspace(0, 1, rows)[:, None]
    fold = np.sin(angle * 11 + 6 * noise.fractal(angle * 2 + 50, 0 * angle, 2))
    radius = radius + cut.folds * t * (0.6 * fold[None] + 0.4)
    shift = np.zeros_like(angle)
    if cut.opening:  # columns crowd towards the edges of the opening at the front
        shift = np.sign(angle) * np.exp(-np.abs(angle) * 4) * cut.opening / 0.16
    turned = angle + shift
    rest = np.stack(
        [
            radius * np.sin(turned) + center[0],
            np.broadcast_to(height[:, None], radius.shape),
            radius * np.cos(turned) + center[1],
        ],
        -1,
    )
    faces = grid_faces(_COLUMNS, rows, closed=True)
    if cut.opening:
        column = faces // rows
        across = (column.min(1) == _COLUMNS // 2 - 1) & (column.max(1) == _COLUMNS // 2)
        faces = faces[~across]
    # As if it lay on a torso 16 cm thick, so that patterns go on from the garment above.
    frame = np.stack(
        [
            np.broadcast_to(0.16 * np.sin(angle), radius.shape),
            np.broadcast_to(height[:, None], radius.shape),
            np.broadcast_to(0.16 * np.cos(angle) - 0.02, radius.shape),
        ],
        -1,
    )
    inset = np.broadcast_to(np.minimum(height - cut.bottom, 1.0)[:, None], radius.shape)
    order = np.moveaxis(rest, 0, 1).reshape(-1, 3)
    return Piece(
        rest=order,
        weights=_hang_weights(skin, order),
        faces=faces,
        material=material,
        two_sided=True,
        paint_xyz=np.moveaxis(frame, 0, 1).reshape(-1, 3),
        paint_inset=inset.T.ravel(),
        loose=True,
    )


def _hanging_radius(outline: np.ndarray, height: np.ndarray, cut: TubeCut) -> np.ndarray:
    """(R, K) radii of the cloth: clear of the outline, and each ring as wide as the one above."""
    radius = outline + cut.ease
    for row in range(1, len(height)):
        fall = height[row - 1] - height[row]
        radius[row] = np.maximum(radius[row], radius[row - 1] + cut.flare * fall)
    smooth: np.ndarray = gaussian_filter1d(radius, 2.0, axis=1, mode="wrap")
    return smooth


def _outlines(
    points: np.ndarray, height: np.ndarray, angle: np.ndarray, center: np.ndarray
) -> np.ndarray:
    """(R, K) how far the points at each height reach in each direction, as a tight band would."""
    radius = np.zeros((len(height), len(angle)))
    step = 2 * np.pi / len(angle)
    for row, y in enumerate(height):
        near = np.abs(points[:, 1] - y) < 0.022
        x, z = points[near, 0] - center[0], points[near, 2] - center[1]
        if not len(x):
            continue
        # The support function of the outline, then the largest radius that it allows.
        directions = np.stack([np.sin(angle), np.cos(angle)])
        support = (np.stack([x, z], 1) @ directions).max(0)
        offsets = np.arange(-(len(angle) // 4) + 1, len(angle) // 4)
        bound = np.stack([np.roll(support, -k) / np.cos(k * step) for k in offsets])
        radius[row] = bound.min(0)
    filled: np.ndarray = np.maximum(radius, maximum_filter1d(radius, 3, axis=0) * (radius == 0))
    return filled


def _hang_weights(skin: Skin, rest: np.ndarray) -> np.ndarray:
    """Like the body at the waist; further down shared by the pelvis and the nearer thigh."""
    near = cKDTree(skin.rest).query(rest, k=4)[1]
    weights = skin.weights[near].mean(1)
    hip, knee = skin.shaped["left_hip"], skin.shaped["left_knee"]
    down = smoothstep(-0.03, 0.16, hip[1] - rest[:, 1])
    left = smoothstep(-0.11, 0.11, rest[:, 0])
    calf = 0.35 * smoothstep(-0.05, 0.25, knee[1] - rest[:, 1])
    hung = np.zeros((len(rest), NUM_JOINTS), np.float32)
    hung[:, JOINT_INDEX["pelvis"]] = 0.22
    for side, share in (("left", left), ("right", 1 - left)):
        hung[:, JOINT_INDEX[f"{side}_hip"]] = 0.78 * share * (1 - calf)
        hung[:, JOINT_INDEX[f"{side}_knee"]] = 0.78 * share * calf
    mixed: np.ndarray = weights * (1 - down[:, None]) + hung * down[:, None]
    return mixed.astype(np.float32)


def leg_capsules(skin: Skin, extra: float) -> Capsules:
    """Thighs and calves that push loose cloth aside; ``extra`` metres wider than the skin."""
    ends, radius, joint = [], [], []
    for side in ("left", "right"):
        hip, knee, ankle = (skin.shaped[f"{side}_{n}"] for n in ("hip", "knee", "ankle"))
        for a, b, name, share in ((hip, knee, "hip", 0.5), (knee, ankle, "knee", 0.25)):
            index = JOINT_INDEX[f"{side}_{name}"]
            own = skin.rest[skin.weights[:, index] > 0.8]
            place = a + share * (b - a)
            ring = own[np.abs(own[:, 1] - place[1]) < 0.03]
            # Middles of the limb, not the joints, which lie off its axis.
            middle = ring.mean(0) - place
            wide = np.linalg.norm((ring - ring.mean(0))[:, [0, 2]], axis=1).mean()
            low = a + 0.15 * (b - a) if name == "hip" else a
            ends.append([low + middle * [1, 0, 1], b + middle * [0.5, 0, 0.5]])
            radius.append(wide + extra)
            joint.append(index)
    return Capsules(np.asarray(ends), np.asarray(radius), np.asarray(joint))


def collar(skin: Skin, outer: Piece, tall: float, gap: float) -> Piece | None:
    """A turned-down collar on the neck's rim of a garment; None where there is no rim.

    Args:
        skin: the body that wears it.
        outer: the garment.
        tall: metres that it stands.
        gap: half the opening at the front, radians.
    """
    neck = skin.shaped["neck"]
    rim = _rim(outer.faces)
    at = outer.rest[rim]
    own = (np.hypot(at[:, 0], at[:, 2] - neck[2]) < 0.13) & (at[:, 1] > neck[1] - 0.09)
    rim, at = rim[own], at[own]
    if len(rim) < 12:
        return None
    around = np.arctan2(at[:, 0], at[:, 2] - neck[2])
    order = np.argsort(around)
    columns = 48
    angle = np.linspace(-np.pi + gap, np.pi - gap, columns) + np.pi
    angle = np.where(angle > np.pi, angle - 2 * np.pi, angle)
    path = np.stack(
        [np.interp(angle, around[order], at[order, k], period=2 * np.pi) for k in range(3)], 1
    )
    path = gaussian_filter1d(path, 1.5, axis=0, mode="nearest")
    outward = (path - [0, 0, neck[2]]) * [1, 0, 1]
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    up = np.array([0.0, 1.0, 0.0])
    rows = [
        path - 0.006 * up,
        path + 0.35 * tall * up + 0.001 * outward,
        path + 0.75 * tall * up - 0.003 * outward,
        path + tall * up + 0.004 * outward,
        path + 0.80 * tall * up + 0.016 * outward,
        path + 0.05 * tall * up + 0.026 * outward,
        path - 0.25 * tall * up + 0.030 * outward,
    ]
    rest = np.stack(rows, 1).reshape(-1, 3)
    near = cKDTree(outer.rest).query(rest, k=4)[1]
    frame = outer.paint_xyz[near].mean(1)
    return Piece(
        rest=rest,
        weights=outer.weights[near].mean(1),
        faces=grid_faces(columns, len(rows), closed=False),
        material=outer.material,
        two_sided=True,
        paint_xyz=frame,
        paint_inset=np.full(len(rest), 0.03),
    )


def _rim(faces: np.ndarray) -> np.ndarray:
    """Vertices on open edges."""
    half = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, inverse, count = np.unique(
        np.sort(half, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    return np.unique(half[count[inverse.ravel()] == 1])
