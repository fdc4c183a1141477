"""Measuring the detector: from pictures of known people to the noise bank."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.body import BodyModel, load_body
from pear_avatar.body.topology import MIRROR_POSE
from pear_avatar.recovery.lifter import layout
from pear_avatar.recovery.lifter.features import person_box
from pear_avatar.synthesis.poses import PoseSampler
from pear_avatar.training.lifter.noise import fit_noise, seen_in, truth_of
from pear_avatar.training.lifter.renders import RenderSet, make_renders, set_face
from pear_avatar.training.lifter.views import sample_headings, to_rays

COUNT, FOCAL, SIDE = 60, 700.0, 640
OFFSET = np.array([0.02, -0.01, 0.015], np.float32)  # metres, of every pose landmark
GAIN = np.array([1.0, 1.0, 0.6], np.float32)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def staged(body: BodyModel) -> RenderSet:
    """A detector that errs in one known way: landmarks off by OFFSET, depth shrunk by GAIN."""
    generator = torch.Generator().manual_seed(0)
    sampler = PoseSampler(None, generator)
    R = sampler.fingers(sampler.body(COUNT))
    R[:, 0] = sample_headings(R[:, 0], generator)
    actions = torch.zeros(COUNT, layout.NUM_ACTIONS)
    expression, R = set_face(body, R, actions, torch.zeros(COUNT, 4))
    zeros = np.zeros((COUNT, 33, 3), np.float32)
    renders = RenderSet(
        rotations=R.numpy(),
        betas=np.zeros((COUNT, 10), np.float32),
        expression=expression.numpy(),
        transl=np.tile(np.array([0, 0, -5], np.float32), (COUNT, 1)),
        focal=np.full(COUNT, FOCAL, np.float32),
        size=np.full((COUNT, 2), SIDE),
        found=np.ones(COUNT, bool),
        pose_px=zeros[..., :2],
        pose_confidence=np.ones((COUNT, 33), np.float32),
        pose_world=zeros,
        left_hand_px=zeros[:, :21, :2],
        left_hand_confidence=np.zeros(COUNT, np.float32),
        right_hand_px=zeros[:, :21, :2],
        right_hand_confidence=np.ones(COUNT, np.float32),
        face_px=np.zeros((COUNT, 478, 2), np.float32),
        face_confidence=np.zeros(COUNT, np.float32),
    )
    truth = truth_of(renders, body)
    moved = truth.pose + (truth.R[:, truth.carrier] @ torch.from_numpy(OFFSET))

    def pixels(points: torch.Tensor) -> np.ndarray:
        return (to_rays(points) * FOCAL + SIDE / 2).numpy()

    renders = replace(renders, pose_px=pixels(moved), right_hand_px=pixels(truth.right))
    turn = person_box(seen_in(renders)).turn
    about = (moved - moved[:, 23:25].mean(1, keepdim=True)) @ turn
    world = about.numpy() * GAIN * np.array([1, -1, -1], np.float32)
    return replace(renders, pose_world=world)


def test_a_known_fault_is_measured(staged: RenderSet, body: BodyModel) -> None:
    bank = fit_noise(staged, body)
    assert len(bank.body_key) == COUNT
    assert float(bank.failures) == 0
    assert float(bank.flips) == 0
    # Shrunk a little towards zero, as sixty pictures deserve.
    np.testing.assert_allclose(bank.pose_offset, np.tile(OFFSET, (33, 1)), atol=6e-3)
    np.testing.assert_allclose(bank.world_gain, GAIN, atol=0.05)
    assert np.median(np.abs(bank.pose_error)) < 3e-3  # metres: nothing else is wrong
    assert np.median(np.abs(bank.world_error)) < 0.02
    assert np.abs(bank.hand_error).max() < 1e-3


def test_gross_failures_and_exchanged_sides_are_no_noise(
    staged: RenderSet, body: BodyModel
) -> None:
    px, world = staged.pose_px.copy(), staged.pose_world.copy()
    px[0] += 300
    index = list(MIRROR_POSE)
    world[1:10] = world[1:10][:, index]
    bank = fit_noise(replace(staged, pose_px=px, pose_world=world), body)
    assert float(bank.failures) == pytest.approx(1 / COUNT, rel=1e-3)
    assert 0 < float(bank.flips) <= 9 / COUNT
    assert len(bank.body_key) < COUNT


def test_people_in_pictures_are_detected_where_they_are(body: BodyModel, tmp_path: Path) -> None:
    renders = make_renders(body, None, 2, seed=5)
    path = str(tmp_path / "renders.npz")
    renders.save(path)
    again = RenderSet.load(path)
    for f in fields(renders):
        np.testing.assert_array_equal(getattr(renders, f.name), getattr(again, f.name))
    truth, seen = truth_of(renders, body), seen_in(renders)
    assert renders.found.any()
    sure = (seen.pose_confidence > 0.5) & torch.from_numpy(renders.found)[:, None]
    gap = ((seen.pose - to_rays(truth.pose)) * -truth.pose[..., 2:]).norm(dim=-1)
    assert gap[sure].median() < 0.06  # metres
