"""One synthetic picture before it is drawn: who stands where in which pose, with what, how lit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel, PosedBody
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.synthesis.environments import Environment
from pear_avatar.synthesis.figures import Figure
from pear_avatar.synthesis.poses import PoseSampler
from pear_avatar.synthesis.props import Prop, make_prop
from pear_avatar.synthesis.views import View, sample_view

_BLUR_STEPS = 4


@dataclass(frozen=True)
class Poses:
    """Drawn ahead for M people: rotations (M, 55, 3, 3), expression (M, E), actions (M, 52)."""

    rotations: Tensor
    expression: Tensor
    actions: Tensor


@dataclass(frozen=True)
class Standing:
    """A figure in a pose at a place; the floor is at y = 0.

    rotations (55, 3, 3), transl (3,), expression (E,), actions (52,): parameters of the body.
    posed: its joints and landmarks. vertices: (V, 3) dressed, in the world.
    moved: further (V, 3) vertices over the exposure; empty for a sharp picture.
    """

    figure: Figure
    rotations: Tensor
    transl: np.ndarray
    expression: np.ndarray
    actions: np.ndarray
    posed: PosedBody
    vertices: np.ndarray
    moved: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class PlacedProp:
    """A prop and its (V, 3) vertices in the world."""

    prop: Prop
    vertices: np.ndarray


@dataclass(frozen=True)
class Exposure:
    """What lens and sensor do: gains (3,), noise, blur and shake (2,) in pixels, JPEG quality."""

    gains: np.ndarray
    read: float
    shot: float
    defocus: float
    shake: np.ndarray
    quality: int


@dataclass(frozen=True)
class Scene:
    """Everything that a picture shows; the first of the people is whom the camera is aimed at."""

    people: tuple[Standing, ...]
    props: tuple[PlacedProp, ...]
    view: View
    environment: Environment
    exposure: Exposure
    picture: np.ndarray | None = None


def draw_poses(body: BodyModel, sampler: PoseSampler, count: int) -> Poses:
    """Poses, hands and faces for ``count`` people, facing +z."""
    rotations = sampler.fingers(sampler.body(count))
    actions, gaze = sampler.actions(count, body.arkit_names), sampler.gaze(count)
    turns = (actions @ body.arkit_pose).unflatten(-1, (3, 3))
    eyes = torch.nn.functional.pad(gaze.unflatten(-1, (2, 2)), (0, 1))
    turns = torch.cat([turns[:, :1], turns[:, 1:] + eyes], 1)
    face = axis_angle_to_matrix(turns)
    rotations = torch.cat([rotations[:, :22], face, rotations[:, 25:]], 1)
    return Poses(rotations, actions @ body.arkit_coef, actions)


def stand(
    figure: Figure,
    poses: Poses,
    row: int,
    place: np.ndarray,
    yaw: float,
    *,
    sway: np.ndarray | None,
) -> Standing:
    """Put a figure on the floor.

    Args:
        figure: who.
        poses, row: in which pose.
        place: (2,) x and z of the pelvis.
        yaw: radians about the vertical.
        sway: (55, 3) how far joints turn over the exposure, radians; None stands still.
    """
    turn = axis_angle_to_matrix(torch.tensor([0.0, float(yaw), 0.0], dtype=torch.float32))
    rotations = poses.rotations[row].clone()
    rotations[0] = turn @ rotations[0]
    expression = poses.expression[row].numpy()
    with torch.no_grad():
        transforms = figure.shaped.pose(rotations).rest_to_posed
        vertices = figure.pose(transforms, expression)
        pelvis = figure.shaped.joints[0].numpy()
        transl = np.array(
            [place[0] - pelvis[0], -vertices[:, 1].min(), place[1] - pelvis[2]], np.float32
        )
        posed = figure.shaped.pose(rotations, torch.from_numpy(transl))
        moved = []
        for share in () if sway is None else np.linspace(-0.5, 0.5, _BLUR_STEPS):
            bent = rotations @ axis_angle_to_matrix(torch.from_numpy(share * sway).float())
            again = figure.pose(figure.shaped.pose(bent).rest_to_posed, expression)
            moved.append(again + transl)
    return Standing(
        figure=figure,
        rotations=rotations,
        transl=transl,
        expression=expression,
        actions=poses.actions[row].numpy(),
        posed=posed,
        vertices=vertices + transl,
        moved=tuple(moved),
    )


@dataclass(frozen=True)
class Cast:
    """What scenes are made from: figures, places, poses drawn ahead, and pictures to stand before.

    size: width and height of pictures. backgrounds: flat pictures (H, W, 3) of linear light.
    """

    figures: Sequence[Figure]
    environments: Sequence[Environment]
    backgrounds: Sequence[np.ndarray]
    poses: Poses
    size: tuple[int, int]


#: People in a picture at most, and so poses that :class:`Cast` must hold for each.
MOST_PEOPLE = 3


def sample_scene(cast: Cast, number: int, rng: np.random.Generator) -> Scene:
    """Scene ``number`` of a cast: uses poses ``MOST_PEOPLE * number`` and the next ones.

    The first person is figure ``number`` modulo their count, so that all come up alike.
    """
    first = MOST_PEOPLE * number
    yaw = rng.normal(0, 0.6) if rng.random() < 0.55 else rng.uniform(-np.pi, np.pi)
    figure = cast.figures[number % len(cast.figures)]
    held = str(rng.choice(("none", "left", "right"), p=(0.8, 0.1, 0.1)))
    poses = _gripping(cast.poses, first, held) if held != "none" else cast.poses
    main = stand(figure, poses, first, np.zeros(2), 0.0, sway=None)
    view = sample_view(main.posed.joints.numpy(), rng, cast.size)
    # The camera went somewhere at random: turn the person towards it, by so much.
    to_eye = np.arctan2(view.eye[0], view.eye[2])
    main = stand(figure, poses, first, np.zeros(2), to_eye + yaw, sway=_sway(rng))
    people = [main, *_others(cast, first, number, to_eye, rng)]
    props = [_held(main, held, rng)] if held != "none" else []
    props += _obstacles(view, main, rng)
    environment = cast.environments[int(rng.integers(len(cast.environments)))]
    picture = None
    if len(cast.backgrounds) and rng.random() < 0.5:
        picture = cast.backgrounds[int(rng.integers(len(cast.backgrounds)))]
    return Scene(
        tuple(people),
        tuple(props),
        view,
        _roomy(environment, view, people),
        _exposure(rng),
        picture,
    )


def _sway(rng: np.random.Generator) -> np.ndarray | None:
    """Motion over the exposure, for one picture in sixteen."""
    if rng.random() > 1 / 16:
        return None
    sway = rng.standard_normal((55, 3)) * rng.uniform(0.02, 0.10)
    sway[25:] *= 0.3
    sway[:16] *= 0.3
    return sway


def _others(
    cast: Cast, first: int, number: int, to_eye: float, rng: np.random.Generator
) -> list[Standing]:
    """Up to two more people beside, behind or before the first."""
    count = int(rng.choice(MOST_PEOPLE, p=(0.72, 0.19, 0.09)))
    taken = [np.zeros(2)]
    others = []
    for k in range(count):
        ahead, aside = rng.uniform(-2.2, 0.9), rng.uniform(0.35, 1.5) * rng.choice((-1, 1))
        place = np.array(
            [
                ahead * np.sin(to_eye) + aside * np.cos(to_eye),
                ahead * np.cos(to_eye) - aside * np.sin(to_eye),
            ]
        )
        yaw = rng.uniform(-np.pi, np.pi)
        figure = cast.figures[int(rng.integers(len(cast.figures)))]
        if min(float(np.linalg.norm(place - t)) for t in taken) < 0.4:
            continue
        taken.append(place)
        others.append(stand(figure, cast.poses, first + 1 + k, place, yaw, sway=None))
    return others


def _gripping(poses: Poses, row: int, side: str) -> Poses:
    """The same poses with one hand closed about something."""
    sign = 1.0 if side == "left" else -1.0
    start = JOINT_INDEX[f"{side}_index1"]
    aa = torch.zeros(15, 3)
    aa[:12, 2] = -sign * torch.tensor([0.7, 0.8, 0.5]).repeat(4)
    aa[12:, 1] = -sign * torch.tensor([0.3, 0.4, 0.3])
    rotations = poses.rotations.clone()
    rotations[row, start : start + 15] = axis_angle_to_matrix(aa)
    return replace(poses, rotations=rotations)


def _held(standing: Standing, side: str, rng: np.random.Generator) -> PlacedProp:
    """Something in a hand: a bottle, a telephone, a ball or a stick."""
    sign = 1.0 if side == "left" else -1.0
    kind, size = (
        ("cylinder", np.array([0.065, 0.22, 0.065])),
        ("box", np.array([0.075, 0.012, 0.15])),
        ("ball", np.full(3, float(rng.uniform(0.07, 0.22)))),
        ("cylinder", np.array([0.03, float(rng.uniform(0.5, 1.3)), 0.03])),
    )[int(rng.integers(4))]
    prop = make_prop(size, kind, int(rng.integers(1 << 20)))
    joints = standing.posed.joints.numpy()
    wrist = standing.posed.joint_transforms[JOINT_INDEX[f"{side}_wrist"], :, :3].numpy()
    knuckles = joints[[JOINT_INDEX[f"{side}_{f}1"] for f in ("index", "middle", "ring")]].mean(0)
    # In the T-pose palms look down and fingers along x; a grip lies across them.
    thick = 0.02 + 0.5 * (size[1] if kind == "box" else size[0])
    across = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0.0]]) if kind == "cylinder" else np.eye(3)
    palm = knuckles + wrist @ np.array([0.012 * sign, -thick, 0.0])
    vertices = prop.vertices @ (wrist @ across.T).T + palm
    return PlacedProp(prop, vertices.astype(np.float32))


def _obstacles(view: View, main: Standing, rng: np.random.Generator) -> list[PlacedProp]:
    """Furniture and posts before the first person, and boxes behind."""
    placed = []
    target = main.posed.joints[:22].mean(0).numpy()
    to_eye = (view.eye - target) * [1, 0, 1]
    distance = float(np.linalg.norm(to_eye))
    ahead = to_eye / max(distance, 1e-6)
    aside = np.array([ahead[2], 0, -ahead[0]])
    # Nothing stands so near to the camera that it fills the picture.
    if rng.random() < 0.25 and distance > 2.0:
        near = rng.uniform(0.4, min(distance - 1.4, 1.6))
        shift = rng.normal(0, 0.45)
        kind = "cylinder" if rng.random() < 0.3 else "box"
        size = (
            np.array([1, 0, 1]) * rng.uniform(0.06, 0.25) + np.array([0, rng.uniform(0.6, 2.4), 0])
            if kind == "cylinder"
            else rng.uniform((0.3, 0.35, 0.3), (1.3, 1.05, 0.8))
        )
        placed.append(_on_floor(kind, size, target + near * ahead + shift * aside, rng))
    for _ in range(int(rng.choice(3, p=(0.6, 0.25, 0.15)))):
        far, shift = -rng.uniform(0.8, 3.5), rng.uniform(-2.5, 2.5)
        kind = str(rng.choice(("box", "cylinder", "ball")))
        size = rng.uniform(0.2, 1.6, 3) if kind == "box" else np.full(3, rng.uniform(0.2, 1.0))
        placed.append(_on_floor(kind, size, target + far * ahead + shift * aside, rng))
    return placed


def _on_floor(
    kind: str, size: np.ndarray, place: np.ndarray, rng: np.random.Generator
) -> PlacedProp:
    prop = make_prop(size, kind, int(rng.integers(1 << 20)))
    angle = rng.uniform(-np.pi, np.pi)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    vertices = prop.vertices @ turn.T + place * [1, 0, 1]
    vertices[:, 1] -= vertices[:, 1].min()
    return PlacedProp(prop, vertices.astype(np.float32))


def _roomy(environment: Environment, view: View, people: Sequence[Standing]) -> Environment:
    """The same place, its walls moved out so that camera and people are inside."""
    room = environment.backdrop.room
    if room is None:
        return environment
    points = np.concatenate([view.eye[None], *(p.posed.joints.numpy() for p in people)])
    low, high = points.min(0) - 0.5, points.max(0) + 0.5
    walls = (
        min(room[0], low[0]), max(room[1], high[0]), min(room[2], low[2]), max(room[3], high[2]),
        max(room[4], high[1]),
    )  # fmt: skip
    return replace(environment, backdrop=replace(environment.backdrop, room=walls))


def _exposure(rng: np.random.Generator) -> Exposure:
    white = np.exp(0.07 * rng.standard_normal(3))
    gain = np.exp(rng.normal(0.32, 0.28))
    dark = rng.random() < 0.2
    shake = np.zeros(2)
    if rng.random() < 0.12:
        angle, length = rng.uniform(0, np.pi), rng.uniform(1.5, 7.0)
        shake = length * np.array([np.cos(angle), np.sin(angle)])
    return Exposure(
        gains=(gain * white).astype(np.float32),
        read=float(rng.uniform(0.001, 0.012) * (2.0 if dark else 1.0)),
        shot=float(rng.uniform(0.0, 0.0012) * (3.0 if dark else 1.0)),
        defocus=float(abs(rng.normal(0, 0.6)) if rng.random() < 0.5 else 0.0),
        shake=shake,
        quality=int(rng.integers(55, 97)),
    )
