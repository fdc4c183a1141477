"""Glasses, hats and gloves."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.synthesis.assembly import Piece, Skin, smoothstep
from pear_avatar.synthesis.garments import cut_mesh, lift
from pear_avatar.synthesis.hair import grid_faces, sweep
from pear_avatar.synthesis.person import Material


def _rigid(rest: np.ndarray) -> np.ndarray:
    """(N, 55) weights of something that sits fast on the head."""
    weights = np.zeros((len(rest), NUM_JOINTS), np.float32)
    weights[:, JOINT_INDEX["head"]] = 1.0
    return weights


def _piece(
    rest: np.ndarray, faces: np.ndarray, material: Material, frame: np.ndarray | None = None
) -> Piece:
    return Piece(
        rest=rest,
        weights=_rigid(rest),
        faces=faces,
        material=material,
        two_sided=True,
        paint_xyz=rest if frame is None else frame,
        paint_inset=np.full(len(rest), 0.05),
    )


def glasses(skin: Skin, kind: str) -> list[Piece]:
    """Rims, bridge and temples, and dark lenses for sunglasses; nothing for "none"."""
    if kind == "none":
        return []
    thick = {"thin": 0.0010, "thick": 0.0024, "sunglasses": 0.0020}[kind]
    marks, face = skin.shaped, skin.shaped.face
    pieces, rims = [], []
    front = max(face[168][2], face[6][2]) + 0.004  # clear of the bridge of the nose
    for side, sign in (("left", 1.0), ("right", -1.0)):
        eye = marks[f"{side}_eye"]
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        wide, high = 0.0235, 0.0165 if kind == "thin" else 0.0200
        square = 1 / np.maximum(np.abs(np.cos(angle)) ** 4 + np.abs(np.sin(angle)) ** 4, 0.4) ** 0.2
        x = wide * np.cos(angle) * square
        middle = np.array([eye[0] + 0.003 * sign, eye[1] - 0.003, 0.0])
        depth = front - 0.010 * np.clip(np.abs(middle[0] + x) / 0.06, 0, 2) ** 2
        rim = np.stack([middle[0] + x, middle[1] + high * np.sin(angle) * square, depth], 1)
        rims.append(rim)
        loop = np.concatenate([rim, rim[:1]])
        pieces.append(_piece(*sweep(loop, np.full(len(loop), thick), 6), Material.FRAME))
        ear = face[454 if sign > 0 else 234] + np.array([0.006 * sign, 0.012, -0.035])
        hinge = rim[np.argmax(rim[:, 0] * sign)] + [0.002 * sign, 0.004, 0]
        out = max(abs(ear[0]), abs(hinge[0]) + 0.004) * sign
        path = np.array([hinge, [out, hinge[1], hinge[2] - 0.02], [out, ear[1], ear[2] + 0.02],
                         [out * 0.98, ear[1] - 0.02, ear[2] - 0.012]])  # fmt: skip
        line = _rounded(path)
        pieces.append(_piece(*sweep(line, np.full(len(line), thick), 6), Material.FRAME))
        if kind == "sunglasses":
            pieces.append(_lens(rim))
    inner = [rim[np.argmin(np.abs(rim[:, 0]))] for rim in rims]
    bridge = _rounded(np.array([inner[0], (inner[0] + inner[1]) / 2 + [0, 0.004, 0.003], inner[1]]))
    pieces.append(_piece(*sweep(bridge, np.full(len(bridge), thick), 6), Material.FRAME))
    return pieces


def _lens(rim: np.ndarray) -> Piece:
    rest = np.concatenate([rim, rim.mean(0, keepdims=True)])
    k = np.arange(len(rim))
    faces = np.stack([k, (k + 1) % len(rim), np.full(len(rim), len(rim))], 1)
    return _piece(rest, faces, Material.LENS)


def _rounded(path: np.ndarray, count: int = 24) -> np.ndarray:
    """A path (K, 3) resampled to ``count`` points with its corners rounded."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0, length[-1], count)
    line = np.stack([np.interp(at, length, path[:, k]) for k in range(3)], 1)
    smooth: np.ndarray = gaussian_filter1d(line, 1.2, axis=0, mode="nearest")
    smooth[[0, -1]] = line[[0, -1]]
    return smooth


