"""A small portrait of an avatar, for galleries: drawn once, then kept."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.cameras import camera_center, orbit_cameras
from pear_avatar.io.atomic import atomic_path
from pear_avatar.rendering.showcase import standard_pose, to_uint8
from pear_avatar.types import Track

logger = logging.getLogger(__name__)

#: Width and height in pixels.
PORTRAIT_SIZE = (360, 480)
_VERSION = 2
_AZIMUTH = math.radians(18.0)
#: Nearer to the front than this counts as seen from the front.
_FRONTAL = math.radians(40.0)
#: The share of the frames that must show a side for the portrait to take it.
_SEEN_SHARE = 0.15
_HALF_FIELD_OF_VIEW = math.radians(11.0)
_OVERSAMPLING = 2


def portrait_azimuth(track: Track | None) -> float:
    """Radians about the body from which a portrait shows a side that was filmed.

    A little off the front, as portraits are, unless the clip hardly ever shows it; then the side
    nearest to the front that it does show.
    """
    if track is None or not track.trusted.any():
        return _AZIMUTH
    kept = torch.from_numpy(track.trusted)
    root = track.motion.params.rotations[kept, 0]
    away = camera_center(track.camera)[kept] - track.motion.params.transl[kept]
    from_body = (root.mT @ away[..., None])[..., 0]
    angles = torch.atan2(from_body[:, 0], from_body[:, 2])
    order = angles.abs().argsort()
    seen = float(angles[order[int(_SEEN_SHARE * (len(order) - 1))]])
    return _AZIMUTH if abs(seen) < _FRONTAL else seen


@torch.no_grad()
def portrait(avatar: Avatar, azimuth: float = _AZIMUTH) -> bytes:
    """The upper body on nothing: a WebP picture with alpha.

    ``azimuth`` is where the camera stands, in radians: 0 in front, pi / 2 at the body's left.
    """
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
        torch.tensor([azimuth]),
        focal=focal,
        width=width,
        height=height,
    )[0]
    drawn = avatar.gaussians(params).render(camera)
    straight = torch.where(drawn.alpha > 1e-3, drawn.color / drawn.alpha.clamp_min(1e-3), 0.0)
    picture = Image.fromarray(to_uint8(torch.cat([straight, drawn.alpha], -1)), "RGBA")
    stream = io.BytesIO()
    picture.resize(PORTRAIT_SIZE, Image.Resampling.LANCZOS).save(stream, "WEBP", quality=88)
    return stream.getvalue()


def cached_portrait(
    person: Callable[[], Avatar], track: Track | None, avatar: Path, folder: Path
) -> bytes:
    """The portrait of an avatar file, from ``folder`` where it was drawn before.

    ``person`` is called only where it has to be drawn; the file's size and time decide.
    """
    stat = avatar.stat()
    kept = folder / f"portrait{_VERSION}-{stat.st_mtime_ns:x}-{stat.st_size:x}.webp"
    try:
        return kept.read_bytes()
    except OSError:
        picture = portrait(person(), portrait_azimuth(track))
    try:
        with atomic_path(kept) as temporary:
            temporary.write_bytes(picture)
    except OSError as error:
        logger.info("the portrait is not kept: %s", error)
    return picture
