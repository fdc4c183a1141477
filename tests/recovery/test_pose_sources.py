"""Two sources behind one call: the lifter, and a PEAR network of random weights."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import pytest
import torch
from fake_source import ehm
from pear_weights import TINY, backbone_shapes, head_shapes, random_weights

from pear_avatar.geometry.cameras import default_world_camera, intrinsics, project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.recovery.pear.checkpoint import load_checkpoint
from pear_avatar.recovery.pear.engine import PearEngine
from pear_avatar.recovery.pear.output import crop_cameras
from pear_avatar.recovery.pear.pear_model import PearModel
from pear_avatar.recovery.sources import PearSource, through_lens
from pear_avatar.types import BodyParams, Camera, ClipDetections

WIDTH, HEIGHT = 640, 480


def camera() -> Camera:
    return Camera(intrinsics(700.0, WIDTH, HEIGHT), default_world_camera(), WIDTH, HEIGHT)


def boxes(*rows: tuple[float, float, float, float]) -> ClipDetections:
    """Detections of which only the boxes matter."""
    n = len(rows)
    return ClipDetections(
        frame_index=np.arange(n),
        time=np.arange(n) / 25,
        pose_px=np.zeros((n, 33, 2)),
        pose_confidence=np.zeros((n, 33)),
        pose_world=np.zeros((n, 33, 3)),
        left_hand_px=np.zeros((n, 21, 2)),
        left_hand_confidence=np.zeros(n),
        right_hand_px=np.zeros((n, 21, 2)),
        right_hand_confidence=np.zeros(n),
        face_px=np.zeros((n, 478, 2)),
        face_confidence=np.zeros(n),
        box_xyxy=np.array(rows, np.float32),
        trusted=np.ones(n, bool),
        reason=np.array([""] * n),
        width=WIDTH,
        height=HEIGHT,
    )


@pytest.mark.parametrize("left", [60.0, 220.0, 400.0])
def test_an_ordinary_lens_sees_the_person_where_the_long_one_did(left: float) -> None:
    squares = torch.tensor([[left, 100.0, 200.0]])
    crops = crop_cameras(squares, WIDTH, HEIGHT)
    rotations = torch.eye(3).expand(1, 55, 3, 3).clone()
    rotations[:, 0] = axis_angle_to_matrix(torch.tensor([0.1, 0.8, 0.0]))
    rotations[:, 16] = axis_angle_to_matrix(torch.tensor([0.0, 0.0, -1.2]))
    params = BodyParams(
        torch.zeros(1, 4), torch.zeros(1, 4), rotations, torch.tensor([[0.05, 0.1, -24.0]])
    )
    shaped = ehm().shape(params.betas)
    moved = through_lens(params, shaped.joints[:, 0], crops, camera())
    before = project(crops, shaped.pose(params.rotations, params.transl).joints)[0]
    after = project(camera(), shaped.pose(moved.rotations, moved.transl).joints)[0]
    assert (before[:, 0] - after[:, 0]).abs().max() < 1e-2  # the pelvis, exactly
    # Perspective bends the rest: the body is 0.6 m deep and about 6 m away, 200 px tall.
    assert (before - after).norm(dim=-1)[:, :22].max() < 14.0
    assert 4.0 < float(-moved.transl[0, 2]) < 9.0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> PearSource:
    """A tiny network that predicts the open body's coefficients."""
    path = tmp_path_factory.mktemp("pear") / "tiny.pt"
    sizes = dict(TINY)
    weights = {
        "backbone": random_weights(backbone_shapes(128, 2), 0),
        "head": random_weights(head_shapes(128, **sizes), 1),
    }
    torch.save(weights, path)
    return PearSource(PearModel(PearEngine(load_checkpoint(path)), ehm()))


def test_every_row_gets_a_person_also_where_nobody_was_found(source: PearSource) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    seen = boxes((100, 50, 300, 450), (0, 0, 0, 0), (350, 80, 500, 400))
    found = source.recover(repeat(rgb, 3), seen, camera())
    assert found.params.rotations.shape == (3, 55, 3, 3)
    assert found.proportions.head_scale.shape == (3, 3)
    assert found.camera.K.shape == (3, 3)
    assert all(torch.isfinite(v).all() for v in vars(found.params).values())
    assert (found.params.transl[:, 2] < 0).all()


def test_a_clip_has_one_shape_and_a_body_that_takes_its_expression(source: PearSource) -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    seen = boxes(*[(100.0 + 5 * t, 50.0, 300.0 + 5 * t, 450.0) for t in range(18)])
    found = source.recover_clip(repeat(rgb, 18), seen, camera())
    assert found.params.betas.dim() == 1
    assert found.proportions.head_scale.shape == (3,)
    person = source.body.person(found.proportions)
    frame = found.params[3]
    posed = person.shape(frame.betas, frame.expression).pose(frame.rotations, frame.transl)
    assert torch.isfinite(posed.vertices()).all()
