"""Facial actions by name."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pear_avatar.body import arkit_weights, face_from_arkit
from pear_avatar.body.expressions import transfer_expression
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.rotations import matrix_to_axis_angle


def test_actions_become_expression_jaw_and_eyes(small_body):
    face = face_from_arkit(small_body, {"jawOpen": 0.5, "eyeLookUpLeft": 1.0})
    expected = 0.5 * small_body.arkit_coef[0] + small_body.arkit_coef[2]
    assert torch.allclose(face.expression, expected)
    pose = 0.5 * small_body.arkit_pose[0] + small_body.arkit_pose[2]
    assert torch.allclose(matrix_to_axis_angle(face.jaw), pose[:3])
    assert torch.allclose(matrix_to_axis_angle(face.right_eye), pose[6:])


def test_weights_take_batches_and_keep_the_order(small_body):
    weights = arkit_weights(small_body, {"mouthSmileLeft": torch.rand(4, 2), "jawOpen": 1.0})
    assert weights.shape == (4, 2, 3)
    assert bool((weights[..., 0] == 1).all())
    assert bool((weights[..., 2] == 0).all())
    assert face_from_arkit(small_body, weights).expression.shape == (4, 2, 5)


def test_apply_sets_only_jaw_and_eyes(small_body):
    face = face_from_arkit(small_body, torch.rand(2, 3, dtype=torch.float64))
    rotations = torch.eye(3, dtype=torch.float64).expand(55, 3, 3)
    out = face.apply(rotations)
    assert out.shape == (2, 55, 3, 3)
    assert torch.equal(out[:, JOINT_INDEX["jaw"]], face.jaw)
    changed = [JOINT_INDEX[n] for n in ("jaw", "left_eye", "right_eye")]
    kept = [j for j in range(55) if j not in changed]
    assert torch.equal(out[:, kept], rotations[kept].expand(2, -1, -1, -1))


def test_unknown_names_and_sizes_are_refused(small_body):
    with pytest.raises(ValueError, match="jawopen"):
        arkit_weights(small_body, {"jawopen": 1.0})
    with pytest.raises(ValueError, match=r"\(\*B, 3\), got \(51,\)"):
        face_from_arkit(small_body, torch.zeros(51))


def test_an_expression_goes_to_another_body_by_its_actions(small_body):
    other = replace(
        small_body,
        expression_dirs=torch.rand(80, 3, 4, dtype=torch.float64),
        arkit_coef=torch.rand(3, 4, dtype=torch.float64),
    )
    weights = torch.tensor([[0.2, 0.0, 1.0], [0.7, 0.5, 0.1]], dtype=torch.float64)
    moved = transfer_expression(weights @ small_body.arkit_coef, small_body, other)
    assert torch.allclose(moved, weights @ other.arkit_coef)
    # Fewer coefficients than the body has stand for zeros, and no action goes beyond its range.
    assert transfer_expression(torch.zeros(2, 1), small_body, other).abs().max() == 0
    strong = transfer_expression(9 * weights @ small_body.arkit_coef, small_body, other)
    assert strong.max() <= other.arkit_coef.sum(0).max() + 1e-9
