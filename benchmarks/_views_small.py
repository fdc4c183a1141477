"""A small version of the views benchmark for a test: half a minute, no detector, no tracker.

A synthetic person turns by 40 degrees to one side in a few small pictures. The joint fit starts
from the true motion with small smooth errors, so that what is measured is what the fit makes of
sides that it was not shown.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks._views_film import pose_rotations, true_view
from benchmarks._views_measure import Figures, draw_view, grouped, measure_view
from pear_avatar.body import BodyModel, load_body
from pear_avatar.evaluation.perceptual import load_perceptual
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.frames import FrameSet, carry_color_outwards
from pear_avatar.fitting.run import FitOutcome, run_fit
from pear_avatar.geometry.cameras import default_world_camera, intrinsics, project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.synthesis import CAST, draw_person, dress_person
from pear_avatar.synthesis.person import Person
from pear_avatar.types import BodyParams, Camera, ClipDetections, Motion, Track

BASELINE = Path(__file__).parent / "baselines" / "views_small.json"
PERSON = "elif"
#: each figure may be this much worse than the baseline, in its own unit
TOLERANCE = {"psnr": 0.5, "perceptual": 0.012, "iou": 0.015}
_WIDTH, _HEIGHT, _FRAMES = 192, 320, 12
_AWAY = -3.4
_CONFIG = FittingConfig(
    crop_size=_HEIGHT,
    num_splats=20000,
    silhouette_steps=100,
    joint_steps=420,
    refit_steps=1,
    refit_frames=1,
    perceptual_frames=1,
    find_occluders=False,
)
_VIEWS = (("down", 0), ("down", 45), ("down", -45), ("down", 90), ("down", -90), ("down", 180),
          ("head", 0), ("head", 45), ("head", -45), ("head", 90), ("head", 180))  # fmt: skip


def run_small(folder: Path, config: FittingConfig = _CONFIG) -> Figures:
    """Film, fit and measure; ``folder`` takes the checkpoint."""
    body, person = load_body(), dress_person(load_body(), CAST[PERSON])
    outcome = _fit(body, person, folder, config)
    return measure_small(body, person, outcome)


def measure_small(body: BodyModel, person: Person, outcome: FitOutcome) -> Figures:
    """The grouped figures of a fit's avatar beside the truth."""
    metric = load_perceptual(torch.device("cpu"))
    views = [true_view(body, person, name, yaw) for name, yaw in _VIEWS]
    return grouped([(v, measure_view(draw_view(outcome.avatar, v), v, metric)) for v in views])


def compare(figures: Figures, baseline: Figures) -> list[str]:
    """A line for each figure that is worse than the baseline by more than its tolerance."""
    worse = []
    for name, before in baseline.items():
        kind = name.split()[-1]
        loss = (figures[name] - before) * (1 if kind == "perceptual" else -1)
        if loss > TOLERANCE[kind]:
            worse.append(f"{name}: {figures[name]:.3f}, was {before:.3f}")
    return worse


def load_baseline() -> Figures:
    """The committed figures."""
    baseline: Figures = json.loads(BASELINE.read_text(encoding="utf-8"))
    return baseline


def _motion(body: BodyModel, person: Person) -> BodyParams:
    """Arms that open while the person turns by 40 degrees."""
    rotations = torch.stack([pose_rotations("down", yaw) for yaw in np.linspace(-8, 40, _FRAMES)])
    lift = torch.zeros(_FRAMES, 55, 3)
    lift[:, 16, 2] = torch.linspace(0.1, 0.5, _FRAMES)
    lift[:, 17, 2] = -lift[:, 16, 2]
    transl = torch.tensor([0.0, 0.25, _AWAY]).repeat(_FRAMES, 1)
    expression = torch.zeros(_FRAMES, body.num_expression)
    return BodyParams(
        torch.from_numpy(person.betas),
        expression,
        rotations @ axis_angle_to_matrix(lift),
        transl,
    )


def _film(person: Person, body: BodyModel, params: BodyParams) -> FrameSet:
    """Small pictures over grey, with exact masks; every fifth is held out."""
    K = intrinsics(1.55 * _HEIGHT, _WIDTH, _HEIGHT).expand(_FRAMES, 3, 3).contiguous()
    T = default_world_camera().expand(_FRAMES, 4, 4).contiguous()
    camera = Camera(K, T, _WIDTH, _HEIGHT)
    shaped = body.shape(params.betas)
    with torch.no_grad():
        transforms = shaped.pose(params.rotations, params.transl).rest_to_posed.numpy()
    images, masks = [], []
    for i in range(_FRAMES):
        vertices = person.pose(transforms[i], params.expression[i].numpy())
        color, alpha = draw_person(person, vertices, camera[i])
        images.append(((color + 0.5 * (1 - alpha[..., None])).clip(0, 1) * 255).astype(np.uint8))
        masks.append((alpha * 255).astype(np.uint8))
    targets = [carry_color_outwards(i, m) for i, m in zip(images, masks, strict=True)]
    split = np.zeros(_FRAMES, np.int8)
    split[2::5] = 1
    return FrameSet(
        images=np.stack(images),
        targets=np.stack(targets),
        masks=np.stack(masks),
        valid=np.full((_FRAMES, _HEIGHT, _WIDTH), 255, np.uint8),
        camera=camera,
        row=np.arange(_FRAMES),
        split=split,
    )


def _detections(body: BodyModel, params: BodyParams, camera: Camera) -> ClipDetections:
    """The body's own pose landmarks; no hands, no face."""
    posed = body.shape(params.betas).pose(params.rotations, params.transl)
    px = project(camera, posed.landmarks("mediapipe_pose"))[0].numpy()
    n, hand = _FRAMES, np.zeros((_FRAMES, 21, 2), np.float32)
    return ClipDetections(
        frame_index=np.arange(n),
        time=np.arange(n) / 10.0,
        pose_px=px,
        pose_confidence=np.ones((n, 33), np.float32),
        pose_world=np.zeros((n, 33, 3), np.float32),
        left_hand_px=hand,
        left_hand_confidence=np.zeros(n),
        right_hand_px=hand,
        right_hand_confidence=np.zeros(n),
        face_px=np.zeros((n, 478, 2), np.float32),
        face_confidence=np.zeros(n),
        box_xyxy=np.tile([0, 0, _WIDTH, _HEIGHT], (n, 1)).astype(np.float32),
        trusted=np.ones(n, bool),
        reason=np.array([""] * n),
        width=_WIDTH,
        height=_HEIGHT,
    )


def _fit(body: BodyModel, person: Person, folder: Path, config: FittingConfig) -> FitOutcome:
    params = _motion(body, person)
    frames = _film(person, body, params)
    g = torch.Generator().manual_seed(0)
    wrong = 0.025 * torch.randn(1, 55, 3, generator=g).repeat(_FRAMES, 1, 1)
    wrong[:, 22:] = 0
    tracked = replace(
        params,
        betas=0.6 * params.betas,
        rotations=params.rotations @ axis_angle_to_matrix(wrong),
        transl=params.transl + torch.tensor([0.01, -0.01, 0.03]),
    )
    track = Track(
        Motion(tracked, np.arange(_FRAMES) / 10.0),
        frames.camera,
        np.arange(_FRAMES),
        np.ones(_FRAMES, bool),
        np.zeros(_FRAMES),
    )
    return run_fit(
        body,
        track,
        _detections(body, params, frames.camera),
        frames,
        config,
        checkpoint=folder / "fit.safetensors",
        key="small",
        free_focal=False,
        perceptual=None,
    )
