"""A motion at another frame rate."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from pear_avatar.errors import PearError
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz, quat_wxyz_to_matrix, slerp_wxyz
from pear_avatar.types import BodyParams, Motion

__all__ = ["evenly_spaced", "resample_motion"]

#: Share of a frame by which times may be off before frames count as unevenly spaced.
_JITTER = 0.25


def evenly_spaced(motion: Motion) -> tuple[Motion, str]:
    """A motion whose frames are one step apart, for files that have one frame time; what was done.

    Frames that are missing are filled in between their neighbours. A motion that is even already
    comes back as it is, with an empty sentence.
    """
    time = np.asarray(motion.time, np.float64)
    if len(time) < 3:
        return motion, ""
    step = float(np.median(np.diff(time)))
    if np.abs(time - np.linspace(time[0], time[-1], len(time))).max() <= _JITTER * step:
        return motion, ""
    rate = min(1.0 / step, 1000.0)
    even = resample_motion(motion, rate)[0]
    return even, (
        f"its {len(time)} frames are not evenly spaced (up to {np.diff(time).max():.3g} s apart); "
        f"resampled to {even.params.num_frames} frames at {rate:.4g} a second"
    )


def resample_motion(motion: Motion, fps: float) -> tuple[Motion, np.ndarray]:
    """A motion at a constant frame rate, and the nearest source frame (M,) int64 of each frame.

    Rotations go along the shortest arc, everything else linearly.

    Raises:
        PearError: ``fps`` is not positive, or so high that nothing useful can come of it.
    """
    if not (math.isfinite(fps) and 0 < fps <= 1000):
        raise PearError(f"the frame rate must lie in (0, 1000], got {fps}")
    count = motion.params.num_frames
    if count == 1:
        return motion, np.zeros(1, np.int64)
    time = np.asarray(motion.time, np.float64) - motion.time[0]
    at = np.arange(int(np.floor(time[-1] * fps + 1e-6)) + 1) / fps
    low = np.clip(np.searchsorted(time, at, side="right") - 1, 0, count - 2)
    share = np.clip((at - time[low]) / np.maximum(time[low + 1] - time[low], 1e-12), 0, 1)
    p, a = motion.params, torch.from_numpy(low)
    t = torch.from_numpy(share).to(p.transl)
    quats = matrix_to_quat_wxyz(p.rotations)
    turned = slerp_wxyz(quats[a], quats[a + 1], t[:, None].expand(-1, quats.shape[1]))
    params = BodyParams(
        p.betas,
        torch.lerp(p.expression[a], p.expression[a + 1], t[:, None]),
        quat_wxyz_to_matrix(turned),
        torch.lerp(p.transl[a], p.transl[a + 1], t[:, None]),
    )
    return replace(motion, params=params, time=at), (low + (share >= 0.5)).astype(np.int64)
