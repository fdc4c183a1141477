"""Render an avatar in a motion: to a video, or to numbered pictures with alpha."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.avatar.file_format import load_avatar
from pear_avatar.body import load_body
from pear_avatar.body.expressions import transfer_expression
from pear_avatar.errors import MotionFileError, PearError
from pear_avatar.geometry.cameras import camera_center
from pear_avatar.io.images import is_image_path, read_image, write_image
from pear_avatar.io.replacing import is_ours
from pear_avatar.io.video import VideoWriter
from pear_avatar.motion.formats.registry import MotionFile, read_motion
from pear_avatar.motion.resample import resample_motion
from pear_avatar.motion.retarget.retarget import leg_length
from pear_avatar.motion.track_file import track_of
from pear_avatar.rendering.camera_paths import fixed_path, orbit_path, resized_path, turntable_path
from pear_avatar.rendering.showcase import to_uint8
from pear_avatar.splatting.devices import choose_device
from pear_avatar.types import Camera, Motion, ProgressFn, Track

CameraName = Literal["clip", "orbit", "fixed", "turntable"]

DEFAULT_SIZE = (512, 512)
_MAX_DEFAULT_FPS = 60.0  # motion capture comes at 120 Hz and more; a video of it need not
_MAX_SIDE = 8192
_TURNTABLE_FRAMES = 96
_FRAMING_POSES, _FRAMING_STRIDE = 48, 12
_FRAME_NAME = re.compile(r"frame_\d{5,}\.png")


@dataclass(frozen=True)
class Background:
    """What stands behind the avatar: a color (3,) in [0, 1], a picture, or nothing at all.

    color: (3,) float RGB; None with ``transparent`` or a picture.
    picture: (H, W, 3) uint8; None otherwise.
    """

    color: tuple[float, float, float] | None = None
    picture: np.ndarray | None = None

    @property
    def transparent(self) -> bool:
        """Whether pictures keep their alpha."""
        return self.color is None and self.picture is None


def parse_background(text: str) -> Background:
    """``transparent``, a color name or ``#rrggbb``, or the path of a picture.

    Raises:
        PearError: none of these.
    """
    if text.lower() == "transparent":
        return Background()
    if is_image_path(text) or Path(text).is_file():
        return Background(picture=read_image(text))
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise PearError(
            f"unknown background {text!r}: give a color (white, #20c0a0), a picture file, "
            "or transparent"
        ) from None
    return Background(color=(red / 255, green / 255, blue / 255))


def render_motion_file(
    avatar: str | Path | Avatar,
    pose: str | Path | Motion | Track,
    out: str | Path,
    *,
    camera: CameraName = "fixed",
    background: str = "white",
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    device: str = "auto",
    progress: ProgressFn | None = None,
) -> Path:
    """Render an avatar in a motion, each from a file or as it was loaded.

    Args:
        avatar: ``avatar.safetensors``, or the avatar itself.
        pose: anything :func:`pear_avatar.motion.formats.registry.load_motion` reads, or a motion
            or track itself.
        out: an ``.mp4`` file, or a folder (no ending) for ``frame_00000.png`` and so on.
        camera: ``clip``, the cameras that a track holds; ``fixed``, one that sees all of the
            motion; ``orbit``, one circle round the moving person; ``turntable``, one circle
            round the motion's first pose.
        background: see :func:`parse_background`.
        size: width and height in pixels; by default 512x512, for ``clip`` the video's own.
        fps: frame rate of the result; by default the motion's, at most 60. The motion is
            resampled, not sped up.
        max_frames: render only so many frames.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: called with ("render", done, total).

    Returns:
        ``out``.

    Raises:
        PearError, MotionFileError, FileNotFoundError: the input is at fault.
    """
    _check_picture(camera, size)
    behind = parse_background(background)
    _check_output(Path(out), behind)
    person = avatar if isinstance(avatar, Avatar) else load_avatar(avatar)
    person = person.to(choose_device(device))
    motion, cameras = _motion_and_clip_cameras(person, pose, camera)
    motion, rows = resample_motion(motion, fps or min(motion.fps, _MAX_DEFAULT_FPS))
    if max_frames is not None:
        motion, rows = _cut(motion, max_frames), rows[:max_frames]
    if cameras is not None:
        native = (cameras.width, cameras.height)
        path = resized_path(cameras[torch.from_numpy(rows)], *(size or native))
        motion = fit_motion(person, motion, about=camera_center(cameras[0]))
    else:
        motion = fit_motion(person, motion)
        width, height = size or DEFAULT_SIZE
        if camera == "turntable":
            motion = _hold_last(motion, max_frames or _TURNTABLE_FRAMES)
        path = camera_path(person, motion, camera, width, height)
    return render_motion(
        person, motion, path, out, background=behind, fps=motion.fps, progress=progress
    )


def render_motion(
    avatar: Avatar,
    motion: Motion,
    cameras: Camera,
    out: str | Path,
    *,
    background: Background | None = None,
    fps: float | None = None,
    progress: ProgressFn | None = None,
) -> Path:
    """Render each frame of a motion with its camera.

    Args:
        avatar: who moves, with shape of their own: ``motion.params.betas`` is not used.
        motion: N frames (see :func:`fit_motion` for motions of other bodies).
        cameras: a batch of N cameras.
        out: an ``.mp4`` file, or a folder for numbered PNG pictures.
        background: white by default; transparent only for pictures.
        fps: frame rate of a video; the motion's by default.
        progress: called with ("render", done, total).

    Raises:
        PearError: ``out`` and ``background`` do not go together.
        ValueError: motion and cameras disagree.
    """
    out = Path(out)
    behind = background or Background(color=(1.0, 1.0, 1.0))
    _check_output(out, behind)
    count = motion.params.num_frames
    if cameras.K.shape[:-2] != (count,):
        raise ValueError(
            f"a motion of {count} frames needs as many cameras, got {tuple(cameras.K.shape[:-2])}"
        )
    pictures = _pictures(avatar, motion, cameras, behind, progress or (lambda *_: None))
    if out.suffix.lower() == ".mp4":
        with VideoWriter(out, fps or motion.fps) as video:
            for picture in pictures:
                video.write(picture)
        return out
    written = set()
    for i, picture in enumerate(pictures):
        path = out / f"frame_{i:05d}.png"
        write_image(path, picture)
        written.add(path.name)
    for stale in out.glob("frame_*.png"):  # of a longer run before this one
        ours = _FRAME_NAME.fullmatch(stale.name) and is_ours(stale)
        if ours and stale.name not in written:
            stale.unlink()
    return out


def camera_path(
    avatar: Avatar, motion: Motion, camera: CameraName, width: int, height: int
) -> Camera:
    """Cameras (N,) for a motion: ``fixed``, ``orbit`` or ``turntable``, starting at the front."""
    front = facing_azimuth(motion.params.rotations[:, 0])
    if camera == "turntable":
        points = _surface(avatar, motion, [0])[0]
        return turntable_path(
            points, motion.params.num_frames, width=width, height=height, start_azimuth=front
        )
    points = _surface(avatar, motion, list(range(motion.params.num_frames)))
    if camera == "orbit":
        return orbit_path(points, width=width, height=height, start_azimuth=front)
    return fixed_path(points, width=width, height=height, azimuth=front)


def facing_azimuth(global_orient: Tensor) -> float:
    """Azimuth in radians that a body faces on average, from root rotations (N, 3, 3)."""
    x, z = global_orient[:, 0, 2].mean(), global_orient[:, 2, 2].mean()
    if float(x * x + z * z) < 1e-4:  # it looks everywhere, or lies down all the time
        x, z = global_orient[0, 0, 2], global_orient[0, 2, 2]
    return math.atan2(float(x), float(z))


def fit_motion(avatar: Avatar, motion: Motion, about: Tensor | None = None) -> Motion:
    """The motion for this avatar's body: steps as long as its legs, feet on the floor.

    A motion with the avatar's own shape comes back unchanged.

    Args:
        avatar: who will move.
        motion: of any person, in the world of :mod:`pear_avatar.types`.
        about: (3,) world point from which the way is scaled. Given a camera's centre, the person
            keeps their place in its picture; by default the way starts where it did and the
            lowest point of the motion is set on height zero.
    """
    own = avatar.betas
    params, same_body = motion.params, motion.body == avatar.body_name
    same_shape = params.betas.shape == own.shape
    if same_body and same_shape and torch.allclose(params.betas.to(own), own, atol=1e-5):
        return motion
    target = avatar.body.joint_template
    source = _rest_joints(motion, target)
    if not same_body:
        params = replace(params, expression=_expression_for(avatar, motion))
    ratio = float(leg_length(target)) / float(leg_length(source))
    pelvis = params.transl + source[0].to(params.transl)
    start = pelvis[0] if about is None else about.to(pelvis)
    moved = start + ratio * (pelvis - start) - target[0].to(pelvis)
    params = replace(params, betas=own, transl=moved)
    fitted = replace(motion, params=params, body=avatar.body_name)
    if about is not None:
        return fitted
    floor = _surface(avatar, fitted, list(range(params.num_frames)))[..., 1].amin()
    lift = torch.stack([torch.zeros_like(floor), floor, torch.zeros_like(floor)]).to(moved)
    return replace(fitted, params=replace(params, transl=moved - lift))


def _rest_joints(motion: Motion, target: Tensor) -> Tensor:
    """(55, 3) rest joints of whoever moved; of this avatar where their body is not at hand."""
    if not motion.is_of_open_body:
        return target
    body, betas = load_body(), motion.params.betas
    with torch.no_grad():
        return body.shape(betas[..., : body.num_betas].float().cpu()).joints


def _expression_for(avatar: Avatar, motion: Motion) -> Tensor:
    """(N, E) the same facial actions on another body's face; at rest where they are not known."""
    expression = motion.params.expression
    if not motion.is_of_open_body:
        return expression.new_zeros(len(expression), avatar.body.num_expression)
    return transfer_expression(expression, load_body(), avatar.body)


