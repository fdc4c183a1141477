"""What the clip shows is coloured from it; what it hides is filled from what it shows."""

import pytest
import torch
from synthetic_clip import detections_of, make_frames

from pear_avatar.body import load_body
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import make_scene
from pear_avatar.fitting.fit_state import new_state
from pear_avatar.fitting.run import crop_face, crop_keypoints
from pear_avatar.fitting.visibility import fill_unseen, observe_splats, seen_share
from pear_avatar.geometry.meshes import face_normals
from pear_avatar.types import Motion, Track


@pytest.fixture(scope="module")
def observed():
    import numpy as np

    frames, params = make_frames(6)
    body = load_body()
    track = Track(
        Motion(params, np.arange(6.0)), frames.camera, np.arange(6), np.ones(6, bool), np.zeros(6)
    )
    detections = detections_of(params, frames.camera)
    keypoints = crop_keypoints(detections, frames, track), crop_face(detections, frames, track)
    scene = make_scene(body, frames, params, keypoints, 20)
    state = new_state(body, params.betas, 6, FittingConfig(num_splats=6000))
    seen = observe_splats(scene, state, list(range(6)))
    return scene, state, seen.weight, seen.color


def facing_front(state):
    body = load_body()
    return face_normals(body.v_template, state.binding.face_vertices)[:, 2]


def test_fronts_are_seen_and_backs_are_not(observed):
    _, state, weight, _ = observed
    seen = seen_share(weight)
    front = facing_front(state)
    assert seen[front > 0.9].mean() > 0.6
    assert seen[front < -0.9].max() < 0.1


def test_seen_colours_are_those_of_the_picture(observed):
    _, state, weight, color = observed
    well = weight > 0.3
    points = state.binding.rest_points(load_body().v_template)
    blue = 0.2 + 0.6 * (points[:, 0] > 0).float()
    away = points[:, 0].abs() > 0.03  # the two hues mix at the middle of the body
    error = (color[:, 2] - blue).abs()[well & away]
    assert error.median() < 0.05


def test_the_back_is_filled_from_the_front(observed):
    scene, state, weight, color = observed
    state.splats["colors"].copy_(color)
    seen = seen_share(weight)
    before = state.splats["colors"].clone()
    fill_unseen(scene.body, state, seen)
    colors = state.splats["colors"]
    torch.testing.assert_close(colors[seen == 1], before[seen == 1])
    hidden = seen == 0
    assert (colors[hidden] - 0.5).abs().mean() > 0.05  # no longer the grey of "never seen"
    assert colors[hidden, 1].sub(0.3).abs().median() < 0.06  # every seen splat has green 0.3
