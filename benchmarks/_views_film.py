"""Synthetic people filmed as a phone films them, and their true pictures from all sides.

A clip shows a standing person in one of three ways (:data:`WAYS`); the phone is held at chest
height, looks down at the person's middle and shakes a little. The true pictures turn the person in
the same light, as a turntable would, in poses that the clip does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.io.video import VideoWriter
from pear_avatar.motion.choreography import FILMED, Keys, choreograph
from pear_avatar.synthesis import SceneTruth, draw_person, load_truth, save_truth
from pear_avatar.synthesis.person import Person
from pear_avatar.synthesis.stage import Stage, film, make_stage
from pear_avatar.types import BodyParams, Camera, Motion

WIDTH, HEIGHT, FPS, NUM_FRAMES = 480, 640, 15.0, 60
#: a phone's focal length for that picture, and the larger canvas the shaking picture is cut from
_FOCAL, _CANVAS = 832.0, (640, 1120)
_EYE_HEIGHT, _FILLS = 1.45, 0.76
_SHAKE = np.radians(0.35)

_STILL: Mapping[str, Keys] = {
    **dict.fromkeys(FILMED, ((0.0, 0.0), (1.0, 0.0))),
    "side": ((0.0, 0.0), (0.5, 0.04), (1.0, -0.02)),
    "lean": ((0.0, 0), (0.3, 2), (0.7, -2), (1.0, 0)),
    "twist": ((0.0, 0), (0.4, 5), (0.8, -5), (1.0, 0)),
    "head_turn": ((0.0, 0), (0.25, 14), (0.6, -14), (1.0, 0)),
    "head_nod": ((0.0, 0), (0.35, 6), (0.8, -5), (1.0, 0)),
    "left_raise": ((0.0, 8), (0.3, 12), (0.5, 80), (0.7, 15), (1.0, 10)),
    "right_raise": ((0.0, 8), (0.25, 75), (0.45, 14), (0.8, 40), (1.0, 10)),
    "left_swing": ((0.0, 5), (0.4, 20), (1.0, 5)),
    "right_swing": ((0.0, 5), (0.6, 20), (1.0, 5)),
    "left_bend": ((0.0, 12), (0.45, 45), (0.8, 15), (1.0, 12)),
    "right_bend": ((0.0, 12), (0.3, 40), (0.7, 20), (1.0, 12)),
    "left_curl": ((0.0, 0.2), (0.5, 0.05), (1.0, 0.2)),
    "right_curl": ((0.0, 0.2), (0.3, 0.05), (1.0, 0.2)),
    "smile": ((0.0, 0.2), (0.5, 0.5), (1.0, 0.2)),
}
#: which sides a clip shows: the body's turn in degrees over the clip
WAYS: Mapping[str, Keys] = {
    "front": ((0.0, -4), (0.5, 5), (1.0, -3)),
    "turned40": ((0.0, -3), (0.5, 40), (1.0, 2)),
    "whole": ((0.0, 0), (0.1, 8), (0.9, 350), (1.0, 360)),
}
VIEWS = (0, 45, -45, 90, -90, 180)
#: degrees about x, y, z for each joint that leaves the T-pose
_POSES: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "down": {"left_shoulder": (0, 0, -66), "right_shoulder": (0, 0, 66)},
    "raised": {
        "left_shoulder": (0, 0, 54), "right_shoulder": (0, 0, -54),
        "left_collar": (0, 0, 8), "right_collar": (0, 0, -8),
    },
    "stride": {
        "left_hip": (-28, 0, 2), "right_hip": (18, 0, -2), "left_knee": (12, 0, 0),
        "right_knee": (32, 0, 0), "left_ankle": (10, 0, 0), "spine2": (4, 8, 0),
        "left_shoulder": (22, 0, -68), "right_shoulder": (-28, 0, 68),
        "left_elbow": (0, -20, 0), "right_elbow": (0, 45, 0),
    },
    "reach": {
        "left_shoulder": (0, -55, 5), "left_elbow": (0, -35, 0), "right_shoulder": (0, 10, 60),
        "right_elbow": (0, 70, 0), "spine1": (8, -10, 0), "spine3": (4, -10, 0),
        "left_hip": (-12, 0, 6), "left_knee": (22, 0, 0), "neck": (-4, 12, 0), "head": (-4, 12, 0),
    },
}  # fmt: skip
POSES = tuple(_POSES)
PICTURE, HEAD_SIDE = (360, 480), 224
HEAD_JOINTS = tuple(JOINT_INDEX[n] for n in ("neck", "head", "left_eye", "right_eye"))


@dataclass(frozen=True)
class TrueView:
    """One true picture.

    name:    pose, or "head" for the close-up.
    yaw:     degrees the person was turned by.
    camera:  what it was drawn with, level at the world's origin.
    joints:  (55, 3) the person's joints in the world.
    rotations: (55, 3, 3) what the person was posed by.
    color, alpha: (H, W, 3) premultiplied and (H, W), float32.
    """

    name: str
    yaw: int
    camera: Camera
    joints: Tensor
    rotations: Tensor
    color: np.ndarray
    alpha: np.ndarray


def film_clip(folder: Path, body: BodyModel, person: Person, way: str, seed: int) -> SceneTruth:
    """Film a person into ``folder`` unless the clip lies there already; returns its truth."""
    if (folder / "truth.npz").is_file():
        return load_truth(folder / "truth.npz")
    folder.mkdir(parents=True, exist_ok=True)
    width, height = _CANVAS
    stage = replace(make_stage(width, height, _EYE_HEIGHT / 0.525, seed), focal=_FOCAL)
    params, joints, vertices = _stand(body, person, stage, {**_STILL, "yaw": WAYS[way]})
    middle = float(vertices[0][:, 1].mean())
    turns = _phone_turns(np.arctan2(-middle, -float(params.transl[0, 2])), seed)
    alpha = np.empty((NUM_FRAMES, HEIGHT, WIDTH), np.uint8)
    with VideoWriter(folder / "clip.mp4", FPS) as video:
        for i in range(NUM_FRAMES):
            rgb, coverage = film(stage, person, vertices[i], np.random.default_rng([seed, 4, i]))
            H = _homography(turns[i])
            size = (WIDTH, HEIGHT)
            video.write(cv2.warpPerspective(rgb, H, size, flags=cv2.INTER_CUBIC))
            shown = cv2.warpPerspective((coverage * 255).round().astype(np.uint8), H, size)
            alpha[i] = shown
    T = torch.eye(4).repeat(NUM_FRAMES, 1, 1)
    T[:, :3, :3] = torch.from_numpy(turns).float() @ default_world_camera()[:3, :3]
    K = intrinsics(_FOCAL, WIDTH, HEIGHT).expand(NUM_FRAMES, 3, 3).contiguous()
    motion = Motion(params, np.arange(NUM_FRAMES) / FPS, f"synthetic person, {way}")
    truth = SceneTruth(motion, Camera(K, T, WIDTH, HEIGHT), joints, alpha, None)
    save_truth(folder / "truth.npz", truth)
    return truth


def _stand(
    body: BodyModel, person: Person, stage: Stage, channels: Mapping[str, Keys]
) -> tuple[BodyParams, np.ndarray, list[np.ndarray]]:
    """The motion with the feet on the floor: parameters, joints (N, 55, 3), vertices a frame."""
    params = choreograph(body, person.betas, channels, NUM_FRAMES)
    place = params.transl.clone()
    place[:, 2] -= _FOCAL * float(np.ptp(person.rest[:, 1])) / (_FILLS * HEIGHT)
    shaped = body.shape(params.betas)
    vertices = []
    with torch.no_grad():
        posed = shaped.pose(params.rotations, place)
        transforms, joints = posed.rest_to_posed.numpy(), posed.joints.numpy().copy()
    for i in range(NUM_FRAMES):
        v = person.pose(transforms[i], params.expression[i].numpy())
        rise = stage.floor - float(v[:, 1].min())
        v[:, 1] += rise
        joints[i, :, 1] += rise
        place[i, 1] += rise
        vertices.append(v)
    return replace(params, transl=place), joints, vertices


def _phone_turns(pitch: float, seed: int) -> np.ndarray:
    """(N, 3, 3) level camera -> shaking phone looking down by ``pitch`` radians (OpenCV axes)."""
    rng = np.random.default_rng([seed, 5])
    t = np.arange(NUM_FRAMES) / FPS
    phase = rng.uniform(0, 2 * np.pi, (3, 2))
    shake = _SHAKE * (
        np.sin(2.1 * t[:, None] + phase[:, 0]) + 0.5 * np.sin(5.3 * t[:, None] + phase[:, 1])
    )
    angles = np.concatenate([shake[:, :1] + pitch, shake[:, 1:]], 1)
    turns = axis_angle_to_matrix(torch.from_numpy(angles)).numpy()
    return np.ascontiguousarray(turns)


def _homography(turn: np.ndarray) -> np.ndarray:
    """Canvas pixels -> phone pixels; pixel centres at +0.5 there, at whole numbers in OpenCV."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    canvas = np.array([[_FOCAL, 0, _CANVAS[0] / 2], [0, _FOCAL, _CANVAS[1] / 2], [0, 0, 1]])
    phone = np.array([[_FOCAL, 0, WIDTH / 2], [0, _FOCAL, HEIGHT / 2], [0, 0, 1]])
    moved: np.ndarray = np.linalg.inv(half) @ phone @ turn @ np.linalg.inv(canvas) @ half
    return moved