def motion_for(avatar: Avatar, pose: str | Path) -> Motion:
    """The motion of a pose file; a track keeps shape and expression if they are this body's.

    Raises:
        FileNotFoundError, MotionFileError: the file cannot be used.
    """
    return _motion_of(avatar, read_motion(pose))


def _motion_of(avatar: Avatar, found: MotionFile) -> Motion:
    own = None if found.track is None else found.track.motion
    return own if own is not None and own.body == avatar.body_name else found.motion


def _motion_and_clip_cameras(
    avatar: Avatar, pose: str | Path | Motion | Track, camera: CameraName
) -> tuple[Motion, Camera | None]:
    """The motion, and for ``clip`` the cameras beside it."""
    if isinstance(pose, Track):
        return pose.motion, pose.camera.to(torch.float32) if camera == "clip" else None
    if isinstance(pose, Motion):
        if camera == "clip":
            raise PearError("a motion holds no cameras: give the track, or another camera")
        return pose, None
    pose = Path(pose)
    found = read_motion(pose)
    motion = _motion_of(avatar, found)
    if camera != "clip":
        return motion, None
    try:
        track = track_of(found)
    except MotionFileError as error:
        raise PearError(
            f"{pose.name} holds no cameras ({error}): choose --camera fixed, orbit or turntable"
        ) from error
    return motion, track.camera.to(torch.float32)


