"""The lifter's parts: its rig, features, placement, network, noise and samples."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pear_avatar.body import BodyModel, load_body
from pear_avatar.body.mirror import mirrored_rotations
from pear_avatar.body.topology import LIFTED_FACE_POINTS
from pear_avatar.evaluation.metrics import procrustes_align
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.recovery.lifter import layout
from pear_avatar.recovery.lifter.features import LandmarkRays, encode, person_box
from pear_avatar.recovery.lifter.landmark_rig import Shape, make_rig
from pear_avatar.recovery.lifter.lifter_network import LifterNetwork, Whitening
from pear_avatar.recovery.lifter.place import place
from pear_avatar.recovery.lifter.weights import load_network, save_network
from pear_avatar.synthesis.poses import PoseSampler, upright
from pear_avatar.training.lifter.noise import NoiseBank
from pear_avatar.training.lifter.samples import SampleMaker
from pear_avatar.training.lifter.views import to_rays


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def noise() -> NoiseBank:
    return NoiseBank.load()


def rotations(count: int, spread: float = 0.4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return axis_angle_to_matrix(spread * torch.randn(count, 55, 3, generator=generator))


def plain(betas: Tensor, expression: Tensor) -> Shape:
    one = torch.ones(len(betas), 3)
    return Shape(betas, expression, one, one)


def test_the_rig_agrees_with_the_body(body: BodyModel) -> None:
    rig, R = make_rig(body, 20), rotations(5)
    betas, expression = torch.randn(5, 20), 0.3 * torch.rand(5, 52)
    _, joints, points = rig.pose(R, plain(betas, expression))
    posed = body.shape(betas, expression).pose(R)
    torch.testing.assert_close(joints, posed.joints, atol=1e-5, rtol=0)
    names = ("pose", "left_hand", "right_hand", "face")
    for name, found in zip(names, points.split(rig.splits, 1), strict=True):
        true = posed.landmarks(f"mediapipe_{name}")
        true = true[:, list(LIFTED_FACE_POINTS)] if name == "face" else true
        gap = (found - true).norm(dim=-1)
        # Joints that move a landmark by less than 2 % are left out of the rig.
        assert gap.mean() < 1e-3, name
        assert gap.max() < 6e-3, name


def test_the_rig_passes_gradients_to_all_its_inputs(body: BodyModel) -> None:
    rig = make_rig(body, 4, ("left_hand",))
    rig = replace(
        rig,
        **{
            f.name: v.double()
            for f in fields(rig)
            if isinstance(v := getattr(rig, f.name), Tensor) and v.is_floating_point()
        },
    )
    R = rotations(1).double()

    def points(aa: Tensor, betas: Tensor, scale: Tensor) -> Tensor:
        turned = torch.cat([R[:, :40] @ axis_angle_to_matrix(aa), R[:, 40:]], 1)
        shape = Shape(betas, torch.zeros(1, 52).double(), torch.ones(1, 3).double(), scale)
        return rig.pose(turned, shape)[2][:, ::7]

    inputs = (torch.zeros(1, 40, 3), torch.zeros(1, 4), torch.ones(1, 3))
    inputs = tuple(x.double().requires_grad_() for x in inputs)
    assert torch.autograd.gradcheck(points, inputs, atol=1e-6)


def test_scales_change_the_head_and_the_hands_only(body: BodyModel) -> None:
    rig = make_rig(body, 4)
    R, zero = torch.eye(3).expand(1, 55, 3, 3), torch.zeros(1, 4)
    one, large = torch.ones(1, 3), torch.full((1, 3), 1.2)
    _, joints, points = rig.pose(R, Shape(zero, torch.zeros(1, 52), one, one))
    _, big_joints, big = rig.pose(R, Shape(zero, torch.zeros(1, 52), large, large))
    pose, left, _, face = points.split(rig.splits, 1)
    big_pose, big_left, _, big_face = big.split(rig.splits, 1)

    def size(x: Tensor) -> Tensor:
        return (x[0] - x[0].mean(0)).norm(dim=-1).mean()

    assert size(big_face) / size(face) == pytest.approx(1.2, abs=1e-3)
    assert size(big_left[:, 1:]) / size(left[:, 1:]) == pytest.approx(1.2, abs=0.04)
    torch.testing.assert_close(big_pose[:, 23:], pose[:, 23:])
    torch.testing.assert_close(big_joints[:, :22], joints[:, :22])
    eyes = slice(layout.LEFT_EYE, layout.RIGHT_EYE + 1)
    torch.testing.assert_close(big_joints[:, eyes].mean(1), joints[:, eyes].mean(1))


def some_samples(body: BodyModel, noise: NoiseBank, count: int = 8, seed: int = 3) -> LandmarkRays:
    return SampleMaker(body, None, noise, seed).draw(count)[0]


def test_features_do_not_depend_on_resolution_or_distance_in_the_picture(
    body: BodyModel, noise: NoiseBank
) -> None:
    seen = some_samples(body, noise)
    points = ("pose", "left_hand", "right_hand", "face")
    smaller = replace(seen, border=0.5 * seen.border, **{n: 0.5 * getattr(seen, n) for n in points})
    a, b = (encode(s, person_box(s)) for s in (seen, smaller))
    torch.testing.assert_close(a.pose, b.pose, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(a.face, b.face, atol=1e-4, rtol=1e-4)


def test_what_was_not_seen_leaves_no_trace(body: BodyModel, noise: NoiseBank) -> None:
    seen = some_samples(body, noise)
    none = torch.zeros_like(seen.left_confidence)
    blind = replace(seen, left_confidence=none, face_confidence=none)
    moved = replace(blind, left_hand=blind.left_hand + 5, face=blind.face - 3)
    a, b = (encode(s, person_box(s)) for s in (blind, moved))
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x, y)
    assert not a.left_hand.any()
    assert not a.face.any()


def test_a_picture_of_nobody_has_a_box_and_finite_features(
    body: BodyModel, noise: NoiseBank
) -> None:
    seen = some_samples(body, noise, 2)
    empty = LandmarkRays(**{f.name: torch.zeros_like(getattr(seen, f.name)) for f in fields(seen)})
    box = person_box(empty)
    assert all(torch.isfinite(x).all() for x in encode(empty, box))
    assert (box.size > 0).all()


def test_placing_is_exact_where_the_landmarks_are() -> None:
    generator = torch.Generator().manual_seed(0)
    points = 0.5 * torch.randn(6, 40, 3, generator=generator)
    truth = torch.tensor([0.3, -0.2, -4.0]) + torch.randn(6, 3, generator=generator) * 0.5
    rays = to_rays(points + truth[:, None])
    guess = torch.tensor([0.0, 0.0, -3.0]).expand(6, 3)
    found = place(points, rays, torch.ones(6, 40), guess)
    torch.testing.assert_close(found, truth, atol=1.5e-2, rtol=0)  # the guess keeps a tiny weight


def test_placing_shrugs_off_a_few_wild_landmarks_and_keeps_the_guess_without_any() -> None:
    generator = torch.Generator().manual_seed(1)
    points = 0.5 * torch.randn(3, 40, 3, generator=generator)
    truth = torch.tensor([[0.0, 0.1, -3.0]]).expand(3, 3)
    rays = to_rays(points + truth[:, None])
    rays[:, :5] += 0.5
    found = place(points, rays, torch.ones(3, 40), truth + 0.2)
    assert (found - truth).norm(dim=-1).max() < 0.05
    guess = torch.tensor([[0.1, 0.2, -2.0]]).expand(3, 3)
    torch.testing.assert_close(place(points, rays, torch.zeros(3, 40), guess), guess)


def test_the_network_is_small_and_starts_with_a_person_at_rest() -> None:
    network = LifterNetwork().eval()
    assert sum(p.numel() for p in network.parameters()) <= 3_000_000
    inputs = [
        torch.zeros(2, n) for n in (198, 8, layout.HAND_SIZE, layout.HAND_SIZE, layout.FACE_SIZE)
    ]
    out = network(*inputs)
    shapes = {n: tuple(getattr(out, n).shape) for n in layout.OUTPUT_NAMES}
    assert shapes == {
        "body": (2, 132),
        "betas": (2, 16),
        "scales": (2, 6),
        "camera": (2, 3),
        "left_fingers": (2, 90),
        "right_fingers": (2, 90),
        "actions": (2, 52),
        "gaze": (2, 4),
    }
    assert (out.actions < 0.1).all()
    upright_6d = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(22)
    assert (out.body - upright_6d).abs().max() < 0.3


def test_whitening_makes_small_and_large_directions_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([3.0, 1.0, 0.1])
    samples = torch.randn(5000, 3, generator=generator) * spread + 2
    white = Whitening(3)
    white.fit(samples, floor=1e-6)
    out = white(samples)
    torch.testing.assert_close(out.T @ out / 5000, torch.eye(3), atol=2e-3, rtol=0)


def test_shipped_weights_load_and_are_small(tmp_path: Path) -> None:
    network, recipe = load_network()
    assert recipe["samples"] > 1e5
    assert recipe["held_out"]
    path = tmp_path / "copy.safetensors"
    save_network(path, network, recipe)
    assert path.stat().st_size < 12e6
    again, same = load_network(path)
    assert same == recipe
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_weights_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_network(tmp_path / "nothing.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a tensor in sight")
    with pytest.raises(ValueError, match="not a readable safetensors"):
        load_network(broken)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="train again"):
        load_network(tmp_path / "other.safetensors")


def test_the_noise_bank_is_small_measured_and_checked(noise: NoiseBank, tmp_path: Path) -> None:
    path = tmp_path / "noise.npz"
    noise.save(path)
    assert path.stat().st_size < 500e3
    assert len(noise.body_key) > 300
    assert 0.4 < float(noise.world_gain[2]) < 0.9  # the detector flattens depth
    assert np.abs(noise.pose_offset).max() < 0.05
    np.savez(path, pose_offset=np.zeros((33, 3)))
    with pytest.raises(ValueError, match="world_gain"):
        NoiseBank.load(path)


def test_samples_repeat_with_their_seed_and_hide_what_the_picture_cuts_off(
    body: BodyModel, noise: NoiseBank
) -> None:
    first, second = (SampleMaker(body, None, noise, 7).draw(64) for _ in range(2))
    for f in fields(first[0]):
        assert torch.equal(getattr(first[0], f.name), getattr(second[0], f.name)), f.name
    seen, box, target = first
    confident = seen.pose_confidence > 0
    out_of_sight = target.in_sight[:, :33] == 0
    # Confusing left with right may move a confidence to a hidden partner, in a few samples.
    assert (confident & out_of_sight).float().mean() < 0.03
    assert (box.size > 0).all()
    assert 0.1 < target.face.mean() < 0.9
    pixels_off = (seen.pose - target.rays[:, :33]).norm(dim=-1)[confident] / box.size.mean()
    assert 0.001 < pixels_off.median() < 0.1


def test_perfect_samples_agree_with_their_targets(body: BodyModel, noise: NoiseBank) -> None:
    seen, _, target = SampleMaker(body, None, noise, 1, noisy=False).draw(16)
    shown = seen.pose_confidence > 0
    torch.testing.assert_close(seen.pose[shown], target.rays[:, :33][shown])


def test_sampled_poses_are_rotations_that_a_body_can_do(body: BodyModel) -> None:
    sampler = PoseSampler(None, torch.Generator().manual_seed(0))
    R = sampler.fingers(sampler.body(400))
    product = R @ R.transpose(-1, -2)
    torch.testing.assert_close(product, torch.eye(3).expand_as(R), atol=1e-5, rtol=0)
    knees = R[:, 4:6, 2, 1].asin()  # about x: knees bend one way only
    assert (knees > -0.3).all()
    actions = sampler.actions(400, body.arkit_names)
    assert actions.min() >= 0
    assert actions.max() <= 1
    assert (actions > 0).float().sum(1).mean() < 15


def test_mirroring_twice_and_facing_forward() -> None:
    R = rotations(5)[:, :22]
    torch.testing.assert_close(mirrored_rotations(mirrored_rotations(R)), R)
    forward = upright(R)[:, 0, :, 2]
    torch.testing.assert_close(forward[:, 0], torch.zeros(5), atol=1e-6, rtol=0)
    assert (forward[:, 2] > 0).all()


def test_procrustes_undoes_a_similarity() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 10, 3, generator=generator)
    R = rotations(4)[:, 0]
    moved = 1.7 * points @ R.transpose(1, 2) + 0.3
    torch.testing.assert_close(procrustes_align(points, moved), moved, atol=1e-4, rtol=0)