def pose_rotations(name: str, yaw: float) -> Tensor:
    """(55, 3, 3) a standard pose, turned by ``yaw`` degrees."""
    angles = torch.zeros(NUM_JOINTS, 3)
    for joint, degrees in _POSES[name].items():
        angles[JOINT_INDEX[joint]] = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for finger in ("index", "middle", "ring", "pinky"):
            for k in (1, 2, 3):
                angles[JOINT_INDEX[f"{side}_{finger}{k}"], 2] = -sign * 0.2
    angles[0, 1] = np.radians(yaw)
    return axis_angle_to_matrix(angles)


def true_views(body: BodyModel, person: Person, *, quick: bool = False) -> Iterator[TrueView]:
    """Every true picture of a person: all poses from all sides, and the head close up."""
    for name in (*(POSES[:2] if quick else POSES), "head"):
        for yaw in VIEWS:
            yield true_view(body, person, name, yaw)


def view_camera(name: str) -> Camera:
    """The camera of a true picture: of the whole person, or close to the head."""
    if name == "head":
        K, size = intrinsics(2.7 * HEAD_SIDE, HEAD_SIDE, HEAD_SIDE), (HEAD_SIDE, HEAD_SIDE)
    else:
        K, size = intrinsics(1.25 * PICTURE[1], *PICTURE), PICTURE
    return Camera(K, default_world_camera(), *size)


def view_place(name: str, joints: Tensor) -> Tensor:
    """(3,) the translation that brings a person's joints (55, 3) before that camera."""
    middle = joints[list(HEAD_JOINTS)] if name == "head" else joints[:22]
    away = torch.tensor([0.0, -0.035, -1.2] if name == "head" else [0.0, 0.0, -3.2])
    return away - (middle.amax(0) + middle.amin(0)) / 2


def true_view(body: BodyModel, person: Person, name: str, yaw: int) -> TrueView:
    """The true picture of one pose from one side; ``head`` is the close-up."""
    rotations = pose_rotations("down" if name == "head" else name, yaw)
    shaped = body.shape(torch.from_numpy(person.betas))
    with torch.no_grad():
        joints = shaped.pose(rotations, torch.zeros(3)).joints
        place = view_place(name, joints)
        transforms = shaped.pose(rotations, place).rest_to_posed.numpy()
    vertices = person.pose(transforms, np.zeros(body.num_expression, np.float32))
    camera = view_camera(name)
    color, alpha = draw_person(person, vertices, camera)
    return TrueView(
        name=name,
        yaw=yaw,
        camera=camera,
        joints=joints + place,
        rotations=rotations,
        color=color,
        alpha=alpha,
    )