def _cut(motion: Motion, count: int) -> Motion:
    return replace(motion, params=motion.params[:count], time=motion.time[:count])


def _hold_last(motion: Motion, count: int) -> Motion:
    """The first pose, ``count`` times."""
    still = torch.zeros(count, dtype=torch.int64)
    return replace(motion, params=motion.params[still], time=np.arange(count) / motion.fps)


@torch.no_grad()
def _surface(avatar: Avatar, motion: Motion, frames: list[int]) -> Tensor:
    """(N, P, 3) points of the posed surface; frames between posed ones borrow the nearest's."""
    params = motion.params.to(avatar.betas.device)
    pick = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _FRAMING_POSES)).round())
    pick = pick.astype(np.int64)
    posed = [avatar.vertices(params[frames[k]])[::_FRAMING_STRIDE] for k in pick]
    relative = torch.stack([v - params.transl[frames[k]] for v, k in zip(posed, pick, strict=True)])
    nearest = np.abs(np.arange(len(frames))[:, None] - pick[None]).argmin(1)
    return relative[torch.from_numpy(nearest)] + params.transl[frames][:, None]


def _pictures(
    avatar: Avatar, motion: Motion, cameras: Camera, behind: Background, progress: ProgressFn
) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 on the background, or (H, W, 4) where it is transparent."""
    device = avatar.betas.device
    params, cameras = motion.params.to(device), cameras.to(device)
    backdrop = _backdrop(behind, cameras.width, cameras.height)
    total = params.num_frames
    for i in range(total):
        with torch.no_grad():
            out = avatar.gaussians(params[i]).render(cameras[i])
        color, alpha = out.color.cpu(), out.alpha.cpu()
        if backdrop is None:
            straight = torch.where(alpha > 1e-3, color / alpha.clamp_min(1e-3), 0.0)
            yield to_uint8(torch.cat([straight, alpha], -1))
        else:
            yield to_uint8(color + (1 - alpha) * backdrop)
        progress("render", i + 1, total)


def _backdrop(behind: Background, width: int, height: int) -> Tensor | None:
    """(H, W, 3) in [0, 1]; a picture is scaled to cover the frame and cut in the middle."""
    if behind.transparent:
        return None
    if behind.picture is None:
        return torch.tensor(behind.color).expand(height, width, 3)
    image = Image.fromarray(behind.picture)
    scale = max(width / image.width, height / image.height)
    grown = image.resize(
        (max(round(image.width * scale), width), max(round(image.height * scale), height)),
        Image.Resampling.LANCZOS,
    )
    left, top = (grown.width - width) // 2, (grown.height - height) // 2
    covered = grown.crop((left, top, left + width, top + height))
    return torch.from_numpy(np.asarray(covered).copy()).float() / 255


def _check_picture(camera: str, size: tuple[int, int] | None) -> None:
    if camera not in get_args(CameraName):
        raise PearError(f"unknown camera {camera!r}: one of {', '.join(get_args(CameraName))}")
    if size is not None and not all(16 <= side <= _MAX_SIDE for side in size):
        raise PearError(f"the size must be 16 to {_MAX_SIDE} px a side, got {size[0]}x{size[1]}")


def _check_output(out: Path, behind: Background) -> None:
    suffix = out.suffix.lower()
    if suffix == ".mp4":
        if behind.transparent:
            raise PearError(
                "an mp4 holds no transparency: name a folder for pictures, or another background"
            )
        if out.is_dir():
            raise PearError(f"{out} is a folder: name an .mp4 file in it")
    elif suffix and not out.is_dir():
        raise PearError(f"cannot write {suffix} files: name an .mp4 file or a folder for pictures")
    elif out.is_file():
        raise PearError(f"{out} is a file: name an .mp4 file or a folder for pictures")
