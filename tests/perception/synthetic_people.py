"""People made of numbers: a standing figure whose landmarks, hands and face are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pear_avatar.perception.appearance import NUM_COLOR_BINS
from pear_avatar.perception.masks import PackedMask
from pear_avatar.perception.raw import RawClip

WIDTH, HEIGHT, SCALE = 640, 480, 200.0  # pixels per metre

# mediapipe's 33 landmarks of somebody facing the camera: x right, y down, z away, metres from
# the hips. The person's left is on the picture's right.
_HALF = {
    11: (0.18, -0.50, 0.0), 13: (0.26, -0.22, 0.0), 15: (0.30, 0.04, -0.05),
    17: (0.31, 0.10, -0.05), 19: (0.31, 0.12, -0.05), 21: (0.28, 0.10, -0.06),
    23: (0.10, 0.0, 0.0), 25: (0.12, 0.42, -0.02), 27: (0.12, 0.82, 0.02),
    29: (0.12, 0.86, 0.06), 31: (0.14, 0.88, -0.10),
    7: (0.08, -0.66, 0.0), 9: (0.03, -0.60, -0.10),
}  # fmt: skip


def body() -> np.ndarray:
    """(33, 3) metres."""
    points = np.zeros((33, 3), np.float32)
    for k, (x, y, z) in _HALF.items():
        points[k] = x, y, z
        points[k + 1] = -x, y, z
    points[0] = 0.0, -0.64, -0.14
    for k, x in zip((1, 2, 3), (0.02, 0.03, 0.05), strict=True):
        points[k] = x, -0.68, -0.10
        points[k + 3] = -x, -0.68, -0.10
    return points


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Turn about the vertical: 90 shows the profile, 180 the back."""
    a = np.deg2rad(degrees)
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([x * np.cos(a) - z * np.sin(a), y, x * np.sin(a) + z * np.cos(a)], -1).astype(
        np.float32
    )


def hand(wrist: np.ndarray, spread: float = 1.0) -> np.ndarray:
    """(21, 2) px of an open hand hanging from ``wrist``."""
    points = np.zeros((21, 2), np.float32)
    for finger in range(5):
        for joint in range(4):
            points[1 + 4 * finger + joint] = (
                (finger - 2) * 0.02 * spread,
                0.05 + 0.03 * joint,
            )
    return (points * SCALE + wrist).astype(np.float32)


def face(nose: np.ndarray) -> np.ndarray:
    """(478, 2) px of a frontal face mesh: only the points that are judged are in their place."""
    points = np.tile(nose, (478, 1)).astype(np.float32)
    offsets = {1: (0, 0), 10: (0, -0.10), 152: (0, 0.08), 263: (0.045, -0.04), 33: (-0.045, -0.04)}
    for k, offset in offsets.items():
        points[k] = nose + np.array(offset, np.float32) * SCALE
    return points


def clip(world: np.ndarray, centre: tuple[float, float] = (320.0, 220.0)) -> RawClip:
    """A clip of perfect detections of (N, 33, 3) landmarks in metres, hands and face included."""
    count = len(world)
    pixels = world[..., :2] * SCALE + np.array(centre, np.float32)
    pose = np.concatenate([pixels, np.ones((count, 33, 1), np.float32)], -1).astype(np.float32)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:460, 230:410] = 255
    colors = np.zeros((count, NUM_COLOR_BINS), np.float32)
    colors[:, :4] = 0.25
    yes = np.ones(count, bool)
    return RawClip(
        frame_index=np.arange(count),
        time=np.arange(count) / 25.0,
        pose=pose,
        world=world.astype(np.float32),
        found=yes.copy(),
        left_hand=np.stack([hand(p) for p in pixels[:, 15]]),
        left_found=yes.copy(),
        right_hand=np.stack([hand(p) for p in pixels[:, 16]]),
        right_found=yes.copy(),
        face=np.stack([face(p) for p in pixels[:, 0]]),
        face_found=yes.copy(),
        colors=colors,
        masks=(PackedMask.pack(mask),) * count,
        width=WIDTH,
        height=HEIGHT,
    )


def standing(count: int) -> RawClip:
    """Somebody who faces the camera and sways a little."""
    world = np.repeat(body()[None], count, axis=0)
    world[:, :23, 0] += 0.03 * np.sin(np.arange(count) / 3)[:, None]
    return clip(world)


def swapped(raw: RawClip, rows: np.ndarray, first: int = 0) -> RawClip:
    """The clip as a detector sees it that takes left for right in ``rows`` (landmarks from
    number ``first`` on)."""
    order = np.arange(33)
    for k in (*range(7, 33, 2), 1, 2, 3):
        partner = k + 1 if k >= 7 else k + 3
        if k >= first:
            order[k], order[partner] = partner, k
    pose, world = raw.pose.copy(), raw.world.copy()
    pose[rows], world[rows] = pose[rows][:, order], world[rows][:, order]
    return replace(raw, pose=pose, world=world)
