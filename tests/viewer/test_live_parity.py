"""The page's landmark lifter against Python's, on recorded landmark frames."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_quat_wxyz
from pear_avatar.perception.assemble import judged_detections
from pear_avatar.perception.detectors import FrameDetection
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.raw import raw_frame, stack_frames
from pear_avatar.recovery.lifter.lifter import LiftedClip, Lifter
from pear_avatar.types import ClipDetections
from pear_avatar.live.web_model import live_model

VIEWER = Path(__file__).parents[2] / "viewer"
WIDTH, HEIGHT, FRAMES = 640, 480, 200


def record_frames(lifter: Lifter, count: int) -> list[FrameDetection]:
    """People who turn, bend and gesture before the camera, with noise; parts come and go."""
    random = torch.Generator().manual_seed(3)
    body = lifter.body
    sets = [f"mediapipe_{name}" for name in ("pose", "left_hand", "right_hand", "face")]
    frames = []
    for i in range(count):
        turns = 0.25 * torch.randn(55, 3, generator=random)
        turns[0] = torch.tensor([0.1, 1.2 * float(torch.randn((), generator=random)), 0.1])
        for side, sign in (("left", -1.0), ("right", 1.0)):
            turns[JOINT_INDEX[f"{side}_shoulder"], 2] += sign * 0.9
        place = torch.tensor([0.3 * np.sin(i), 0.1 - (i % 3), -2.0 - 0.5 * (i % 5)], dtype=torch.float32)
        shaped = body.shape(torch.randn(16, generator=random) * 0.7)
        posed = shaped.pose(axis_angle_to_matrix(turns), place)
        points = [posed.landmarks(s) for s in sets]
        frames.append(_detection(points, i, random))
    return frames


def _detection(points: list[torch.Tensor], i: int, random: torch.Generator) -> FrameDetection:
    def pixels(world: torch.Tensor) -> np.ndarray:
        ray = world[:, :2] / -world[:, 2:]
        seen = ray * torch.tensor([1.0, -1.0]) * 1.1 * WIDTH + torch.tensor([WIDTH, HEIGHT]) / 2
        noise = torch.randn(seen.shape, generator=random)
        array: np.ndarray = (seen + 0.7 * noise).numpy().astype(np.float32)
        return array

    pose, left, right, face = points
    visible = torch.rand(33, 1, generator=random).sqrt().numpy()
    world = (pose - pose[23:25].mean(0)) * torch.tensor([1.0, -1.0, -1.0])
    return FrameDetection(
        pose=np.concatenate([pixels(pose), visible], 1).astype(np.float32),
        pose_world=world.numpy().astype(np.float32),
        left_hand=pixels(left) if i % 4 else None,
        right_hand=pixels(right) if i % 3 else None,
        face=pixels(face) if i % 5 else None,
    )


def _judge(index: int, frame: FrameDetection) -> ClipDetections:
    blank = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return judged_detections(JudgedClip(stack_frames([raw_frame(index, index / 30, blank, frame)])))


def _message(frame: FrameDetection, seen: ClipDetections, lifted: LiftedClip) -> dict[str, Any]:
    def numbers(values: np.ndarray | torch.Tensor | None) -> list[float] | None:
        return None if values is None else np.asarray(values, np.float64).ravel().tolist()

    params = lifted.params[0]
    trust = (seen.pose_confidence[0], seen.left_hand_confidence, seen.right_hand_confidence)
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "pose": numbers(frame.pose),
        "world": numbers(frame.pose_world),
        "left_hand": numbers(frame.left_hand),
        "right_hand": numbers(frame.right_hand),
        "face": numbers(frame.face),
        # Every other face comes with the detector's actions: both ways are compared.
        "actions": numbers(seen.face_actions[0]) if seen.face_actions is not None else None,
        "expected": {
            "rotations": numbers(matrix_to_quat_wxyz(params.rotations.double())),
            "transl": numbers(params.transl),
            "betas": numbers(params.betas),
            "actions": numbers(lifted.actions[0]),
            "headScale": numbers(lifted.proportions.head_scale[0]),
            "handScale": numbers(lifted.proportions.hand_scale[0]),
            "trust": numbers(np.concatenate([*trust, seen.face_confidence])),
        },
    }


def test_the_page_lifts_as_python_does(tmp_path: Path) -> None:
    """Rotations, shape, place, face and refusals within 1e-3 on 200 frames."""
    if shutil.which("npx") is None or not (VIEWER / "node_modules" / "vitest").is_dir():
        pytest.skip("Node or viewer/node_modules is missing: `make viewer-tools` gets what it can")
    lifter = Lifter.load()
    messages = []
    for i, frame in enumerate(record_frames(lifter, FRAMES)):
        seen = _judge(i, frame)
        messages.append(_message(frame, seen, lifter.lift(seen)))
    trusts = np.array([m["expected"]["trust"][-3:] for m in messages])
    assert (0.1 < (trusts > 0).mean(0)).all()
    assert ((trusts > 0).mean(0) < 0.9).all()
    (tmp_path / "frames.json").write_text(json.dumps(messages), "utf-8")
    (tmp_path / "model.bin").write_bytes(live_model(lifter))
    done = subprocess.run(
        ["npx", "vitest", "run", "test/live.test.ts"],
        cwd=VIEWER, env=os.environ | {"PEAR_LIVE_FIXTURE": str(tmp_path)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "1 passed" in done.stdout
