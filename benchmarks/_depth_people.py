"""Synthetic people whose depth is known: they stand, sit, lean, bow, squat, step and turn.

Each is drawn by a camera that looks level or down, seen by the real detector, and so has the
detector's own faults in depth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from pear_avatar.body import BodyModel
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.io.video import VideoWriter
from pear_avatar.motion.choreography import FILMED, choreograph
from pear_avatar.perception.clip import detect_landmarks
from pear_avatar.synthesis.person import Person
from pear_avatar.synthesis.stage import draw_person
from pear_avatar.synthesis.synthetic_person import make_person
from pear_avatar.types import BodyParams, Camera

_WIDTH, _HEIGHT, _FPS = 512, 640, 12.0
#: degrees of each joint's bend about x, on top of the choreography's
_Bend = Mapping[str, float]


@dataclass(frozen=True)
class Scene:
    """One clip to film.

    seed: the person. bends: degrees about x by joint ("root" turns all); yaw, pitch (the camera
    looks down) and roll in degrees; walks: whether the choreography's steps and turns stay in.
    """

    name: str
    seed: int
    bends: _Bend
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    walks: bool = False
    frames: int = 30


_SIT = {"left_hip": -80.0, "right_hip": -76.0, "left_knee": 80.0, "right_knee": 76.0}
_SQUAT = {
    "left_hip": -85.0,
    "right_hip": -85.0,
    "left_knee": 95.0,
    "right_knee": 95.0,
    "left_ankle": -30.0,
    "right_ankle": -30.0,
    "spine1": 10.0,
    "root": 20.0,
}
_BOW = {"root": 25.0, "left_hip": -25.0, "right_hip": -25.0, "spine1": 15.0, "spine2": 10.0}
_AGAINST_WALL = {"root": -12.0, "left_ankle": 12.0, "right_ankle": 12.0}

SCENES: tuple[Scene, ...] = (
    Scene("stand", 1, {}),
    Scene("stand, camera down 18", 2, {}, yaw=25.0, pitch=18.0, roll=2.0),
    Scene("step and turn", 0, {}, walks=True),
    Scene("sit", 3, _SIT, yaw=20.0, pitch=6.0),
    Scene("sit in profile", 4, _SIT, yaw=75.0),
    Scene("squat", 5, _SQUAT, yaw=30.0, pitch=8.0),
    Scene("bow", 6, _BOW, yaw=-40.0),
    Scene("lean on a wall", 7, _AGAINST_WALL, yaw=15.0, pitch=5.0),
)


def film_scene(body: BodyModel, scene: Scene, folder: Path) -> tuple[Path, Path]:
    """Film, detect and keep: paths of the detections and of the truth (joints, T, K).

    Both are taken from the folder where an earlier run left them.
    """
    stem = scene.name.replace(" ", "-").replace(",", "")
    found, truth = folder / f"{stem}-detections.npz", folder / f"{stem}-truth.npz"
    if found.is_file() and truth.is_file():
        return found, truth
    person = make_person(body, scene.seed)
    params = _grounded(body, person, _motion(body, person.betas, scene))
    camera = _camera(scene, float(np.ptp(person.rest[:, 1])))
    background = np.random.default_rng(scene.seed).uniform(0.3, 0.7, 3).astype(np.float32)
    video = folder / f"{stem}.mp4"
    with torch.no_grad(), VideoWriter(video, _FPS) as writer:
        posed = body.shape(params.betas).pose(params.rotations, params.transl)
        for i, transforms in enumerate(posed.rest_to_posed.numpy()):
            vertices = person.pose(transforms, params.expression[i].numpy())
            color, coverage = draw_person(person, vertices, camera)
            picture = color + (1 - coverage[..., None]) * background
            writer.write(np.round(255 * picture.clip(0, 1)).astype(np.uint8))
    np.savez(
        truth,
        joints=posed.joints.numpy(),
        T_camera_world=camera.T_camera_world.numpy(),
        K=camera.K.numpy(),
    )
    detections = detect_landmarks(video)
    values = {f.name: getattr(detections, f.name) for f in fields(detections)}
    np.savez(found, **{n: np.asarray(v) for n, v in values.items() if v is not None})
    return found, truth


def _grounded(body: BodyModel, person: Person, params: BodyParams) -> BodyParams:
    """The motion with the lowest point of every frame on the floor at y = 0."""
    with torch.no_grad():
        posed = body.shape(params.betas).pose(params.rotations, params.transl)
    lowest = [
        person.pose(transforms, expression)[:, 1].min()
        for transforms, expression in zip(
            posed.rest_to_posed.numpy(), params.expression.numpy(), strict=True
        )
    ]
    down = torch.zeros_like(params.transl)
    down[:, 1] = torch.from_numpy(np.array(lowest, np.float32))
    return replace(params, transl=params.transl - down)


def _camera(scene: Scene, height: float) -> Camera:
    """A camera that looks at the middle of a person of ``height`` metres, pitched and rolled."""
    focal = 1.15 * max(_WIDTH, _HEIGHT)
    turn = [
        axis_angle_to_matrix(torch.tensor(axis) * math.radians(degrees))
        for axis, degrees in (((0.0, 0.0, 1.0), scene.roll), ((1.0, 0.0, 0.0), scene.pitch))
    ]
    T_level_world = torch.eye(4)
    T_level_world[:3, :3] = turn[0] @ turn[1]
    middle = torch.tensor([0.0, 0.5 * height, 0.0])
    distance = focal * height / (0.79 * _HEIGHT)
    T_level_world[:3, 3] = torch.tensor([0.0, 0.0, -distance]) - T_level_world[:3, :3] @ middle
    K = intrinsics(focal, _WIDTH, _HEIGHT)
    return Camera(K, default_world_camera() @ T_level_world, _WIDTH, _HEIGHT)


def _motion(body: BodyModel, betas: np.ndarray, scene: Scene) -> BodyParams:
    channels = dict(FILMED)
    if not scene.walks:
        # The first fifth of the choreography stands and gestures with both arms.
        channels = {
            name: [(t, float(np.interp(0.21 * t, *np.transpose(keys)))) for t in _GRID]
            for name, keys in FILMED.items()
        }
    params = choreograph(body, betas, channels, scene.frames)
    rotations = params.rotations.clone()
    for name, degrees in scene.bends.items():
        j = 0 if name == "root" else JOINT_INDEX[name]
        bend = axis_angle_to_matrix(torch.tensor([np.radians(degrees), 0.0, 0.0]).float())
        rotations[:, j] = bend @ rotations[:, j]
    yaw = axis_angle_to_matrix(torch.tensor([0.0, np.radians(scene.yaw), 0.0]).float())
    rotations[:, 0] = yaw @ rotations[:, 0]
    return replace(params, rotations=rotations)


_GRID = np.linspace(0.0, 1.0, 25)
