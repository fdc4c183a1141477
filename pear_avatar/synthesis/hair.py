"""Hair with a volume of its own: caps that stand off the scalp, curtains, tails, buns, beards.

Long hair is a surface through guide strands. Each strand starts at the crown and is laid step by
step: over the head while it touches it, straight down where it does not, never closer to the
body than the hair's own thickness. All pieces are painted in the frame (across the strands, along
them, clump), so that streaks run with the hair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.body.topology import CHIN
from pear_avatar.synthesis.assembly import Piece, Skin, smoothstep
from pear_avatar.synthesis.attributes import Hair
from pear_avatar.synthesis.garments import cut_mesh, lift, subdivide
from pear_avatar.synthesis.layers import cap_ease, hair_field
from pear_avatar.synthesis.noise import ValueNoise
from pear_avatar.synthesis.person import Material

_COLUMNS, _ROWS = 120, 44
_INNER_LIPS, _UNDER_NOSE = (13, 14), 2  # of the face mesh
_DOWN = np.array([0.0, -1.0, 0.0])
#: How far caps stand off, in metres at volume 1, and how rough they are.
_CAPS = {
    "buzz": (0.001, 0.0),
    "short": (0.020, 0.005),
    "quiff": (0.022, 0.006),
    "curly": (0.040, 0.022),
    "bob": (0.004, 0.001),
    "long": (0.004, 0.001),
    "ponytail": (0.007, 0.0015),
    "bun": (0.007, 0.0015),
}


def hair_pieces(skin: Skin, hair: Hair, seed: int, covered: float = 0.0) -> list[Piece]:
    """The pieces of a hair-do; none for a bald head.

    Args:
        skin: the body that wears it.
        hair: the cut.
        seed: of its locks.
        covered: 1 under a hat, which presses the hair down.
    """
    noise = ValueNoise(seed)
    if hair.cut == "bald":
        return []
    pieces = [_cap(skin, hair, noise, covered)]
    if hair.cut in ("bob", "long"):
        pieces.append(_curtain(skin, hair, noise, covered))
    elif hair.cut == "ponytail":
        pieces.append(_tail(skin, hair, noise))
    elif hair.cut == "bun":
        pieces.append(_bun(skin, hair, noise))
    return pieces


def beard_piece(skin: Skin, style: str, seed: int) -> Piece | None:
    """A beard as a layer over the jaw; None for shaven faces and stubble (which is painted)."""
    if style in ("none", "stubble"):
        return None
    own = np.nonzero(skin.in_parts("head", "body"))[0]
    field = beard_field(skin, style)
    piece = cut_mesh(skin.faces[own], field)
    inset = piece.carry(field)
    template = piece.carry(skin.template)
    noise = ValueNoise(seed + 31)
    chin = skin.landmarks.face[CHIN]
    long = 1 + (1.6 if style == "full" else 0.8) * np.exp(
        -(((template - chin) / [0.035, 0.030, 0.05]) ** 2).sum(1)
    )
    rough = 0.8 + 0.4 * noise.fractal(template[:, 0] * 160, template[:, 1] * 120, 2)
    amount = (0.0015 + 0.0085 * smoothstep(0, 0.02, inset) * long * rough).astype(np.float32)
    rest = lift(piece.carry(skin.rest), piece.carry(skin.normals), piece.faces, amount, 3)
    frame = np.stack([template[:, 0], -template[:, 1], np.zeros(len(template))], 1)
    return Piece(
        rest=rest,
        weights=piece.carry(skin.weights),
        faces=piece.faces,
        material=Material.BEARD,
        two_sided=True,
        paint_xyz=frame.astype(np.float32),
        paint_inset=inset,
        body_face=own[piece.source_face],
    )


def beard_field(skin: Skin, style: str) -> np.ndarray:
    """(V,) metres inside the beard's outline on the template; negative outside."""
    face, p = skin.landmarks.face, skin.template
    mouth, chin, nose = face[list(_INNER_LIPS)].mean(0), face[CHIN], face[_UNDER_NOSE]
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    eyes = (skin.landmarks["left_eye"] + skin.landmarks["right_eye"]) / 2
    # Lips stay free: an ellipse about the mouth.
    lips = 0.026 * (np.hypot(x / 0.030, (y - mouth[1]) / 0.0125) - 1) * 0.6
    front = z - (chin[2] - 0.05)
    moustache = np.minimum.reduce([nose[1] - 0.004 - y, y - mouth[1] + 0.004, 0.038 - x])
    goatee = np.minimum.reduce([mouth[1] + 0.002 - y, 0.034 - x, y - chin[1] + 0.02])
    cheek = eyes[1] - 0.062 + 0.45 * np.clip(x - 0.045, 0, None) - y
    jaw = np.minimum.reduce([cheek, y - (chin[1] - 0.028), z - (eyes[2] - 0.105), 0.078 - x])
    full = np.maximum(np.minimum(jaw, np.maximum(mouth[1] + 0.004 - y, x - 0.034)), moustache)
    shape = {
        "moustache": moustache,
        "goatee": np.maximum(goatee, moustache),
        "full": full,
        "stubble": full,
    }[style]
    ragged = ValueNoise(7).fractal(p[:, 0] * 110, p[:, 1] * 110, 2) - 0.5
    shape = shape + 0.010 * ragged
    field: np.ndarray = np.minimum.reduce([shape, lips, front if style != "full" else shape])
    return np.where(y > skin.landmarks["neck"][1] + 0.02, field, -0.1).astype(np.float32)


