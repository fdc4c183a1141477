"""Random people, poses and cameras for the renders that the landmarks are learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from tools.build_body.appearance import Painter, random_style
from tools.build_body.posing import BodyArrays, posed
from tools.build_body.render import Image, View, look_at, render

_SHAPE_SPREAD = 0.8
_FINGERS = ("index", "middle", "pinky", "ring")


@dataclass(frozen=True)
class Shot:
    """One render and the truth behind it.

    points (55 + V, 3): joints, then vertices, in the world. yaw: radians, 0 from the front.
    """

    image: Image
    view: View
    points: np.ndarray
    yaw: float


def matrices(axis_angles: np.ndarray) -> np.ndarray:
    """(55, 3) axis-angle -> (55, 3, 3)."""
    return axis_angle_to_matrix(torch.from_numpy(axis_angles)).numpy()


def random_betas(body: BodyArrays, rng: np.random.Generator) -> np.ndarray:
    """(S,) shape coefficients of an ordinary person."""
    return _SHAPE_SPREAD * rng.standard_normal(body.shape_dirs.shape[-1])


def random_pose(rng: np.random.Generator) -> np.ndarray:
    """(55, 3, 3) an everyday pose: arms anywhere, walking to half sitting, mild torso and head."""
    axis_angle = np.zeros((NUM_JOINTS, 3))
    for name, spread in (("spine1", 5), ("spine2", 5), ("spine3", 5), ("neck", 8), ("head", 10)):
        axis_angle[JOINT_INDEX[name]] = np.deg2rad(spread) * rng.standard_normal(3)
    rotations = matrices(axis_angle)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lower = rng.choice([rng.uniform(50, 85), rng.uniform(-60, 50)], p=[0.6, 0.4])
        swing, twist = rng.uniform(-60, 30), rng.uniform(-40, 40)
        arm = _turn("x", swing) @ _turn("z", -sign * lower) @ _turn("x", twist)
        rotations[JOINT_INDEX[f"{side}_shoulder"]] = arm
        rotations[JOINT_INDEX[f"{side}_elbow"]] = _turn("y", -sign * 110 * rng.random() ** 1.5)
        wrist = np.deg2rad(15) * rng.standard_normal(3)
        rotations[JOINT_INDEX[f"{side}_wrist"]] = axis_angle_to_matrix(
            torch.from_numpy(wrist)
        ).numpy()
        flex = rng.uniform(-25, 35) if rng.random() < 0.8 else rng.uniform(40, 85)
        rotations[JOINT_INDEX[f"{side}_hip"]] = _turn("x", -flex) @ _turn(
            "z", sign * rng.uniform(-3, 20)
        )
        bend = max(flex, 0) * rng.uniform(0.5, 1.5) + 20 * rng.random() ** 2
        rotations[JOINT_INDEX[f"{side}_knee"]] = _turn("x", bend)
        rotations[JOINT_INDEX[f"{side}_ankle"]] = _turn("x", rng.uniform(-15, 20))
        _curl_fingers(rotations, side, sign, rng, most=50)
    return rotations


def _turn(axis: str, degrees: float) -> np.ndarray:
    vector = torch.zeros(3, dtype=torch.float64)
    vector["xyz".index(axis)] = float(np.deg2rad(degrees))
    return axis_angle_to_matrix(vector).numpy()


def _curl_fingers(
    rotations: np.ndarray, side: str, sign: float, rng: np.random.Generator, most: float
) -> None:
    together = most * rng.random()
    for finger in _FINGERS:
        curl = np.clip(together + 12 * rng.standard_normal(), -5, 90)
        splay = sign * 6 * rng.standard_normal()
        for k in (1, 2, 3):
            turn = _turn("z", -sign * curl * (1.0, 1.1, 0.7)[k - 1])
            rotations[JOINT_INDEX[f"{side}_{finger}{k}"]] = (
                _turn("y", splay) @ turn if k == 1 else turn
            )
    for k in (1, 2, 3):
        thumb = np.deg2rad(10) * rng.standard_normal(3)
        rotations[JOINT_INDEX[f"{side}_thumb{k}"]] = axis_angle_to_matrix(
            torch.from_numpy(thumb)
        ).numpy()


def _light(rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.uniform(-0.8, 0.8), rng.uniform(0.1, 0.9), 0.9])


def _shoot(
    painter: Painter,
    rng: np.random.Generator,
    view: View,
    vertices: np.ndarray,
    joints: np.ndarray,
    *,
    yaw: float,
    lit_from: float,
) -> Shot:
    light = _turn("y", np.rad2deg(lit_from)) @ _light(rng)
    background = tuple(rng.uniform(0.35, 0.95, 3))
    image = render(
        vertices,
        painter.body.faces,
        view,
        painter.colors(random_style(rng)),
        light,
        background=(background[0], background[1], background[2]),
    )
    return Shot(image, view, np.concatenate([joints, vertices]), yaw)


def body_shot(painter: Painter, rng: np.random.Generator) -> Shot:
    """A whole person, mostly from the front, sometimes from the side or behind."""
    vertices, joints = posed(painter.body, random_betas(painter.body, rng), random_pose(rng))
    yaw = rng.uniform(-1.2, 1.2) if rng.random() < 0.75 else rng.uniform(-np.pi, np.pi)
    pitch = np.deg2rad(rng.uniform(-8, 12))
    center = 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))
    size = float((vertices.max(axis=0) - vertices.min(axis=0)).max())
    away = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    distance = rng.uniform(2.5, 5.0)
    view = look_at(center + away * distance, center, 560 * distance / (size + 0.2), 520, 620)
    return _shoot(painter, rng, view, vertices, joints, yaw=yaw, lit_from=yaw)


def hand_shot(painter: Painter, rng: np.random.Generator, side: str) -> Shot:
    """One raised hand close up, palm, back or edge towards the camera."""
    sign = 1.0 if side == "left" else -1.0
    rotations = random_pose(rng)
    rotations[JOINT_INDEX[f"{side}_shoulder"]] = _turn("z", -sign * rng.uniform(30, 70))
    rotations[JOINT_INDEX[f"{side}_elbow"]] = _turn("x", rng.uniform(-80, 80)) @ _turn(
        "z", sign * rng.uniform(90, 130)
    )
    _curl_fingers(rotations, side, sign, rng, most=50)
    vertices, joints = posed(painter.body, random_betas(painter.body, rng), rotations)
    hand = joints[[JOINT_INDEX[f"{side}_wrist"], JOINT_INDEX[f"{side}_middle2"]]].mean(axis=0)
    yaw = rng.uniform(-0.6, 0.6)
    away = np.array([np.sin(yaw), rng.uniform(-0.2, 0.2), np.cos(yaw)])
    view = look_at(hand + away * 1.2, hand - np.array([0.0, 0.05, 0.0]), 1150.0, 480, 480)
    return _shoot(painter, rng, view, vertices, joints, yaw=yaw, lit_from=yaw)


def face_shot(
    painter: Painter,
    rng: np.random.Generator,
    expression: np.ndarray,
    pose: np.ndarray,
    betas: np.ndarray,
    *,
    yaw: float,
    pitch: float,
) -> Shot:
    """A head close up; pose is (9,) jaw, left eye and right eye axis-angle."""
    axis_angle = np.zeros((NUM_JOINTS, 3))
    for i, name in enumerate(("jaw", "left_eye", "right_eye")):
        axis_angle[JOINT_INDEX[name]] = pose[3 * i : 3 * i + 3]
    vertices, joints = posed(painter.body, betas, matrices(axis_angle), expression)
    eyes = joints[[JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]].mean(axis=0)
    target = eyes + np.array([0.0, -0.02, -0.02])
    away = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    view = look_at(target + away, target, 1400.0, 540, 540)
    return _shoot(painter, rng, view, vertices, joints, yaw=yaw, lit_from=yaw)
