"""A small portrait of an avatar, for galleries: drawn once, then kept."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from pear_avatar.avatar.model import Avatar
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.data.atomic import atomic_path
from pear_avatar.geometry.cameras import orbit_cameras
from pear_avatar.pipeline.showcase import draw, standard_pose, to_uint8

logger = logging.getLogger(__name__)

#: Width and height in pixels.
PORTRAIT_SIZE = (360, 480)
_VERSION = 1
_AZIMUTH = math.radians(18.0)
_HALF_FIELD_OF_VIEW = math.radians(11.0)
_OVERSAMPLING = 2


@torch.no_grad()
def portrait(avatar: Avatar) -> bytes:
    """The upper body from the front on nothing: a WebP picture with alpha."""
    params = standard_pose(avatar, "down")
    posed = avatar.body.shape(None).pose(params.rotations, params.transl)
    top = float(posed.vertices()[:, 1].max())
    hips = float(posed.joints[JOINT_INDEX["pelvis"], 1])
    width, height = (side * _OVERSAMPLING for side in PORTRAIT_SIZE)
    half = (top - hips) * 0.5 * 1.22
    center = posed.joints[JOINT_INDEX["pelvis"]].clone()
    center[1] = top + 0.06 * (top - hips) - half  # a little air above the head
    focal = height / 2 / math.tan(_HALF_FIELD_OF_VIEW)
    camera = orbit_cameras(
        center,
        half * focal * 2 / height,
        torch.tensor([_AZIMUTH]),
        focal=focal,
        width=width,
        height=height,
    )[0]
    drawn = draw(avatar.gaussians(params), camera)
    straight = torch.where(drawn.alpha > 1e-3, drawn.color / drawn.alpha.clamp_min(1e-3), 0.0)
    picture = Image.fromarray(to_uint8(torch.cat([straight, drawn.alpha], -1)), "RGBA")
    stream = io.BytesIO()
    picture.resize(PORTRAIT_SIZE, Image.Resampling.LANCZOS).save(stream, "WEBP", quality=88)
    return stream.getvalue()


def cached_portrait(person: Callable[[], Avatar], avatar: Path, folder: Path) -> bytes:
    """The portrait of an avatar file, from ``folder`` where it was drawn before.

    ``person`` is called only where it has to be drawn; the file's size and time tell whether.
    """
    stat = avatar.stat()
    kept = folder / f"portrait{_VERSION}-{stat.st_mtime_ns:x}-{stat.st_size:x}.webp"
    try:
        return kept.read_bytes()
    except OSError:
        picture = portrait(person())
    try:
        with atomic_path(kept) as temporary:
            temporary.write_bytes(picture)
    except OSError as error:
        logger.info("the portrait is not kept: %s", error)
    return picture
