"""The lifter from detections to bodies, and its training from one command."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from footage import DATA

from pear_avatar.body import BodyModel, face_from_arkit, load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.evaluation.metrics import procrustes_align
from pear_avatar.geometry.cameras import default_world_camera, intrinsics, look_at, project
from pear_avatar.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from pear_avatar.recovery.lifter import Lifter
from pear_avatar.synthesis.poses import HELD_OUT, PosePool, load_pool
from pear_avatar.training.lifter import train
from pear_avatar.training.lifter.losses import resting_body
from pear_avatar.types import BodyParams, Camera, ClipDetections

WIDTH, HEIGHT = 720, 960


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return Lifter.load()


def camera() -> Camera:
    return Camera(intrinsics(1.1 * HEIGHT, WIDTH, HEIGHT), default_world_camera(), WIDTH, HEIGHT)


def people(count: int = 6) -> BodyParams:
    """Relaxed people facing about the camera, four metres off."""
    generator = torch.Generator().manual_seed(4)
    R = torch.eye(3).repeat(count, 55, 1, 1)
    R[:, :22] = resting_body() @ axis_angle_to_matrix(
        0.15 * torch.randn(count, 22, 3, generator=generator)
    )
    transl = torch.tensor([0.1, 0.0, -4.0]).expand(count, 3)
    return BodyParams(torch.zeros(count, 10), torch.zeros(count, 52), R, transl)


def detect(body: BodyModel, params: BodyParams, seen_by: Camera) -> ClipDetections:
    """What a perfect detector would report."""
    N = params.num_frames
    posed = body.shape(params.betas, params.expression).pose(params.rotations, params.transl)
    marks = posed.landmarks_many(
        "mediapipe_pose", "mediapipe_left_hand", "mediapipe_right_hand", "mediapipe_face"
    )
    pose, left, right, face = (project(seen_by, m)[0].numpy() for m in marks)
    in_camera = marks[0] @ seen_by.T_camera_world[:3, :3].T
    world = (in_camera - in_camera[:, 23:25].mean(1, keepdim=True)).numpy()
    one = np.ones(N, np.float32)
    return ClipDetections(
        frame_index=np.arange(N),
        time=np.arange(N) / 30,
        pose_px=pose,
        pose_confidence=np.ones((N, 33), np.float32),
        pose_world=world.astype(np.float32),
        left_hand_px=left,
        left_hand_confidence=one,
        right_hand_px=right,
        right_hand_confidence=one,
        face_px=face,
        face_confidence=one,
        box_xyxy=np.zeros((N, 4), np.float32),
        trusted=np.ones(N, bool),
        reason=np.full(N, ""),
        width=WIDTH,
        height=HEIGHT,
    )


def joints(body: BodyModel, params: BodyParams) -> torch.Tensor:
    return body.shape(params.betas).pose(params.rotations, params.transl).joints[:, :22]


def test_people_are_lifted_close_to_the_truth(lifter: Lifter, body: BodyModel) -> None:
    truth = people()
    lifted = lifter.lift(detect(body, truth, camera()), camera())
    a, b = joints(body, lifted.params), joints(body, truth)
    rooted = ((a - a[:, :1]) - (b - b[:, :1])).norm(dim=-1).mean()
    assert rooted < 0.075  # metres; depth is the lifter's experience, not measured
    assert (procrustes_align(a, b) - b).norm(dim=-1).mean() < 0.05
    facing = geodesic_angle(lifted.params.rotations[:, 0], truth.rotations[:, 0])
    assert facing.max() < 0.35
    assert (lifted.params.transl - truth.transl).norm(dim=-1).max() < 0.6


def test_shapes_are_as_promised_for_stills_and_clips(lifter: Lifter, body: BodyModel) -> None:
    for count in (1, 5):
        lifted = lifter.lift(detect(body, people(count), camera()))
        assert lifted.params.betas.shape == (count, 16)
        assert lifted.shared.betas.shape == (16,)
        assert lifted.params.rotations.shape == (count, 55, 3, 3)
        assert lifted.params.expression.shape == (count, 52)
        assert lifted.proportions.head_scale.shape == (count, 3)
        assert lifted.shared_proportions.hand_scale.shape == (3,)
        assert lifted.actions.shape == (count, 52)
        assert lifted.camera.K.shape == (count, 3, 3)
        assert lifted.confidence.body.shape == (count,)


def test_frames_do_not_know_of_each_other(lifter: Lifter, body: BodyModel) -> None:
    clip = detect(body, people(4), camera())
    alone = lifter.lift(clip[2:3]).params
    together = lifter.lift(clip).params[2:3]
    torch.testing.assert_close(alone.rotations, together.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone.transl, together.transl, atol=1e-4, rtol=0)


def test_hands_and_faces_that_nobody_saw_stay_neutral(lifter: Lifter, body: BodyModel) -> None:
    clip = detect(body, people(), camera())
    none = np.zeros(clip.num_frames, np.float32)
    lifted = lifter.lift(replace(clip, left_hand_confidence=none, face_confidence=none))
    fingers = lifted.params.rotations[:, 25:40]
    assert torch.equal(fingers, fingers[:1].expand_as(fingers))
    eye = torch.eye(3).expand_as(fingers)
    assert geodesic_angle(fingers, eye).max() < 0.4  # slightly curled
    assert not lifted.params.expression.any()
    face = lifted.params.rotations[:, 22:25]
    torch.testing.assert_close(face, torch.eye(3).expand_as(face))
    assert not lifted.confidence.left_hand.any()
    assert lifted.confidence.right_hand.all()


def test_facial_actions_that_the_detector_saw_are_taken(lifter: Lifter, body: BodyModel) -> None:
    found = detect(body, people(2), camera())
    actions = np.zeros((2, 52), np.float32)
    actions[0, body.arkit_names.index("mouthPucker")] = 0.9
    actions[0, body.arkit_names.index("eyeLookUpLeft")] = 0.5
    own = lifter.lift(found, camera())
    lifted = lifter.lift(replace(found, face_actions=actions), camera())
    np.testing.assert_allclose(lifted.actions[0], actions[0], atol=1e-6)
    np.testing.assert_array_equal(lifted.actions[1], own.actions[1])
    turn = face_from_arkit(body, torch.from_numpy(actions[0])).left_eye
    torch.testing.assert_close(lifted.params.rotations[0, JOINT_INDEX["left_eye"]], turn)


def test_a_picture_of_nobody_gives_a_finite_body_without_confidence(
    lifter: Lifter, body: BodyModel
) -> None:
    clip = detect(body, people(2), camera())
    empty = {
        f.name: np.zeros_like(getattr(clip, f.name))
        for f in fields(clip)
        if f.name.endswith(("_px", "_confidence", "_world"))
    }
    lifted = lifter.lift(replace(clip, **empty))
    assert all(torch.isfinite(getattr(lifted.params, f.name)).all() for f in fields(lifted.params))
    assert not lifted.confidence.body.any()


def test_the_world_is_the_cameras(lifter: Lifter, body: BodyModel) -> None:
    clip = detect(body, people(), camera())
    T = look_at(torch.tensor([2.0, 1.0, 3.0]), torch.tensor([0.0, 0.5, 0.0]))
    moved = lifter.lift(clip, replace(camera(), T_camera_world=T)).params
    plain = lifter.lift(clip, camera()).params

    def seen(params: BodyParams, T_camera_world: torch.Tensor) -> torch.Tensor:
        return joints(body, params) @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]

    torch.testing.assert_close(
        seen(moved, T), seen(plain, default_world_camera()), atol=1e-4, rtol=0
    )


def test_a_camera_of_other_pictures_is_refused(lifter: Lifter, body: BodyModel) -> None:
    clip = detect(body, people(2), camera())
    with pytest.raises(ValueError, match="720 x 960"):
        lifter.lift(clip, replace(camera(), width=100))
    three = replace(camera(), K=camera().K.expand(3, 3, 3))
    with pytest.raises(ValueError, match=r"one per frame \(2\)"):
        lifter.lift(clip, three)


def test_training_runs_saves_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    recipe = train.Recipe(minutes=0.002, batch=16, whitening_samples=400, score_samples=60)
    trainer = train.Trainer(recipe, None)
    assert "choreography only" in trainer.source
    out, checkpoint = tmp_path / "out.safetensors", tmp_path / "out.checkpoint.pt"
    scores = trainer.run(out, checkpoint)
    assert np.isfinite(scores["all/mpjpe"])
    fresh = Lifter.load(out)
    assert fresh.recipe["steps"] == trainer.progress.step >= 1
    again = train.Trainer(recipe, None)
    again.resume(checkpoint)
    assert again.progress.step == trainer.progress.step
    for a, b in zip(trainer.averaged.parameters(), again.averaged.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_learns(tmp_path: Path) -> None:
    recipe = train.Recipe(batch=64, warmup_steps=5, whitening_samples=800, score_samples=60)
    trainer = train.Trainer(recipe, None)
    joints = [float(trainer.step()["joints"]) for _ in range(40)]
    assert np.mean(joints[-5:]) < 0.7 * np.mean(joints[:3])


@pytest.mark.data
def test_held_out_clips_are_kept_apart(body: BodyModel) -> None:
    folder = DATA / "mocap"
    if not folder.is_dir():
        pytest.skip(f"motion capture not found at {folder}; set PEAR_AVATAR_DATA")
    seen, unseen = (load_pool(body, folder, held_out=h) for h in (False, True))
    assert isinstance(seen, PosePool)
    assert isinstance(unseen, PosePool)
    assert not any(name in seen.source for name in HELD_OUT)
    assert all(name in unseen.source for name in HELD_OUT)
    assert seen.count > unseen.count > 200


@pytest.mark.data
def test_a_real_person_is_lifted_onto_their_landmarks(lifter: Lifter, body: BodyModel) -> None:
    picture = DATA / "stills" / "yoga_warrior.jpg"
    if not picture.is_file():
        pytest.skip(f"picture not found at {picture}; set PEAR_AVATAR_DATA")
    from pear_avatar.perception import detect_clip

    clip, _ = detect_clip(picture)
    lifted = lifter.lift(clip)
    posed = body.shape(lifted.params.betas).pose(lifted.params.rotations, lifted.params.transl)
    px = project(lifted.camera, posed.landmarks("mediapipe_pose"))[0][0].numpy()
    limbs = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    height = 0.75 * np.ptp(clip.pose_px[0, :, 0])  # arms stretched out: a bit more than the height
    assert np.linalg.norm(px - clip.pose_px[0], axis=1)[limbs].mean() < 0.04 * height
