"""What of an avatar the clip showed, what was mirrored, and what was made up; frames left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.rendering.showcase import framing_cameras, standard_pose, to_uint8

#: RGB of what was seen, mirrored and made up; the colour-blind can separate them too
ORIGIN_COLORS = ((0.15, 0.40, 0.70), (0.93, 0.56, 0.20), (0.80, 0.80, 0.78))
_AZIMUTHS = (0.0, 90.0, 180.0, 270.0)
_NAMES = ("seen", "mirrored", "made_up")
_UNEXPLAINED = "refused after tracking"


@torch.no_grad()
def origin_views(
    avatar: Avatar, origins: Tensor, size: tuple[int, int] = (360, 512)
) -> list[tuple[str, np.ndarray]]:
    """(label, picture) of the avatar from four sides, coloured by where its looks come from.

    ``origins`` (N, 3): shares of each splat that were seen, mirrored and made up.
    """
    params = standard_pose(avatar, "down")
    splats = avatar.gaussians(params)
    shade = 0.6 + 0.4 * splats.colors.mean(-1, keepdim=True)
    colors = (origins @ torch.tensor(ORIGIN_COLORS).to(origins)) * shade
    painted = replace(splats, colors=colors.clamp(0, 1))
    white = torch.ones(3)
    return [
        (f"{azimuth:.0f}°", to_uint8(painted.render(camera, white).color))
        for azimuth, camera in zip(
            _AZIMUTHS, framing_cameras(splats.means, _AZIMUTHS, *size), strict=True
        )
    ]


def origin_shares(avatar: Avatar, origins: Tensor) -> dict[str, float]:
    """Shares of the surface that were seen, mirrored and made up; they sum to 1."""
    area = avatar.binding.spacing.square()
    shares = (origins * area[:, None]).sum(0) / area.sum()
    return {name: round(float(share), 4) for name, share in zip(_NAMES, shares, strict=True)}


def refused_frames(
    frame_index: np.ndarray, trusted: np.ndarray, reason: Sequence[str]
) -> dict[str, str]:
    """Reason -> the frames of the video left out for it, as "3-7, 20"; most frames first.

    Args:
        frame_index: (N,) of the video.
        trusted: (N,) bool.
        reason: N lines, empty where the detections gave none.
    """
    groups: dict[str, list[int]] = {}
    for frame, good, why in zip(frame_index, trusted, reason, strict=True):
        if not good:
            groups.setdefault(str(why) or _UNEXPLAINED, []).append(int(frame))
    order = sorted(groups, key=lambda why: -len(groups[why]))
    return {why: _ranges(groups[why], _step(frame_index)) for why in order}


def _step(frame_index: np.ndarray) -> int:
    """Frames between one processed frame and the next."""
    return int(np.diff(frame_index).max()) if len(frame_index) > 1 else 1


def _ranges(frames: list[int], step: int) -> str:
    """Ascending numbers as ranges; numbers up to ``step`` apart belong together."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame - runs[-1][1] <= step:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
