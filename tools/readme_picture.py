"""Draws the moving picture of the README: the film, the avatar in a new motion, the avatar turning.

python -m tools.readme_picture demo-out/synthetic docs/images/avatar.webp
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import pear_avatar as pear
from pear_avatar.io.video import read_frames
from pear_avatar.motion.choreography import UNSEEN, choreograph
from pear_avatar.rendering.camera_paths import fixed_path, turntable_path
from pear_avatar.rendering.render_motion import fit_motion
from pear_avatar.rendering.showcase import standard_pose, to_uint8

_FPS = 12.0
_BACKGROUND = torch.tensor([0.93, 0.94, 0.95])


def film(video: Path, count: int, height: int) -> Iterator[np.ndarray]:
    """``count`` frames of the input, evenly over its length, at a height in pixels."""
    every = [rgb for _, _, rgb in read_frames(video, max_side=height)]
    for k in np.linspace(0, len(every) - 1, count).round().astype(int):
        image = Image.fromarray(every[k])
        width = round(image.width * height / image.height)
        yield np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def in_motion(avatar: pear.Avatar, count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The avatar in a motion that the film does not show."""
    params = choreograph(pear.load_body(), avatar.betas.numpy(), UNSEEN, count)
    motion = fit_motion(avatar, pear.Motion(params, np.arange(count) / _FPS))
    points = torch.stack([avatar.vertices(motion.params[i])[::12] for i in range(count)])
    cameras = fixed_path(points, width=size[0], height=size[1], azimuth=0.0)
    for i in range(count):
        yield drawn(avatar.gaussians(motion.params[i]), cameras[i])


def turning(avatar: pear.Avatar, count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The standing avatar from all sides."""
    pose = standard_pose(avatar, "down")
    splats = avatar.gaussians(pose)
    cameras = turntable_path(avatar.vertices(pose), count, width=size[0], height=size[1])
    for i in range(count):
        yield drawn(splats, cameras[i])


def drawn(splats: pear.Gaussians, camera: pear.Camera) -> np.ndarray:
    """(H, W, 3) uint8; drawn at twice the size and averaged, for smooth edges."""
    K = camera.K.clone()
    K[:2] *= 2
    large = pear.Camera(K, camera.T_camera_world, 2 * camera.width, 2 * camera.height)
    image: Tensor = splats.render(large, _BACKGROUND).color.clamp(0, 1)
    h, w = camera.height, camera.width
    return to_uint8(image.reshape(h, 2, w, 2, 3).mean((1, 3)))


@torch.no_grad()
def main() -> None:
    """Draw and write, at the quality that keeps the file below a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fit", type=Path, help="the folder of a fit, with the clip in it")
    parser.add_argument("out", type=Path)
    parser.add_argument("--video", type=Path, help="the input (default: clip.mp4 of the folder)")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--height", type=int, default=384)
    parser.add_argument("--max-mb", type=float, default=1.4)
    args = parser.parse_args()
    avatar = pear.load_avatar(args.fit / "avatar.safetensors")
    size = (math.ceil(args.height * 0.72 / 2) * 2, args.height)
    rows = zip(
        film(args.video or args.fit / "clip.mp4", args.frames, args.height),
        in_motion(avatar, args.frames, size),
        turning(avatar, args.frames, size),
        strict=True,
    )
    frames = [Image.fromarray(np.concatenate(row, axis=1)) for row in islice(rows, args.frames)]
    for quality in (80, 70, 60, 50, 40, 30):
        frames[0].save(
            args.out,
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 / _FPS),
            loop=0,
            quality=quality,
            method=6,
        )
        if args.out.stat().st_size < args.max_mb * 1e6:
            break
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, quality {quality}")


if __name__ == "__main__":
    main()
