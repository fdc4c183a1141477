"""A first guess: where the person stands and which way they face, from the detector's 3D."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.topology import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from pear_avatar.geometry.rotations import (
    matrix_to_axis_angle,
    matrix_to_quat_wxyz,
    quat_wxyz_to_matrix,
    rotation_between,
    slerp_wxyz,
)
from pear_avatar.tracking.observations import OFFSET_LANDMARKS, Observations, corrected_world
from pear_avatar.tracking.priors import rest_pose
from pear_avatar.tracking.problem import ClipCamera
from pear_avatar.tracking.rig import PointRig
from pear_avatar.tracking.track_state import TrackState
from pear_avatar.types import BodyParams, ClipDetections

Start = Literal["detected", "mirrored", "upright"]
STARTS: tuple[Start, ...] = ("detected", "mirrored", "upright")

#: pose landmarks that hardly move with the limbs: head, shoulders, hips
_TRUNK = (0, 7, 8, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)
_FARTHEST = 100.0
_NEAREST = 0.2


def observed_frames(observations: Observations) -> np.ndarray:
    """(N,) bool: frames that show enough of the trunk to place the body."""
    seen = (observations.pose_weight[:, list(_TRUNK)] > 0.02).sum(1)
    return (seen >= 3).numpy()


def nearest_observed(observed: np.ndarray, time: np.ndarray) -> np.ndarray:
    """(N,) int64: for every frame the observed frame nearest in time (itself where observed)."""
    index = np.flatnonzero(observed)
    right = np.searchsorted(time[index], time).clip(0, len(index) - 1)
    left = (right - 1).clip(0)
    closer_left = np.abs(time[index[left]] - time) <= np.abs(time[index[right]] - time)
    return np.where(closer_left, index[left], index[right])


def viewing_turn(observations: Observations, camera: ClipCamera) -> Tensor:
    """(N, 3, 3) turn from the camera's axis to the person's viewing ray, solver axes.

    The detector sees a crop and reports its 3D as if the camera looked straight at the person.
    """
    weight = observations.pose_weight[..., None]
    centre = (observations.pose_px * weight).sum(1) / weight.sum(1).clamp_min(1e-6)
    focal = torch.diagonal(camera.K, dim1=1, dim2=2)[:, :2]
    ray = (centre - camera.K[:, :2, 2]) / focal
    seen = (weight.sum((1, 2)) > 0)[:, None]
    ray = torch.where(seen, ray, torch.zeros_like(ray))
    forward = torch.stack([ray[:, 0], -ray[:, 1], -torch.ones_like(ray[:, 0])], dim=1)
    return rotation_between(forward.new_tensor([0.0, 0.0, -1.0]).expand_as(forward), forward)


def trunk_rotations(detections: ClipDetections, start: Start) -> np.ndarray:
    """(N, 3, 3) pelvis rotation from hips and shoulders of the detector's 3D.

    "mirrored" reads its depth backwards: the other body that looks the same to a camera far
    away. "upright" ignores its 3D: a person standing straight, seen from the front or from the
    back as the order of the shoulders says; the hips of head shots are the detector's guess.
    """
    world = corrected_world(detections)
    if start == "upright":
        left, right = detections.pose_px[:, LEFT_SHOULDER], detections.pose_px[:, RIGHT_SHOULDER]
        front = np.nanmedian((left - right)[detections.trusted, 0]) >= 0
        turn = np.diag([1.0, 1.0, 1.0] if front else [-1.0, 1.0, -1.0])
        return np.tile(turn, (len(world), 1, 1))
    if start == "mirrored":
        world = world * np.array([1.0, 1.0, -1.0])
    hips, shoulders = world[:, [LEFT_HIP, RIGHT_HIP]], world[:, [LEFT_SHOULDER, RIGHT_SHOULDER]]
    across = (hips[:, 0] - hips[:, 1]) + (shoulders[:, 0] - shoulders[:, 1])
    up = shoulders.mean(1) - hips.mean(1)
    degenerate = np.linalg.norm(np.cross(across, up), axis=-1) < 1e-6
    across[degenerate], up[degenerate] = (1, 0, 0), (0, 1, 0)
    x = across / np.linalg.norm(across, axis=-1, keepdims=True)
    z = np.cross(x, up)
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def initial_state(
    detections: ClipDetections,
    observations: Observations,
    camera: ClipCamera,
    rig: PointRig,
    start: Start = "detected",
) -> TrackState:
    """Mean body in its relaxed pose, turned and placed frame by frame."""
    N, dtype = observations.num_frames, observations.pose_px.dtype
    observed = observed_frames(observations)
    if not observed.any():
        observed = np.asarray(detections.trusted, bool)
    source = torch.from_numpy(nearest_observed(observed, np.asarray(detections.time)))
    root = torch.as_tensor(trunk_rotations(detections, start), dtype=dtype)
    turn = viewing_turn(observations, camera)
    # Detections are made in each frame's camera axes; bring them into the solver's world.
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=dtype))
    T_solver_view = camera.R.transpose(1, 2) @ flip
    state = TrackState(
        root=(T_solver_view @ turn @ root)[source],
        transl=torch.zeros(N, 3, dtype=dtype),
        theta=rest_pose(dtype).expand(N, -1, -1).clone(),
        expression=torch.zeros(N, rig.pair_expression.shape[-1], dtype=dtype),
        betas=torch.zeros(rig.joint_shape.shape[-1], dtype=dtype),
        log_focal=torch.zeros((), dtype=dtype),
        offsets=torch.zeros(len(OFFSET_LANDMARKS), 3, dtype=dtype),
    )
    transl = _place(state, observations, camera, rig, observed)
    return replace(state, transl=transl[source])


def given_state(
    initial: BodyParams,
    trusted: np.ndarray,
    time: np.ndarray,
    T_world_solver: Tensor,
    rig: PointRig,
) -> TrackState:
    """The state that a first guess stands for; inverse of what makes a track of a state.

    Untrusted frames start as the trusted frame nearest in time.
    """
    dtype = rig.joint_rest.dtype
    source = torch.from_numpy(nearest_observed(np.asarray(trusted, bool), np.asarray(time)))
    R, t = (T_world_solver[:3, :3].to(dtype), T_world_solver[:3, 3].to(dtype))
    rotations, transl = initial.rotations.to(dtype)[source], initial.transl.to(dtype)[source]
    given_betas = initial.betas if initial.betas.dim() == 1 else initial.betas[trusted].mean(0)
    betas = _resize(given_betas.to(dtype), rig.joint_shape.shape[-1])
    pelvis = rig.joint_rest[0] + rig.joint_shape[0] @ betas
    theta = matrix_to_axis_angle(rotations)
    theta[:, 0] = 0
    return TrackState(
        root=R.T @ rotations[:, 0],
        transl=(transl + pelvis - t) @ R - pelvis,
        theta=theta,
        expression=_resize(initial.expression.to(dtype)[source], rig.pair_expression.shape[-1]),
        betas=betas,
        log_focal=torch.zeros((), dtype=dtype),
        offsets=torch.zeros(len(OFFSET_LANDMARKS), 3, dtype=dtype),
    )


def _resize(values: Tensor, size: int) -> Tensor:
    """(*B, size): cut or padded with zeros at the end."""
    values = values[..., :size]
    return torch.nn.functional.pad(values, (0, size - values.shape[-1])).clone()


def _place(
    state: TrackState,
    observations: Observations,
    camera: ClipCamera,
    rig: PointRig,
    observed: np.ndarray,
) -> Tensor:
    """(N, 3): depth from the trunk's apparent size, then the shift that centres it."""
    posed = state.pose(rig)
    trunk = list(_TRUNK)
    points = posed.points[:, trunk] @ camera.R.transpose(1, 2)  # camera axes, body at origin
    weight = observations.pose_weight[:, trunk, None]
    total = weight.sum(1, keepdim=True).clamp_min(1e-6)
    middle = (points * weight).sum(1, keepdim=True) / total
    px_middle = (observations.pose_px[:, trunk] * weight).sum(1, keepdim=True) / total
    spread = ((points - middle)[..., :2].square() * weight).sum((1, 2)).sqrt()
    px_spread = ((observations.pose_px[:, trunk] - px_middle).square() * weight).sum((1, 2)).sqrt()
    focal = torch.diagonal(camera.K, dim1=1, dim2=2)[:, :2]
    depth = focal.mean(1) * spread / px_spread.clamp_min(1e-3)
    depth = depth.clamp(_NEAREST, _FARTHEST)
    # Apparent size is noisy frame by frame (turned shoulders look narrow); the clip's is not.
    depth = depth[torch.from_numpy(observed)].median().expand_as(depth)
    ray = (px_middle[:, 0] - camera.K[:, :2, 2]) / focal
    wanted = torch.cat([ray * depth[:, None], depth[:, None]], dim=1)
    in_camera = wanted - middle[:, 0] - camera.t
    return (in_camera[:, None] @ camera.R)[:, 0]


def spread_state(state: TrackState, known: np.ndarray, time: np.ndarray) -> TrackState:
    """Interpolate a state solved at times ``known`` (K,) to all times (N,), seconds."""
    right = np.searchsorted(known, time).clip(min(1, len(known) - 1), len(known) - 1)
    left = (right - 1).clip(0)
    span = np.maximum(known[right] - known[left], 1e-9)
    share = torch.as_tensor(((time - known[left]) / span).clip(0, 1), dtype=state.transl.dtype)
    a, b = torch.from_numpy(left), torch.from_numpy(right)
    quats = matrix_to_quat_wxyz(state.root)
    return replace(
        state,
        root=quat_wxyz_to_matrix(slerp_wxyz(quats[a], quats[b], share)),
        transl=torch.lerp(state.transl[a], state.transl[b], share[:, None]),
        theta=torch.lerp(state.theta[a], state.theta[b], share[:, None, None]),
        expression=torch.lerp(state.expression[a], state.expression[b], share[:, None]),
    )
