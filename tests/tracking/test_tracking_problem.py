"""Points, Jacobians and the energy's gradient against the body model and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tracking_people import detect, moving_person, tall_camera

from pear_avatar.body import BodyModel, load_body
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.tracking import track_stages
from pear_avatar.tracking.clip_camera import solver_camera
from pear_avatar.tracking.groups import left_jacobian
from pear_avatar.tracking.initialise import initial_state
from pear_avatar.tracking.problem import Problem, energy, linearise
from pear_avatar.tracking.rig import build_rig
from pear_avatar.tracking.track_config import TrackConfig
from pear_avatar.tracking.track_state import TrackState, retract

SETS = ("mediapipe_pose", "mediapipe_left_hand", "mediapipe_right_hand", "mediapipe_face")


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def test_rig_points_are_the_bodys_landmarks(body: BodyModel) -> None:
    params = moving_person(body, 5, yaw=0.7, seed=3)
    expression = 0.5 * torch.randn(5, 20, generator=torch.Generator().manual_seed(0))
    betas = params.betas[:12]
    counts = [body.landmark_set(name).count for name in SETS]
    rig = build_rig(body, list(zip(SETS, map(range, counts), strict=True)), 12, 20)
    rig = rig.to(torch.float32)
    state = TrackState(
        root=params.rotations[:, 0],
        transl=params.transl,
        theta=torch.zeros(5, 55, 3),
        expression=expression,
        betas=betas,
        log_focal=torch.zeros(()),
        offsets=torch.zeros(0, 3),
    )
    state = replace(state, theta=_axis_angles(params.rotations))
    found = state.pose(rig).points.split(counts, dim=1)
    posed = body.shape(betas, expression).pose(params.rotations, params.transl)
    for name, points in zip(SETS, found, strict=True):
        # The tracker keeps the joints that expressions would move by a fraction of a millimetre.
        assert (points - posed.landmarks(name)).norm(dim=-1).max() < 5e-4, name
    neutral = replace(state, expression=0 * expression).pose(rig).points.split(counts, dim=1)
    posed = body.shape(betas).pose(params.rotations, params.transl)
    for name, points in zip(SETS, neutral, strict=True):
        torch.testing.assert_close(points, posed.landmarks(name), atol=3e-6, rtol=0)


def _axis_angles(rotations: torch.Tensor) -> torch.Tensor:
    theta = matrix_to_axis_angle(rotations)
    theta[:, 0] = 0
    return theta


def test_left_jacobian_turns_angle_changes_into_rotations() -> None:
    g = torch.Generator().manual_seed(1)
    a = torch.randn(6, 3, generator=g, dtype=torch.float64)
    a[0] = 0
    a[1] *= 1e-3
    d = 1e-6 * torch.randn(6, 3, generator=g, dtype=torch.float64)
    turned = axis_angle_to_matrix((left_jacobian(a) @ d[..., None])[..., 0])
    found = turned @ axis_angle_to_matrix(a)
    torch.testing.assert_close(found, axis_angle_to_matrix(a + d), atol=1e-11, rtol=0)


@pytest.fixture(scope="module")
def setting(body: BodyModel) -> tuple[Problem, TrackState]:
    """A full problem in float64 at a state some way off its solution."""
    camera = tall_camera()
    detections = detect(body, moving_person(body, 4, yaw=0.4), camera)
    clip_camera, _ = solver_camera(camera, 4)
    rig = track_stages.make_rig(body, TrackConfig(num_betas=6, num_expression=5))
    config = TrackConfig(landmark_offsets=1.0)
    acting = replace(detections, face_actions=np.full((4, 52), 0.3, np.float32))
    clip = track_stages.make_clip(acting, rig, clip_camera, config, refine_focal=True)
    clip = track_stages.with_actions(clip, body.arkit_coef)
    state = initial_state(detections, clip.observations, clip_camera, rig)
    problem = _double(track_stages.full_problem(clip, state, 4.0))
    g = torch.Generator().manual_seed(2)
    state = _double(state)
    return problem, replace(
        state,
        theta=state.theta + 0.1 * torch.randn(state.theta.shape, generator=g).double(),
        betas=0.5 * torch.randn(state.betas.shape, generator=g).double(),
        expression=0.5 * torch.randn(state.expression.shape, generator=g).double(),
        offsets=0.01 * torch.randn(state.offsets.shape, generator=g).double(),
    )


def test_a_face_stays_near_what_the_detector_saw_it_do(
    body: BodyModel, setting: tuple[Problem, TrackState]
) -> None:
    problem, state = setting
    expected = 0.3 * body.arkit_coef.double().sum(0)[:5].expand(4, -1)
    torch.testing.assert_close(problem.expression_mean, expected, atol=1e-6, rtol=1e-5)
    blind = replace(problem, terms=())
    acted = energy(blind, replace(state, expression=expected))
    assert acted < energy(blind, replace(state, expression=expected + 0.5))
    assert acted < energy(blind, replace(state, expression=expected - 0.5))


def _double(value):  # type: ignore[no-untyped-def]
    """Every floating tensor inside nested dataclasses and tuples in float64."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, tuple):
        return tuple(_double(v) for v in value)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, TrackConfig):
        changed = {name: _double(getattr(value, name)) for name in value.__dataclass_fields__}
        return replace(value, **changed)
    return value


def test_right_hand_side_is_minus_the_energys_gradient(
    setting: tuple[Problem, TrackState],
) -> None:
    problem, state = setting
    # Bone directions leave out what the shape does to them, and the root's smoothness is exact
    # to first order only: both are tested apart.
    problem = replace(problem, direction_weight=torch.zeros_like(problem.direction_weight))
    still = problem.smoothness
    problem = replace(
        problem,
        smoothness=replace(still, acceleration=still.acceleration * 1e-9, speed=still.speed * 0),
    )
    system = linearise(problem, state)
    g = torch.Generator().manual_seed(5)
    for _ in range(6):
        frames = torch.randn(system.rhs_frames.shape, generator=g, dtype=torch.float64)
        shared = torch.randn(system.rhs_shared.shape, generator=g, dtype=torch.float64)
        step = 1e-6
        up, down = (
            energy(problem, retract(state, problem.layout, s * frames, s * shared))
            for s in (step, -step)
        )
        expected = (up - down) / (2 * step)
        found = -(system.rhs_frames * frames).sum() - (system.rhs_shared * shared).sum()
        assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_bone_directions_gradient_by_the_pose(setting: tuple[Problem, TrackState]) -> None:
    problem, state = setting
    silent = tuple(replace(t, weight=torch.zeros_like(t.weight)) for t in problem.terms)
    problem = replace(problem, terms=silent, direction_weight=10 * problem.direction_weight)
    system = linearise(problem, state)
    g = torch.Generator().manual_seed(6)
    frames = torch.randn(system.rhs_frames.shape, generator=g, dtype=torch.float64)
    frames[:, :3] = frames[:1, :3]  # turning all frames alike leaves root smoothness exact
    nothing = torch.zeros_like(system.rhs_shared)
    step = 1e-6
    up, down = (
        energy(problem, retract(state, problem.layout, s * frames, nothing)) for s in (step, -step)
    )
    found = -(system.rhs_frames * frames).sum()
    assert float(found) == pytest.approx(float((up - down) / (2 * step)), rel=1e-3)
