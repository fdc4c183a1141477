"""Metrics of recovered people against naive twins, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pear_avatar.body import load_body
from pear_avatar.evaluation.human_mesh import (
    Score,
    acceleration_error,
    accelerations,
    align_procrustes,
    align_root,
    best_similarity,
    box_length,
    lip_vertex_error,
    mean_distance,
    mean_landmark_error,
    mpjpe,
    pa_mpjpe,
    pa_pve,
    pck,
    pve,
    torso_length,
)
from pear_avatar.evaluation.human_mesh.part_errors import parts_by_skinning


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed)).double()


def naive_procrustes(x: np.ndarray, y: np.ndarray, with_scale: bool, w: np.ndarray) -> np.ndarray:
    """One sample: the rotation by scipy's solver, scale and shift by their normal equations."""
    xm, ym = np.average(x, axis=0, weights=w), np.average(y, axis=0, weights=w)
    R, _ = Rotation.align_vectors(y - ym, x - xm, weights=w)
    turned = R.apply(x - xm)
    scale = 1.0
    if with_scale:
        scale = (w[:, None] * turned * (y - ym)).sum() / (w[:, None] * turned**2).sum()
    return scale * turned + ym


@pytest.mark.parametrize("with_scale", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_procrustes_equals_a_naive_twin(with_scale: bool, weighted: bool) -> None:
    x, y = points(2, 3, 9), points(2, 3, 9, seed=1)
    weight = torch.rand(2, 3, 9, generator=torch.Generator().manual_seed(2)).double()
    weight = weight if weighted else torch.ones_like(weight)
    found = align_procrustes(x, y, with_scale=with_scale, weight=weight if weighted else None)
    for i in range(2):
        for j in range(3):
            twin = naive_procrustes(
                x[i, j].numpy(), y[i, j].numpy(), with_scale, weight[i, j].numpy()
            )
            np.testing.assert_allclose(found[i, j].numpy(), twin, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 10**6), st.integers(3, 20))
def test_procrustes_undoes_any_similarity(scale: float, seed: int, count: int) -> None:
    x = points(count, seed=seed)
    R = torch.from_numpy(Rotation.random(random_state=seed % 1000).as_matrix())
    y = scale * x @ R.T + points(1, seed=seed + 1)
    found = best_similarity(x, y)
    assert abs(float(found.scale) / scale - 1) < 1e-7
    torch.testing.assert_close(found(x), y, rtol=1e-7, atol=1e-7 * scale)
    rigid = best_similarity(y, x, with_scale=False)
    assert float(rigid.scale) == 1.0


def test_a_mirror_image_is_not_the_same_person() -> None:
    x = points(4, 30)
    mirrored = x * torch.tensor([-1.0, 1.0, 1.0])
    found = best_similarity(x, mirrored)
    torch.testing.assert_close(torch.linalg.det(found.R), torch.ones(4).double())
    assert (pa_mpjpe(x, mirrored) > 0.3).all()


def test_flat_and_collapsed_points_stay_finite() -> None:
    flat = points(12) * torch.tensor([1.0, 1.0, 0.0])
    R = torch.from_numpy(Rotation.from_euler("xyz", [0.3, 1.0, -2]).as_matrix())
    assert float(pa_mpjpe(flat, flat @ R.T)) < 1e-9
    collapsed = torch.zeros(5, 3).double()
    assert math.isfinite(float(pa_mpjpe(collapsed, points(5))))


def test_invalid_joints_move_nothing() -> None:
    x, y = points(6, 14), points(6, 14, seed=3)
    valid = torch.ones(6, 14, dtype=torch.bool)
    valid[:, [3, 8]] = False
    wild = x.clone()
    wild[:, [3, 8]] = 1e3
    torch.testing.assert_close(pa_mpjpe(x, y, valid), pa_mpjpe(wild, y, valid))
    torch.testing.assert_close(mpjpe(x, y, 0, valid), mpjpe(wild, y, 0, valid))
    keep = valid[0]
    torch.testing.assert_close(mpjpe(x, y, 0, valid), mpjpe(x[:, keep], y[:, keep], 0))
    nothing = mean_distance(x, y, torch.zeros(6, 14, dtype=torch.bool))
    assert nothing.isnan().all()


def test_mpjpe_equals_loops() -> None:
    x, y = points(2, 14), points(2, 14, seed=1)
    for root in (0, (2, 3)):
        index = [root] if isinstance(root, int) else list(root)
        for i in range(2):
            a, b = x[i].numpy(), y[i].numpy()
            a = a - a[index].mean(0) + b[index].mean(0)
            twin = np.mean([np.sqrt(((p - q) ** 2).sum()) for p, q in zip(a, b, strict=True)])
            assert float(mpjpe(x, y, root)[i]) == pytest.approx(twin, rel=1e-12)


