"""A synthetic person: the open body in shirt, trousers and shoes, with hair, from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.body.model import BodyModel
from pear_avatar.synthesis.garments import (
    CutMesh,
    cut_mesh,
    lift,
    neighbour_mean,
    shrink_wrap,
    smooth,
    vertex_normals,
)


class Material(IntEnum):
    """What a face is made of; the painter has one recipe each."""

    SKIN = 0
    EYE = 1
    MOUTH = 2
    TEETH = 3
    SHIRT = 4
    TROUSERS = 5
    SHOE = 6
    HAIR = 7


@dataclass(frozen=True)
class Look:
    """Choices of one seed. Colours are RGB triples in [0, 1]."""

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    shirt: tuple[float, float, float]
    accent: tuple[float, float, float]
    trousers: tuple[float, float, float]
    shoes: tuple[float, float, float]
    pattern: str
    sleeve: float


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
class Person:
    """One dressed person: V vertices (the B body vertices first), F faces, in the rest pose.

    betas:         (S,) shape coefficients.
    rest:          (V, 3) float32 rest pose, shaped and dressed.
    weights:       (V, 55) float32 skinning weights.
    expression:    (B, 3, E) float32 expression directions of the body vertices.
    faces:         (F, 3) int64; hidden skin is left out.
    material:      (F,) uint8 of :class:`Material`.
    two_sided:     (F,) bool, True on open layers.
    paint_xyz:     (V, 3) float32 where the painter looks the surface up: template coordinates
                   (a frame of its own for each shoe).
    paint_inset:   (V,) float32 metres inside the nearest hem; negative on skin outside it.
    look:          colours and pattern.
    landmarks:     of the template, for the painter.
    """

    betas: np.ndarray
    rest: np.ndarray
    weights: np.ndarray
    expression: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    two_sided: np.ndarray
    paint_xyz: np.ndarray
    paint_inset: np.ndarray
    look: Look
    landmarks: Landmarks

    def pose(self, transforms: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """(V, 3) posed vertices in metres.

        Args:
            transforms: (55, 3, 4) from rest to posed per joint (``PosedBody.rest_to_posed``).
            expression: (E,) coefficients.
        """
        rest = self.rest.copy()
        rest[: len(self.expression)] += self.expression @ expression.astype(np.float32)
        affine = transforms.reshape(NUM_JOINTS, 12).astype(np.float32)
        blended = (self.weights @ affine).reshape(-1, 3, 4)
        posed: np.ndarray = (blended[..., :3] * rest[:, None, :]).sum(-1) + blended[..., 3]
        return posed


@dataclass
class _Assembly:
    """Collects the pieces of a person."""

    rest: list[np.ndarray] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    material: list[np.ndarray] = field(default_factory=list)
    two_sided: list[np.ndarray] = field(default_factory=list)
    paint_xyz: list[np.ndarray] = field(default_factory=list)
    paint_inset: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(
        self,
        rest: np.ndarray,
        weights: np.ndarray,
        faces: np.ndarray,
        material: np.ndarray,
        two_sided: bool,
        paint_xyz: np.ndarray,
        paint_inset: np.ndarray,
    ) -> None:
        self.rest.append(rest)
        self.weights.append(weights)
        self.faces.append(faces + self.count)
        self.material.append(np.broadcast_to(material, len(faces)).astype(np.uint8))
        self.two_sided.append(np.full(len(faces), two_sided))
        self.paint_xyz.append(paint_xyz)
        self.paint_inset.append(paint_inset)
        self.count += len(rest)


def make_look(seed: int) -> Look:
    """The colours, pattern and sleeve length of a seed; seed 0 wears a blue checked shirt."""
    rng = np.random.default_rng([seed, 1])
    skins = ((0.86, 0.66, 0.55), (0.74, 0.53, 0.41), (0.55, 0.37, 0.28), (0.91, 0.73, 0.64))
    hairs = ((0.20, 0.13, 0.09), (0.08, 0.07, 0.07), (0.42, 0.29, 0.16), (0.33, 0.16, 0.09))
    irises = ((0.33, 0.22, 0.14), (0.28, 0.42, 0.55), (0.30, 0.40, 0.25))
    shirts = (
        ((0.30, 0.44, 0.66), (0.86, 0.88, 0.90)),
        ((0.62, 0.22, 0.22), (0.90, 0.84, 0.76)),
        ((0.26, 0.48, 0.38), (0.88, 0.88, 0.80)),
        ((0.80, 0.70, 0.48), (0.34, 0.30, 0.34)),
    )
    trousers = ((0.20, 0.22, 0.28), (0.24, 0.32, 0.46), (0.55, 0.48, 0.38))
    shoes = ((0.72, 0.70, 0.68), (0.30, 0.20, 0.15), (0.55, 0.20, 0.20))
    picks = [0] * 7 if seed == 0 else [int(rng.integers(0, 1 << 16)) for _ in range(7)]
    shirt, accent = shirts[picks[3] % len(shirts)]
    return Look(
        skin=skins[picks[0] % len(skins)],
        hair=hairs[picks[1] % len(hairs)],
        iris=irises[picks[2] % len(irises)],
        shirt=shirt,
        accent=accent,
        trousers=trousers[picks[4] % len(trousers)],
        shoes=shoes[picks[5] % len(shoes)],
        pattern=("checked", "striped")[picks[6] % 2],
        sleeve=(0.42, 0.93)[picks[6] // 2 % 2],
    )


def make_betas(seed: int, num_betas: int) -> np.ndarray:
    """(S,) shape coefficients of a seed: an ordinary build, a face of its own."""
    rng = np.random.default_rng([seed, 2])
    spread = np.full(num_betas, 0.6, np.float32)
    spread[:4] = 0.5  # height and weight, kept ordinary
    spread[40:] = 0.0
    betas: np.ndarray = rng.normal(size=num_betas).clip(-1.5, 1.5).astype(np.float32) * spread
    return betas


def make_person(body: BodyModel, seed: int) -> Person:
    """Shape, dress and label the open body.

    Args:
        body: the open body.
        seed: any non-negative integer.
    """
    look, betas = make_look(seed), make_betas(seed, body.num_betas)
    template = body.v_template.numpy().astype(np.float32)
    with torch.no_grad():
        rest = body.shape(torch.from_numpy(betas)).vertices().numpy()
    skin = _Skin.of(body, rest.astype(np.float32), template)
    assembly = _Assembly()
    fields = _garment_fields(skin.landmarks, template, look)
    _add_body(assembly, skin, fields)
    _add_layers(assembly, skin, fields, look)
    for side in ("left", "right"):
        _add_shoe(assembly, skin, side)
    return Person(
        betas=betas,
        rest=np.concatenate(assembly.rest).astype(np.float32),
        weights=np.concatenate(assembly.weights).astype(np.float32),
        expression=body.expression_dirs.numpy().astype(np.float32),
        faces=np.concatenate(assembly.faces),
        material=np.concatenate(assembly.material),
        two_sided=np.concatenate(assembly.two_sided),
        paint_xyz=np.concatenate(assembly.paint_xyz).astype(np.float32),
        paint_inset=np.concatenate(assembly.paint_inset).astype(np.float32),
        look=look,
        landmarks=skin.landmarks,
    )


@dataclass(frozen=True)
class _Skin:
    """The naked shaped body as arrays."""

    rest: np.ndarray
    template: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    part_names: tuple[str, ...]
    landmarks: Landmarks

    @staticmethod
    def of(body: BodyModel, rest: np.ndarray, template: np.ndarray) -> _Skin:
        faces = body.faces.numpy()
        with torch.no_grad():
            neutral = body.shape().pose(torch.eye(3).expand(NUM_JOINTS, 3, 3))
            face = neutral.landmarks("mediapipe_face").numpy()
        normals = vertex_normals(rest, faces)
        return _Skin(
            rest=rest,
            template=template,
            normals=smooth(normals, neighbour_mean(faces, len(rest)), 4),
            weights=body.skin_weights_t.numpy().T.astype(np.float32),
            faces=faces,
            part=np.asarray(body.face_part),
            part_names=tuple(str(n) for n in body.part_names),
            landmarks=Landmarks(neutral.joints.numpy(), face),
        )

    def in_parts(self, *names: str) -> np.ndarray:
        """(F,) bool: faces of these parts."""
        return np.isin(self.part, [i for i, n in enumerate(self.part_names) if n in names])


def _smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    stepped: np.ndarray = t * t * (3 - 2 * t)
    return stepped


def _garment_fields(marks: Landmarks, p: np.ndarray, look: Look) -> dict[Material, np.ndarray]:
    """Per garment, metres inside its hem at each template vertex (V,); negative outside."""
    x, y, z = p.T
    hem = marks["left_hip"][1] - 0.045
    wrist, shoulder = marks["left_wrist"][0], marks["left_shoulder"][0]
    cuff = shoulder + look.sleeve * (wrist - shoulder)
    neck = marks["neck"]
    slope = 0.5 * (z - neck[2]) + 0.05 * np.exp(-((x / 0.03) ** 2)) * (z > 0)
    collar = neck[1] - 0.03 - slope + 2.0 * np.maximum(np.abs(x) - 0.075, 0)
    shirt = np.minimum.reduce([y - hem, cuff - np.abs(x), collar - y])
    ankle = marks["left_ankle"][1]
    trousers = np.minimum(hem + 0.07 - y, y - (ankle + 0.015))
    return {
        Material.SHIRT: shirt,
        Material.TROUSERS: trousers,
        Material.HAIR: _hair_field(marks, p),
    }


def _hair_field(marks: Landmarks, p: np.ndarray) -> np.ndarray:
    """Height above the hairline, which runs round the head at a height given by azimuth."""
    eyes = (marks["left_eye"] + marks["right_eye"]) / 2
    q = p - eyes
    azimuth = np.degrees(np.abs(np.arctan2(q[:, 0], q[:, 2] + 0.085)))
    line = np.interp(
        azimuth,
        (0, 25, 42, 55, 68, 78, 90, 105, 118, 135, 180),
        (0.066, 0.066, 0.056, 0.030, -0.004, 0.000, 0.040, 0.036, -0.020, -0.066, -0.076),
    )
    height = q[:, 1] - line
    return np.where(p[:, 1] > marks["neck"][1] + 0.02, height, -0.1).astype(np.float32)


def _add_body(assembly: _Assembly, skin: _Skin, fields: dict[Material, np.ndarray]) -> None:
    """The body itself, without the skin that is covered well inside a garment."""
    covered = np.max(list(fields.values()), axis=0)
    ankle = skin.landmarks["left_ankle"][1]
    hidden_vertex = (
        (fields[Material.SHIRT] > 0.035)
        | (fields[Material.TROUSERS] > 0.035)
        | (fields[Material.HAIR] > 0.02)
        | (skin.template[:, 1] < ankle + 0.005)
    )
    material = np.full(len(skin.faces), Material.SKIN, np.uint8)
    eyes = [n for n in skin.part_names if n.startswith("eye_") and "cavity" not in n]
    material[skin.in_parts(*eyes)] = Material.EYE
    material[skin.in_parts("mouth_cavity", "tongue")] = Material.MOUTH
    material[skin.in_parts("teeth")] = Material.TEETH
    seen = ~hidden_vertex[skin.faces].all(1) | (material != Material.SKIN)
    assembly.add(
        skin.rest, skin.weights, skin.faces[seen], material[seen], False, skin.template, covered
    )


def _add_layers(
    assembly: _Assembly, skin: _Skin, fields: dict[Material, np.ndarray], look: Look
) -> None:
    """Trousers, shirt and hair, each cut from the body and lifted off it."""
    parts = {
        Material.TROUSERS: ("body", "foot.L", "foot.R"),
        Material.SHIRT: ("body", "hand.L", "hand.R", "head"),
        Material.HAIR: ("head", "body"),
    }
    steps = {Material.TROUSERS: 12, Material.SHIRT: 24, Material.HAIR: 8}
    for material, names in parts.items():
        inset = fields[material]
        piece = cut_mesh(skin.faces[skin.in_parts(*names)], inset)
        template = piece.carry(skin.template)
        distance = piece.carry(inset)
        amount = _ease(material, skin, piece, template, distance, look)
        rest = lift(
            piece.carry(skin.rest), piece.carry(skin.normals), piece.faces, amount, steps[material]
        )
        kind = np.asarray(material)
        weights = piece.carry(skin.weights)
        assembly.add(rest, weights, piece.faces, kind, True, template, distance)


def _ease(
    material: Material,
    skin: _Skin,
    piece: CutMesh,
    template: np.ndarray,
    inset: np.ndarray,
    look: Look,
) -> np.ndarray:
    """How far (N,) metres a garment stands off the skin: its looseness."""
    x, y, z = template.T
    marks = skin.landmarks
    if material is Material.HAIR:
        eyes = (marks["left_eye"] + marks["right_eye"]) / 2
        top = 0.35 + 0.65 * _smoothstep(0.02, 0.09, y - eyes[1])
        front = 1 + 0.35 * _smoothstep(-0.02, 0.02, z - eyes[2] + 0.04) * (y > eyes[1] + 0.06)
        return (0.003 + 0.021 * _smoothstep(-0.005, 0.05, inset) * top * front).astype(np.float32)
    if material is Material.SHIRT:
        shoulder, hip = marks["left_shoulder"], marks["left_hip"]
        below_chest = _smoothstep(0.0, 1.0, (shoulder[1] - 0.1 - y) / (shoulder[1] - hip[1]))
        torso = 0.014 + 0.022 * below_chest
        cuff = 0.006 if look.sleeve > 0.7 else 0.016
        along = _smoothstep(shoulder[0], shoulder[0] + 0.2, np.abs(x))
        sleeve = 0.010 + (cuff - 0.002) * along
        on_arm = _smoothstep(shoulder[0] - 0.01, shoulder[0] + 0.05, np.abs(x))
        at_neck = 0.45 + 0.55 * _smoothstep(0.0, 0.05, marks["neck"][1] - 0.03 - y)
        return ((torso * (1 - on_arm) + sleeve * on_arm) * at_neck).astype(np.float32)
    knee, ankle = marks["left_knee"], marks["left_ankle"]
    share = np.clip((knee[1] - y) / (knee[1] - ankle[1]), 0, 1)
    axis = knee + share[:, None] * (ankle - knee)
    radius = np.hypot(np.abs(x) - axis[:, 0], z - axis[:, 2])
    straight = 0.088 - 0.008 * share - radius  # a straight leg hangs from calf to hem
    below = _smoothstep(0.02, 0.18, knee[1] + 0.08 - y)
    inner = 1 - 0.6 * np.exp(-((np.abs(x) / 0.05) ** 2)) * (y < marks["left_hip"][1])
    amount = np.maximum(0.010 + 0.006 * _smoothstep(-0.1, 0.1, -y), straight * below)
    return (amount * inner).astype(np.float32)


def _add_shoe(assembly: _Assembly, skin: _Skin, side: str) -> None:
    """A shoe: a rounded shell on the hull of the foot, with a flat sole, bound like the foot."""
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
    gap = np.linalg.norm(rest[:, None] - foot[None], axis=2)
    nearest = np.argpartition(gap, 8, axis=1)[:, :8]
    near = 1.0 / (np.take_along_axis(gap, nearest, 1) + 0.005)
    bound = (weights[nearest] * near[..., None]).sum(1) / near.sum(1)[:, None]
    # Lengths along the shoe from heel to tip, above the floor, and from its middle to the outside.
    frame = np.stack(
        [(rest[:, 0] - center[0]) * sign, rest[:, 1] - floor, rest[:, 2] - rest[:, 2].min()], 1
    )
    kind = np.asarray(Material.SHOE)
    assembly.add(rest, bound, faces, kind, False, frame, rest[:, 1] - floor)