@dataclass(frozen=True)
class _Head:
    """Where hair grows from, on the shaped body: crown, centre of the head, and all its skin."""

    crown: np.ndarray
    center: np.ndarray
    tree: cKDTree
    normals: np.ndarray
    points: np.ndarray

    @staticmethod
    def of(skin: Skin) -> _Head:
        eyes = (skin.shaped["left_eye"] + skin.shaped["right_eye"]) / 2
        upper = np.unique(skin.faces[skin.in_parts("head", "body")])
        trunk = np.abs(skin.template[upper, 0]) < skin.landmarks["left_shoulder"][0] + 0.02
        upper = upper[trunk & (skin.rest[upper, 1] > skin.shaped["pelvis"][1])]
        points, normals = skin.rest[upper], skin.normals[upper]
        center = eyes + np.array([0, 0.01, -0.085])
        direction = np.array([0.0, 0.93, -0.37])
        along = (points - center) @ direction
        off = np.linalg.norm(points - center - along[:, None] * direction, axis=1)
        crown = points[np.where(off < 0.02, along, -1).argmax()] * [0, 1, 1]
        return _Head(crown, center, cKDTree(points), normals, points)

    def height(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Signed distance (N,) from the skin and its smooth normal (N, 3)."""
        _, index = self.tree.query(p, k=8)
        normal = self.normals[index].mean(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        gap = p[:, None] - self.points[index]
        return np.einsum("nkc,nkc->nk", gap, self.normals[index]).mean(1), normal


def _frame(skin: Skin, rest: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Painting coordinates of a cap: metres round the crown, metres from it, clump."""
    eyes = (skin.landmarks["left_eye"] + skin.landmarks["right_eye"]) / 2
    q = template - (eyes + np.array([0, 0.11, -0.12]))
    around = np.arctan2(q[:, 0], q[:, 2]) * 0.09
    away = np.linalg.norm(q, axis=1)
    return np.stack([around, away, 0.3 * np.sin(40 * around)], 1).astype(np.float32)


def _cap(skin: Skin, hair: Hair, noise: ValueNoise, covered: float) -> Piece:
    own = np.nonzero(skin.in_parts("head", "body"))[0]
    field = hair_field(skin.landmarks, skin.template, hair.recession)
    ragged = noise.fractal(skin.template[:, 0] * 90, skin.template[:, 1] * 90, 2) - 0.5
    field = (field + 0.008 * ragged).astype(np.float32)
    fine = subdivide(cut_mesh(skin.faces[own], field))
    template, inset = fine.carry(skin.template), fine.carry(field)
    volume, rough = _CAPS[hair.cut]
    pressed = 1 - 0.85 * covered
    amount = cap_ease(skin.landmarks, template, inset, volume * hair.volume * pressed)
    amount = _styled(skin, hair, template, inset, amount)
    frame = _frame(skin, fine.carry(skin.rest), template)
    if covered:
        brow = (skin.landmarks["left_eye"] + skin.landmarks["right_eye"])[1] / 2
        amount = np.where(template[:, 1] > brow + 0.03, np.minimum(amount, 0.006), amount)
    if hair.cut == "curly":
        tuft = noise.value(frame[:, 0] * 75, frame[:, 1] * 75) - 0.5
    else:
        tuft = noise.fractal(frame[:, 0] * 130, frame[:, 1] * 50, 2) - 0.5
    amount = amount + 2 * rough * hair.volume * pressed * tuft * smoothstep(0.0, 0.03, inset)
    amount = np.maximum(amount, 0.0015).astype(np.float32)
    steps = 1 if hair.cut == "curly" else 4
    rest = lift(fine.carry(skin.rest), fine.carry(skin.normals), fine.faces, amount, steps)
    if hair.cut == "curly":  # curls have no direction: painted as they lie
        frame = np.stack([12 * frame[:, 0], 40 * frame[:, 1], 4 * tuft], 1).astype(np.float32)
        frame[:, 0] /= 90
    weights = np.zeros((len(rest), NUM_JOINTS), np.float32)
    weights[:, JOINT_INDEX["head"]] = 1.0
    return Piece(
        rest=rest,
        weights=weights,
        faces=fine.faces,
        material=Material.HAIR,
        two_sided=True,
        paint_xyz=frame,
        paint_inset=inset,
        body_face=own[fine.source_face],
    )


def _styled(
    skin: Skin, hair: Hair, template: np.ndarray, inset: np.ndarray, amount: np.ndarray
) -> np.ndarray:
    """What sets a cut apart from an even cap."""
    eyes = (skin.landmarks["left_eye"] + skin.landmarks["right_eye"]) / 2
    x, y, z = (template - eyes).T
    if hair.cut == "quiff":
        sides = smoothstep(0.07, 0.10, y) * (1 - smoothstep(0.045, 0.075, np.abs(x)))
        crest = smoothstep(-0.10, -0.02, z) * sides
        return 0.003 + (amount - 0.003) * (0.15 + 0.85 * sides) + 0.026 * hair.volume * crest
    if hair.cut == "curly":
        return 0.006 + 0.034 * hair.volume * smoothstep(-0.005, 0.035, inset)
    return amount


def _march(
    head: _Head, start: np.ndarray, toward: np.ndarray, length: np.ndarray, thick: np.ndarray
) -> np.ndarray:
    """Lay strands (K, R, 3) of some length from ``start`` (K, 3), first moving ``toward``.

    Below the jaw they are drawn off the shoulders, to the chest or to the back.

    thick: (K, R) metres that each strand keeps from the skin.
    """
    ahead = np.where(toward[:, 2] > 0.25 * np.abs(toward[:, 0]), 1.0, -1.0)
    rows = thick.shape[1]
    p, way = start.copy(), toward / np.linalg.norm(toward, axis=1, keepdims=True)
    step = (length / (rows - 1))[:, None]
    strands = [p]
    for row in range(1, rows):
        height, normal = head.height(p)
        touching = (height < thick[:, row] + 0.006)[:, None]
        pull = way + np.minimum(60 * step, 0.9) * _DOWN
        low = (p[:, 1] < head.center[1] - 0.10) & touching[:, 0] & (normal[:, 1] > 0.25)
        aside = np.stack([-5 * p[:, 0], 0 * ahead, 0.5 * ahead], 1)
        pull = pull + np.where(low, np.minimum(60 * length / rows, 1.0), 0)[:, None] * aside
        inward = np.minimum((pull * normal).sum(1, keepdims=True), 0)
        way = np.where(touching, pull - inward * normal, pull)
        way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
        p = p + step * way
        height, normal = head.height(p)
        p = p + np.maximum(thick[:, row] - height, 0)[:, None] * normal
        strands.append(p)
    return np.stack(strands, 1)


def _curtain(skin: Skin, hair: Hair, noise: ValueNoise, covered: float) -> Piece:
    """Bob or long hair: strands all round the crown, shorter over the face."""
    head = _Head.of(skin)
    angle = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
    side = np.abs(np.degrees(angle))
    fall = 0.24 if hair.cut == "bob" else 0.30 + 0.22 * hair.length
    front = 0.085 + 0.05 * hair.fringe
    open_ = 52 + 14 * (hair.fringe < 0.3)
    length = front + (fall - front) * smoothstep(open_ - 14, open_ + 16, side)
    lock = noise.fractal(angle * 9 + 40, np.full_like(angle, 3.0), 3) - 0.5
    length = length * (1 + 0.22 * lock * (0.6 if hair.cut == "bob" else 1.0))
    t = np.linspace(0, 1, _ROWS)
    full = 0.006 + 0.020 * hair.volume * (1 - 0.7 * covered) * smoothstep(0.0, 0.35, t)
    thick = full[None] * np.where(side < open_, 0.75, 1.0)[:, None]
    # Over the forehead the ends lie flat, or there would be an eave.
    flat = (1 - smoothstep(open_ - 8, open_ + 14, side))[:, None] * smoothstep(0.45, 1.0, t)
    thick = thick * (1 - (0.8 if hair.fringe < 0.3 else 0.45) * flat)
    if hair.cut == "bob":
        thick = thick * (1 - 0.45 * smoothstep(0.8, 1.0, t))
    thick = (
        thick
        + 0.012 * (1 - flat) * (noise.fractal(angle[:, None] * 6 + 7, t[None] * 3, 2) - 0.5) * t
    )
    toward = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], 1)
    start = head.crown + 0.004 * toward + [0, 0.012 * hair.volume, 0]
    strands = _march(head, start, toward, length, np.maximum(thick, 0.003))
    strands = _waved(strands, angle, t * np.minimum(length / 0.2, 1)[:, None] ** 2, hair, noise)
    faces = grid_faces(_COLUMNS, _ROWS, closed=True)
    rest = strands.reshape(-1, 3)
    frame = np.stack(
        np.broadcast_arrays(angle[:, None] * 0.09, t[None] * length[:, None], 2 * lock[:, None]), -1
    ).reshape(-1, 3)
    inset = np.broadcast_to((1 - t)[None] * length[:, None], (_COLUMNS, _ROWS)).ravel()
    return _hanging(skin, rest, faces, frame, inset)