def test_parts_of_meshes_are_aligned_alone() -> None:
    y = points(2, 50)
    x = y.clone()
    hand = torch.arange(10, 20)
    x[:, 10:20] += torch.tensor([0.0, 0.1, 0.0])  # a hand in the wrong place, well shaped
    assert float(pa_pve(x, y, hand).max()) < 1e-9
    root = y[:, 0]
    torch.testing.assert_close(pve(x, y, root, root), torch.full((2,), 0.02).double())
    torch.testing.assert_close(pve(x, y, root, root, hand), torch.full((2,), 0.1).double())
    wrist = torch.tensor([0.0, 0.1, 0.0])
    assert float(pve(x, y, root + wrist, root, hand).max()) < 1e-12
    assert (pa_pve(x, y) > 0).all()
    moved = align_root(x, y, root, root + 1)
    torch.testing.assert_close(moved, x + 1)


def test_face_errors() -> None:
    y = points(3, 4)
    x = y.clone()
    x[0, 2, 1] += 0.01
    x[0, 3, 0] += 0.02
    torch.testing.assert_close(mean_landmark_error(x, y)[0], torch.tensor(0.0075).double())
    torch.testing.assert_close(lip_vertex_error(x, y)[0], torch.tensor(4e-4).double())
    assert lip_vertex_error(x, y)[1:].max() == 0


def test_pck_counts_what_is_visible() -> None:
    truth = torch.zeros(2, 4, 2)
    guess = torch.tensor([[[5.0, 0], [5.1, 0], [0, 3], [float("nan"), 0]], [[9.0, 0]] * 4])
    visible = torch.tensor([[True, True, False, True], [False] * 4])
    length = torch.tensor([100.0, 0.0])
    score = pck(guess, truth, visible, length, 0.05)
    assert score == Score(1, 3)
    assert score.share == pytest.approx(1 / 3)
    assert (score + Score(2, 2)).share == pytest.approx(0.6)
    assert math.isnan(Score(0, 0).share)
    with pytest.raises(ValueError, match="positive"):
        pck(guess, truth, ~visible, length, 0.05)


def test_reference_lengths() -> None:
    boxes = torch.tensor([[0.0, 10, 30, 80], [0, 0, 50, 40]])
    assert box_length(boxes).tolist() == [70, 50]
    keypoints = torch.tensor([[[0.0, 0], [3, 4]]])
    assert float(torso_length(keypoints, 0, 1)) == 5


def test_acceleration_error_equals_loops() -> None:
    x, y = points(7, 5), points(7, 5, seed=1)
    errors = []
    for t in range(1, 6):
        a = [x[t + 1, j] - 2 * x[t, j] + x[t - 1, j] for j in range(5)]
        b = [y[t + 1, j] - 2 * y[t, j] + y[t - 1, j] for j in range(5)]
        errors.append(np.mean([float((p - q).norm()) for p, q in zip(a, b, strict=True)]))
    assert float(acceleration_error(x, y)) == pytest.approx(np.mean(errors), rel=1e-12)
    assert float(acceleration_error(x, y, fps=30)) == pytest.approx(900 * np.mean(errors))
    valid = torch.tensor([True, True, True, False, True, True, True])
    kept = [errors[0], errors[4]]
    assert float(acceleration_error(x, y, valid)) == pytest.approx(np.mean(kept), rel=1e-12)
    assert math.isnan(float(acceleration_error(x, y, torch.zeros(7, dtype=torch.bool))))
    steady = torch.arange(7.0)[:, None, None] * points(1, 5, seed=4)
    assert float(accelerations(steady).abs().max()) < 1e-12


def test_bad_shapes_are_told() -> None:
    with pytest.raises(ValueError, match=r"\(\*B, P, 3\), got \(4, 3\) and \(5, 3\)"):
        mean_distance(points(4), points(5))
    with pytest.raises(ValueError, match="at least 3 points, got 2"):
        pa_mpjpe(points(2), points(2))
    with pytest.raises(ValueError, match="a sample has none"):
        pa_mpjpe(points(4), points(4), torch.zeros(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="N >= 3"):
        accelerations(points(2, 4))
    with pytest.raises(ValueError, match=r"\(\*B, K, 2\)"):
        pck(points(4), points(4), torch.ones(4, dtype=torch.bool), torch.tensor(1.0), 0.1)


def test_parts_of_the_open_body() -> None:
    body = load_body()
    parts = parts_by_skinning(body)
    rest = body.v_template
    joints = body.joint_template
    # The person's left is +x; hands lie beyond the wrists of the T-pose, the face above the neck.
    assert (rest[parts.left_hand, 0] > joints[20, 0] - 0.03).all()
    assert (rest[parts.right_hand, 0] < joints[21, 0] + 0.03).all()
    assert (rest[parts.face, 1] > joints[12, 1] - 0.02).all()
    assert abs(len(parts.left_hand) - len(parts.right_hand)) <= 0.02 * len(parts.left_hand)
