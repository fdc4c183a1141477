"""Tracks that start from somebody else's first guess instead of the tracker's own search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tracking_people import detect, joint_errors, moving_person, tall_camera

from pear_avatar.body import BodyModel, load_body
from pear_avatar.geometry.cameras import look_at
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.tracking import TrackConfig, track_clip
from pear_avatar.tracking.clip_camera import solver_camera
from pear_avatar.tracking.initialise import given_state
from pear_avatar.tracking.result import make_track
from pear_avatar.tracking.track_stages import make_rig
from pear_avatar.types import BodyParams, ClipDetections

N = 12


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def person(body: BodyModel) -> BodyParams:
    return moving_person(body, N)


@pytest.fixture(scope="module")
def detections(body: BodyModel, person: BodyParams) -> ClipDetections:
    return detect(body, person, tall_camera())


@pytest.fixture(scope="module")
def guess(person: BodyParams) -> BodyParams:
    """The truth, a quarter of a radian and a decimetre off."""
    generator = torch.Generator().manual_seed(3)
    turns = 0.15 * torch.randn(N, 55, 3, generator=generator)
    shift = 0.1 * torch.randn(N, 3, generator=generator)
    return BodyParams(
        torch.zeros(16),
        torch.zeros(N, 52),
        person.rotations @ axis_angle_to_matrix(turns),
        person.transl + shift,
    )


def test_a_first_guess_is_refined_as_well_as_a_cold_start_in_fewer_steps(
    body: BodyModel, person: BodyParams, detections: ClipDetections, guess: BodyParams
) -> None:
    def steps_and_error(initial: BodyParams | None) -> tuple[int, float]:
        done: list[int] = []
        track = track_clip(
            detections, body, initial=initial, progress=lambda _, i, total: done.append(i)
        )
        params = track.motion.params
        joints = body.shape(params.betas).pose(params.rotations, params.transl).joints
        truth = body.shape(person.betas).pose(person.rotations, person.transl).joints
        return len(done), joint_errors(joints, truth)[0]

    cold_steps, cold = steps_and_error(None)
    warm_steps, warm = steps_and_error(guess)
    assert warm_steps < 0.6 * cold_steps
    assert warm < cold + 10  # mm; both are limited by the detector's noise, not by the start


def test_given_state_is_the_inverse_of_making_a_track(
    body: BodyModel, detections: ClipDetections, guess: BodyParams
) -> None:
    camera = replace(
        tall_camera(), T_camera_world=look_at(torch.tensor([1.0, 0.5, 2.0]), torch.zeros(3))
    )
    rig = make_rig(body, TrackConfig())
    _, T_world_solver = solver_camera(camera, N)
    state = given_state(guess, np.ones(N, bool), detections.time, T_world_solver, rig)
    back = make_track(detections, body, state, camera, T_world_solver).motion.params
    torch.testing.assert_close(back.rotations, guess.rotations, atol=2e-5, rtol=0)
    torch.testing.assert_close(back.transl, guess.transl, atol=2e-5, rtol=0)


def test_frames_that_cannot_be_trusted_start_as_their_nearest_neighbour(
    body: BodyModel, detections: ClipDetections, guess: BodyParams
) -> None:
    trusted = np.ones(N, bool)
    trusted[4:7] = False
    rig = make_rig(body, TrackConfig())
    _, T_world_solver = solver_camera(tall_camera(), N)
    state = given_state(guess, trusted, detections.time, T_world_solver, rig)
    assert torch.equal(state.theta[4], state.theta[3])
    assert torch.equal(state.root[6], state.root[7])


def test_a_first_guess_of_another_length_is_refused(
    body: BodyModel, detections: ClipDetections, guess: BodyParams
) -> None:
    short = detections[np.arange(N - 2)]
    with pytest.raises(ValueError, match=f"{N} frames, the clip {N - 2}"):
        track_clip(short, body, initial=guess)