def _waved(
    strands: np.ndarray, angle: np.ndarray, t: np.ndarray, hair: Hair, noise: ValueNoise
) -> np.ndarray:
    """Give strands (K, R, 3) waves that grow with ``t`` (K, R)."""
    phase = 7 * noise.fractal(angle * 5, np.full_like(angle, 9.0), 2)
    swing = np.sin(t * 26 + phase[:, None]) * t**1.2 * 0.013 * hair.wave
    out = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    waved: np.ndarray = strands + swing[..., None] * out[:, None]
    return waved


def _hanging(
    skin: Skin, rest: np.ndarray, faces: np.ndarray, frame: np.ndarray, inset: np.ndarray
) -> Piece:
    """Hair that moves with the head, and further down with what it lies on."""
    near = cKDTree(skin.rest).query(rest, k=6)[1]
    weights = skin.weights[near].mean(1)
    jaw = skin.shaped["jaw"][1]
    share = 0.75 * smoothstep(0.02, 0.22, jaw - 0.05 - rest[:, 1])[:, None]
    head = np.zeros(NUM_JOINTS, np.float32)
    head[JOINT_INDEX["head"]] = 1.0
    return Piece(
        rest=rest.astype(np.float32),
        weights=(share * weights + (1 - share) * head).astype(np.float32),
        faces=faces,
        material=Material.HAIR,
        two_sided=True,
        paint_xyz=frame.astype(np.float32),
        paint_inset=inset.astype(np.float32),
    )