def hat(skin: Skin, kind: str) -> list[Piece]:
    """A crown over the head, and a peak or a brim; nothing for "none"."""
    if kind == "none":
        return []
    marks, template = skin.landmarks, skin.template
    eyes = (marks["left_eye"] + marks["right_eye"]) / 2
    _, y, z = (template - eyes).T
    slope = {"cap": 0.10, "beanie": 0.28, "brim": 0.05}[kind]
    low = {"cap": 0.050, "beanie": 0.040, "brim": 0.052}[kind]
    field = np.where(y > -0.1, y - low - slope * (z + 0.02), -0.1).astype(np.float32)
    own = np.nonzero(skin.in_parts("head"))[0]
    piece = cut_mesh(skin.faces[own], field)
    inset, at = piece.carry(field), piece.carry(template) - eyes
    loose = {"cap": 0.010, "beanie": 0.016, "brim": 0.022}[kind]
    amount = 0.009 + loose * smoothstep(0.0, 0.05, inset)
    if kind == "beanie":
        amount = amount + 0.02 * smoothstep(0.08, 0.12, at[:, 1]) * (at[:, 2] < -0.04)
    rest = lift(
        piece.carry(skin.rest),
        piece.carry(skin.normals),
        piece.faces,
        amount.astype(np.float32),
        30,
    )
    pieces = [
        Piece(
            rest=rest,
            weights=_rigid(rest),
            faces=piece.faces,
            material=Material.HAT,
            two_sided=True,
            paint_xyz=piece.carry(template),
            paint_inset=inset,
            body_face=own[piece.source_face],
        )
    ]
    if kind in ("cap", "brim"):
        pieces.append(_brim(rest[inset < 1e-4], kind))
    return pieces


def _brim(rim: np.ndarray, kind: str) -> Piece:
    """A peak (cap) or an all-round brim that leaves the hat's rim (R, 3)."""
    center = (rim.min(0) + rim.max(0)) / 2
    around = np.arctan2(rim[:, 0] - center[0], rim[:, 2] - center[2])
    order = np.argsort(around)
    span = 1.15 if kind == "cap" else np.pi
    angle = np.linspace(-span, span, 49)
    edge = np.stack(
        [np.interp(angle, around[order], rim[order, k], period=2 * np.pi) for k in range(3)], 1
    )
    edge = gaussian_filter1d(edge, 1.5, axis=0, mode="nearest" if kind == "cap" else "wrap")
    outward = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    if kind == "cap":
        reach = 0.078 * np.clip(np.cos(angle / span * np.pi / 2), 0, 1) ** 0.6
        outward = outward * [0.35, 0, 1.0]
        droop = 0.22
    else:
        reach, droop = np.full(len(angle), 0.065), 0.12
    rows = [
        edge + outward * (reach * s)[:, None] - [0, 1, 0] * (droop * reach * s**2)[:, None]
        for s in (-0.02, 0.25, 0.5, 0.75, 1.0)
    ]
    rest = np.stack(rows, 1).reshape(-1, 3)
    return _piece(rest, grid_faces(len(angle), len(rows), closed=False), Material.HAT)


def gloves(skin: Skin) -> list[Piece]:
    """A thin layer over each hand."""
    wrist = skin.landmarks["left_wrist"][0]
    field = (np.abs(skin.template[:, 0]) - wrist + 0.03).astype(np.float32)
    own = np.nonzero(skin.in_parts("hand.L", "hand.R", "body"))[0]
    piece = cut_mesh(skin.faces[own], field)
    inset = piece.carry(field)
    amount = (0.0022 + 0.004 * (1 - smoothstep(0.0, 0.04, inset))).astype(np.float32)
    rest = piece.carry(skin.rest) + piece.carry(skin.normals) * amount[:, None]
    return [
        Piece(
            rest=rest,
            weights=piece.carry(skin.weights),
            faces=piece.faces,
            material=Material.GLOVE,
            two_sided=True,
            paint_xyz=piece.carry(skin.template),
            paint_inset=inset,
            body_face=own[piece.source_face],
        )
    ]
