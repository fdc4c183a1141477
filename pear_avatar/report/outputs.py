"""What a fit shows people: the contact sheet's pictures and the preview video."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import torch

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.fitting.evaluate import spread
from pear_avatar.fitting.frames import Split
from pear_avatar.fitting.run import FitOutcome
from pear_avatar.io.video import VideoWriter
from pear_avatar.rendering.showcase import framing_cameras, novel_views, standard_pose, to_uint8
from pear_avatar.report.fit_report import ReportImages
from pear_avatar.report.origins import origin_views
from pear_avatar.types import ProgressFn

_SHEET_ROWS = 6
#: part -> held-out frames that are shown of it
_CLOSE_UPS = {"head": 6, "left_hand": 2, "right_hand": 2}
_OUTLINE = (255, 64, 32)
_TURN_SECONDS = 4.0
_MIN_PREVIEW_SECONDS = 4.0
_MAX_PREVIEW_FRAMES = 400


def _render_crop(avatar: Avatar, outcome: FitOutcome, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Crop i redrawn over white (h, w, 3) uint8 and its coverage (h, w) floats."""
    with torch.no_grad():
        out = avatar.gaussians(outcome.params[i]).render(outcome.frames.camera[i], torch.ones(3))
    return to_uint8(out.color), out.alpha[..., 0].numpy()


def _draw_outline(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The picture with the avatar's outline drawn in."""
    contours, _ = cv2.findContours(
        (alpha > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return cv2.drawContours(image.copy(), contours, -1, _OUTLINE, 1, cv2.LINE_AA)


_SPLIT_LABELS = {
    Split.FITTED: "fitted",
    Split.HELD_OUT: "held out",
    Split.UNSEEN: "unseen tail",
}


def report_images(avatar: Avatar, outcome: FitOutcome, progress: ProgressFn) -> ReportImages:
    """Held-out frames beside their outline and redrawing, and the sides that were not filmed."""
    frames = outcome.frames
    measured = frames.indices(Split.HELD_OUT) or frames.indices(Split.FITTED)
    measured = measured + frames.indices(Split.UNSEEN)[::8]
    pick = np.unique(np.linspace(0, len(measured) - 1, _SHEET_ROWS).round().astype(int))
    rows, titles = [], []
    for k in pick:
        i = measured[k]
        render, alpha = _render_crop(avatar, outcome, i)
        masked = frames.masks[i][..., None] / 255.0
        on_white = (frames.images[i] * masked + 255 * (1 - masked)).astype(np.uint8)
        rows.append([frames.images[i], _draw_outline(frames.images[i], alpha), on_white, render])
        titles.append(f"crop {i}, {_SPLIT_LABELS[Split(frames.split[i])]}")
    progress("pictures", 1, 2)
    novel = [*novel_views(avatar, "down"), *novel_views(avatar, "raised")]
    origins = origin_views(avatar, outcome.origins)
    progress("pictures", 2, 2)
    labels = ("input", "outline", "person", "avatar")
    close = close_up_pictures(avatar, outcome)
    return ReportImages(rows, labels, titles, novel, origins, close)


def close_up_pictures(avatar: Avatar, outcome: FitOutcome) -> list[tuple[str, np.ndarray]]:
    """Head and hands of held-out frames beside the avatar's, in the video's own pixels."""
    strip = []
    for part, count in _CLOSE_UPS.items():
        detail = outcome.details.get(part)
        if detail is None:
            continue
        held_out = detail.frames.indices(Split.HELD_OUT)
        for k in spread(held_out, count):
            params = outcome.params[int(detail.crop[k])]
            with torch.no_grad():
                out = avatar.gaussians(params).render(detail.frames.camera[k], torch.ones(3))
            name = part.replace("_", " ")
            strip.append((f"{name}, input", detail.frames.images[k]))
            strip.append((f"{name}, avatar", to_uint8(out.color)))
    return strip


def write_preview(
    path: Path,
    avatar: Avatar,
    outcome: FitOutcome,
    fps: float,
    progress: ProgressFn,
) -> None:
    """Input, avatar in the same poses, and the avatar turning, side by side."""
    frames, camera = outcome.frames, outcome.frames.camera
    step = max(1, math.ceil(len(frames) / _MAX_PREVIEW_FRAMES))
    shown = list(range(0, len(frames), step))
    rate = max(1.0, min(60.0, fps * len(shown) / max(1, int(np.ptp(frames.row)) + 1)))
    total = max(len(shown), math.ceil(_MIN_PREVIEW_SECONDS * rate))
    gaussians = avatar.gaussians(standard_pose(avatar, "down"))
    turn = tuple(360.0 * k / (rate * _TURN_SECONDS) for k in range(total))
    cameras = framing_cameras(gaussians.means, turn, camera.width, camera.height)
    white = torch.ones(3)
    with VideoWriter(path, fps=rate) as writer:
        for k in range(total):
            i = shown[k % len(shown)]
            render, _ = _render_crop(avatar, outcome, i)
            with torch.no_grad():
                turned = to_uint8(gaussians.render(cameras[k], white).color)
            writer.write(np.concatenate([frames.images[i], render, turned], axis=1))
            progress("preview", k + 1, total)