def grid_faces(columns: int, rows: int, closed: bool) -> np.ndarray:
    """Triangles of a grid of vertices (columns, rows); closed joins the last column to the first.

    Outside is to the right of a column when looking along it with the next column behind.
    """
    i, j = np.meshgrid(np.arange(columns - (not closed)), np.arange(rows - 1), indexing="ij")
    a, b = i * rows + j, i * rows + j + 1
    c, d = (i + 1) % columns * rows + j, (i + 1) % columns * rows + j + 1
    return np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (c, b, d))]).astype(
        np.int64
    )


def sweep(path: np.ndarray, radius: np.ndarray, sides: int) -> tuple[np.ndarray, np.ndarray]:
    """A tube along a path (R, 3) with radius (R,): vertices (sides * R, 3) and faces."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    across = np.cross(tangent, np.array([1.0, 0.0, 0.0]))
    flat = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.where(flat > 0.1, across / np.maximum(flat, 1e-9), [0.0, 0.0, 1.0])
    other = np.cross(tangent, across)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[:, None, None]
    ring = np.cos(angle) * across + np.sin(angle) * other
    vertices = (path + radius[:, None] * ring).reshape(-1, 3)
    return vertices, grid_faces(sides, len(path), closed=True)


def _tie(head: _Head, height: float) -> np.ndarray:
    """A place (1, 3) at the back of the head; height -1 is the nape, 1 the crown."""
    direction = np.array([0.0, np.sin(0.9 * height), -np.cos(0.9 * height)])
    along = (head.points - head.center) @ direction
    off = np.linalg.norm(head.points - head.center - along[:, None] * direction, axis=1)
    place: np.ndarray = head.points[np.where(off < 0.025, along, -1).argmax()] * [0, 1, 1]
    return place[None]


def _tail(skin: Skin, hair: Hair, noise: ValueNoise) -> Piece:
    """A pony-tail: tied, then arching out and falling."""
    head = _Head.of(skin)
    start = _tie(head, 0.15 + 0.5 * (hair.volume - 0.8)) + np.array([0, 0, -0.006])
    rows, length = 36, 0.22 + 0.14 * hair.length
    t = np.linspace(0, 1, rows)
    thick = 0.032 * smoothstep(0.0, 0.2, t)[None]
    path = _march(head, start, np.array([[0.0, 0.5, -1.0]]), np.array([length]), thick)[0]
    width = np.interp(t, (0, 0.05, 0.3, 0.7, 1), (0.012, 0.014, 0.030, 0.026, 0.006))
    rest, faces = sweep(path, width * hair.volume**0.5, 20)
    around = np.repeat(np.linspace(0, 1, 20), rows)
    along = np.tile(t, 20)
    lump = noise.fractal(around * 9, along * 4, 2)[:, None] - 0.5
    middle = np.tile(path, (20, 1))
    rest = rest + (rest - middle) * lump * 0.6 * (along > 0.06)[:, None]
    frame = np.stack([around * 0.16, along * length, lump[:, 0]], 1)
    return _hanging(skin, rest, faces, frame, (1 - along) * length)


def _bun(skin: Skin, hair: Hair, noise: ValueNoise) -> Piece:
    head = _Head.of(skin)
    size = 0.034 * hair.volume**0.5
    center = _tie(head, 0.2 + 0.45 * noise.value(np.zeros(1), np.zeros(1))[0])[0]
    outward = center - head.center
    center = center + outward / np.linalg.norm(outward) * size * 0.6
    angle = np.linspace(0, np.pi, 18)
    path = center + np.stack([0 * angle, size * np.cos(angle), 0 * angle], 1)
    rest, faces = sweep(path, 1.15 * size * np.sin(angle) + 1e-4, 28)
    around = np.repeat(np.linspace(0, 2 * np.pi, 28), 18)
    along = np.tile(angle, 28)
    swirl = around + 1.5 * along
    rest = rest + (rest - center) * (0.09 * np.sin(3 * swirl))[:, None]
    frame = np.stack([along * size + 0.02 * np.sin(around), swirl * size, 0.3 * np.sin(swirl)], 1)
    return _hanging(skin, rest, faces, frame, np.full(len(rest), 0.05))
