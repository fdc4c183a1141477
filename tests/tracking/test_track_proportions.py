"""Head and hand scales of a person are found together with the shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tracking_people import detect, joint_errors, moving_person, tall_camera

from pear_avatar.body import BodyModel, load_body
from pear_avatar.body.ehm import EhmModel, open_ehm
from pear_avatar.tracking import TrackConfig, track_clip
from pear_avatar.tracking.proportions import PersonModel
from pear_avatar.tracking.rig import pose_rig
from pear_avatar.tracking.track_stages import make_rig
from pear_avatar.types import BodyParams, Track

N = 16


@pytest.fixture(scope="module")
def ehm() -> EhmModel:
    return open_ehm(load_body())


def test_the_rig_follows_the_scales(ehm: EhmModel) -> None:
    """Near the coefficients it was made for, the rig's points are those of the baked person."""
    person = PersonModel(ehm, TrackConfig())
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(person.num_betas + 2, generator=generator)
    rig = person.rig(coefficients)
    params = moving_person(ehm.body, 2)
    expression = torch.zeros(2, rig.pair_expression.shape[-1])
    for step, tolerance in ((0.0, 1e-4), (0.5, 2e-3)):  # metres; the second is second order
        moved = coefficients.clone()
        moved[-2:] += step
        moved[0] += step
        points = pose_rig(rig, params.rotations, params.transl, moved, expression).points
        betas = moved[: person.num_betas]
        plain = make_rig(person.body(moved), TrackConfig())
        wanted = pose_rig(plain, params.rotations, params.transl, betas, expression).points
        assert (points - wanted).norm(dim=-1).max() < tolerance


def test_a_rig_near_scales_of_one_equals_that_of_the_plain_body(ehm: EhmModel) -> None:
    rig, plain = PersonModel(ehm, TrackConfig()).rig(), make_rig(ehm.body, TrackConfig())
    assert torch.allclose(rig.pair_rest, plain.pair_rest, atol=1e-6)
    assert torch.allclose(rig.pair_shape[..., :-2], plain.pair_shape, atol=1e-6)
    assert rig.joint_shape.shape[-1] == plain.joint_shape.shape[-1] + 2


def shape_error(found: BodyModel, track: Track, true: BodyModel, params: BodyParams) -> float:
    """Mean distance of rest vertices in mm after the one scale that monocular video hides."""
    a = found.shape(track.motion.params.betas).vertices()
    b = true.shape(params.betas).vertices()
    a, b = a - a.mean(0), b - b.mean(0)
    a = a * (a * b).sum() / a.square().sum()
    return 1e3 * float((a - b).norm(dim=-1).mean())


def test_a_childs_proportions_are_found(ehm: EhmModel) -> None:
    """A large head and large hands on a body whose own shape space has none."""
    truth = ehm.person(ehm.scaled(1.3, 1.15))
    params = moving_person(truth, N)
    detections = detect(truth, params, tall_camera())
    tracks = {"plain": track_clip(detections, ehm.body), "ehm": track_clip(detections, ehm)}
    assert tracks["plain"].proportions is None
    found = tracks["ehm"].proportions
    assert found is not None
    assert 1.1 < float(found.head_scale[0]) < 1.4
    bodies = {"plain": ehm.body, "ehm": ehm.person(found)}
    errors = {n: shape_error(bodies[n], tracks[n], truth, params) for n in tracks}
    assert errors["ehm"] < 0.75 * errors["plain"]
    assert errors["ehm"] < 8  # mm
    landmarks = {n: float(np.nanmean(t.landmark_error)) for n, t in tracks.items()}
    assert landmarks["ehm"] < landmarks["plain"]
    aligned = {}
    for name, track in tracks.items():
        p = track.motion.params
        joints = bodies[name].shape(p.betas).pose(p.rotations, p.transl).joints
        true = truth.shape(params.betas).pose(params.rotations, params.transl).joints
        aligned[name] = joint_errors(joints, true)[1]
    assert aligned["ehm"] < aligned["plain"] - 1


def test_a_short_clip_is_solved_to_the_end(ehm: EhmModel) -> None:
    """Steps without end lead to the same track: the large head lies down a long, flat valley."""
    truth = ehm.person(ehm.scaled(1.3, 1.15))
    detections = detect(truth, moving_person(truth, 8), tall_camera())
    config = TrackConfig(coarse_steps=10)
    found = track_clip(detections, ehm, config=config)
    longer = track_clip(detections, ehm, config=replace(config, fine_steps=100))
    assert torch.equal(found.motion.params.betas, longer.motion.params.betas)
    shorter = track_clip(detections, ehm, config=replace(config, fine_steps=1))
    assert not torch.equal(found.motion.params.betas, shorter.motion.params.betas)


def test_scales_that_may_not_move_stay_at_one(ehm: EhmModel) -> None:
    params = moving_person(ehm.body, 4)
    config = TrackConfig(head_scale_sigma=0, hand_scale_sigma=0, coarse_steps=6, fine_steps=4)
    found = track_clip(detect(ehm.body, params, tall_camera()), ehm, config=config).proportions
    assert found is not None
    assert torch.equal(found.head_scale, torch.ones(3))
    assert torch.equal(found.hand_scale, torch.ones(3))
    with pytest.raises(ValueError, match="head_scale_sigma"):
        TrackConfig(head_scale_sigma=-1).validate()
