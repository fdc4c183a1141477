"""The whole chain at once: a clip, its avatar, an unseen motion, and the distance to the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body import load_body
from pear_avatar.body.sources import load_ehm
from pear_avatar.commands.configuration import load_fit_config
from pear_avatar.commands.fit import FitResult, fit_video
from pear_avatar.commands.fit_job import person_body
from pear_avatar.errors import PearError
from pear_avatar.evaluation.avatar_truth import TruthFigures, measure_truth, unseen_frames
from pear_avatar.evaluation.perceptual import load_perceptual
from pear_avatar.io.images import write_image
from pear_avatar.io.video import VideoWriter
from pear_avatar.motion.choreography import UNSEEN, choreograph
from pear_avatar.rendering.showcase import framing_cameras, novel_views, to_uint8
from pear_avatar.report.fit_report import write_report_json
from pear_avatar.report.pictures import contact_sheet
from pear_avatar.synthesis.synthetic_clip import (
    SyntheticClip,
    load_synthetic_clip,
    make_synthetic_clip,
)
from pear_avatar.types import ProgressFn

MOTION_NAME, SHEET_NAME = "unseen_motion.mp4", "contact_sheet.png"
_SYNTHETIC_NAME = "synthetic"
_MOTION_FRAMES, _MOTION_FPS, _MOTION_SIZE = 72, 24.0, (480, 640)
_SHEET_POSES = 4


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves: a fit's folder with two more files in it.

    fit:          the fit itself.
    truth:        distance to the synthetic truth; None for a video of one's own.
    motion_video: the avatar in a motion that the video does not show, beside the truth where
                  there is one.
    sheet:        a picture of the avatar from all sides and in unseen poses.
    """

    fit: FitResult
    truth: TruthFigures | None
    motion_video: Path
    sheet: Path


def run_demo(
    out_dir: str | Path,
    *,
    video: str | Path | None = None,
    preset: str = "default",
    device: str = "auto",
    progress: ProgressFn | None = None,
) -> DemoResult:
    """Make a synthetic clip, fit an avatar to it, and measure the avatar in unseen poses.

    Args:
        out_dir: results go to a folder below it, ``synthetic`` or named like the video; a demo
            that was interrupted goes on where it stopped.
        video: a video of one's own instead of the synthetic clip; then there is no truth.
        preset: as for ``pear-avatar fit``.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: called with (stage, done, total).

    Raises:
        FileNotFoundError, ValueError: as :func:`pear_avatar.commands.fit.fit_video`.
    """
    folder = demo_folder(Path(out_dir), video)
    clip = _synthetic_clip(folder, progress) if video is None else None
    config = load_fit_config(preset, {"device": device})
    source = clip.video if clip is not None else Path(str(video))
    fit = fit_video(source, folder, config, progress=progress)
    truth, pictures = None, None
    if clip is not None:
        person = person_body(load_ehm(), fit.track)
        truth = measure_truth(fit.avatar, fit.track, clip, person, load_perceptual())
        write_report_json(folder / "report.json", {**fit.report, "truth": truth.as_dict()})
        pictures = _beside_truth(fit, clip)
    shown = _write_motion(
        folder / MOTION_NAME, pictures or _new_motion(fit.avatar), progress or (lambda *_: None)
    )
    label = "new pose" if clip is None else "unseen pose: truth, avatar"
    write_image(folder / SHEET_NAME, _sheet(fit.avatar, shown, label))
    return DemoResult(fit, truth, folder / MOTION_NAME, folder / SHEET_NAME)


def demo_folder(out_dir: Path, video: str | Path | None) -> Path:
    """Where a demo of a video, or of the synthetic clip, leaves its results."""
    return out_dir / (_SYNTHETIC_NAME if video is None else Path(video).stem)


def _synthetic_clip(folder: Path, progress: ProgressFn | None) -> SyntheticClip:
    """The clip that lies in the folder, or a new one."""
    try:
        return load_synthetic_clip(folder)
    except PearError:
        return make_synthetic_clip(folder, load_body(), progress=progress)


def _beside_truth(fit: FitResult, clip: SyntheticClip) -> Iterator[np.ndarray]:
    """Pictures (H, 2 W, 3): the true picture over white, and the avatar in the same pose."""
    truth = clip.unseen
    assert truth.images is not None, "the unseen motion keeps its pictures"
    for i, (params, camera) in enumerate(unseen_frames(fit.avatar, fit.track, clip)):
        with torch.no_grad():
            drawn = to_uint8(fit.avatar.gaussians(params).render(camera, torch.ones(3)).color)
        mask = truth.alpha[i][..., None].astype(np.float32) / 255
        on_white = (truth.images[i] * mask + 255 * (1 - mask)).astype(np.uint8)
        yield np.concatenate([on_white, drawn], axis=1)


def _new_motion(avatar: Avatar) -> Iterator[np.ndarray]:
    """Pictures (H, W, 3) of the synthetic person's unseen motion, danced by this avatar."""
    betas = avatar.betas.numpy()
    params = choreograph(load_body(), betas, UNSEEN, _MOTION_FRAMES)
    with torch.no_grad():
        joints = [avatar.vertices(params[i]) for i in range(0, params.num_frames, 8)]
        camera = framing_cameras(torch.cat(joints), (0.0,), *_MOTION_SIZE)[0]
        for i in range(params.num_frames):
            yield to_uint8(avatar.gaussians(params[i]).render(camera, torch.ones(3)).color)


def _write_motion(
    path: Path, pictures: Iterator[np.ndarray], progress: ProgressFn
) -> list[np.ndarray]:
    """Write the video and return its pictures."""
    shown = []
    with VideoWriter(path, _MOTION_FPS) as writer:
        for picture in pictures:
            writer.write(picture)
            shown.append(picture)
            progress("new motion", len(shown), max(len(shown) + 1, _MOTION_FRAMES))
    progress("new motion", len(shown), len(shown))
    return shown


def _sheet(avatar: Avatar, shown: list[np.ndarray], label: str) -> np.ndarray:
    """The avatar from all sides with arms down and raised, above poses of the motion."""
    views = [novel_views(avatar, arms) for arms in ("down", "raised")]
    labels = [text.split(", ")[-1] for text, _ in views[0]]
    above = contact_sheet([[picture for _, picture in row] for row in views], labels)
    pick = np.linspace(0, len(shown) - 1, _SHEET_POSES).round().astype(int)
    below = contact_sheet([[shown[i] for i in pick]], [label] * _SHEET_POSES, cell_height=280)
    width = max(above.shape[1], below.shape[1])
    parts = [_padded(part, width) for part in (above, below)]
    return np.concatenate(parts, axis=0)


def _padded(picture: np.ndarray, width: int) -> np.ndarray:
    """White margins left and right, up to a width."""
    left = (width - picture.shape[1]) // 2
    right = width - picture.shape[1] - left
    return np.pad(picture, ((0, 0), (left, right), (0, 0)), constant_values=255)
