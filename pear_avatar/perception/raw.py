"""The detector's output for each frame of a clip, stacked into arrays, before it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from pear_avatar.body.topology import NUM_FACE, NUM_HAND, NUM_POSE
from pear_avatar.perception.appearance import color_histogram
from pear_avatar.perception.detectors import FrameDetection
from pear_avatar.perception.masks import PackedMask, masks_from_arrays, masks_to_arrays


@dataclass(frozen=True)
class RawClip:
    """N frames of detections; coordinates are 0 where the part was not found.

    frame_index (N,) int64; time (N,) s; pose (N, 33, 3) x, y, visibility; world (N, 33, 3) m;
    left_hand, right_hand (N, 21, 2); face (N, 478, 2); the four ``*_found`` (N,) bool;
    colors (N, 256) the person's colours by part, summing to 1; masks: N packed soft masks;
    width, height: of the frames, pixels.
    """

    frame_index: np.ndarray
    time: np.ndarray
    pose: np.ndarray
    world: np.ndarray
    found: np.ndarray
    left_hand: np.ndarray
    left_found: np.ndarray
    right_hand: np.ndarray
    right_found: np.ndarray
    face: np.ndarray
    face_found: np.ndarray
    colors: np.ndarray
    masks: tuple[PackedMask, ...]
    width: int
    height: int

    @property
    def num_frames(self) -> int:
        """Number of frames N."""
        return len(self.frame_index)

    def mask(self, i: int) -> np.ndarray:
        """(H, W) uint8 soft mask of row ``i``."""
        return self.masks[i].unpack(self.height, self.width)

    def __getitem__(self, index: slice | np.ndarray) -> RawClip:
        """Some of the frames: a slice, row numbers or a mask."""
        rows: dict[str, Any] = {name: getattr(self, name)[index] for name in _ARRAYS}
        picked = np.arange(self.num_frames)[index]
        return replace(self, **rows, masks=tuple(self.masks[int(i)] for i in picked))

    @classmethod
    def concat(cls, parts: Sequence[RawClip]) -> RawClip:
        """The frames of several parts, one after another."""
        rows: dict[str, Any] = {n: np.concatenate([getattr(p, n) for p in parts]) for n in _ARRAYS}
        return replace(parts[0], **rows, masks=tuple(m for p in parts for m in p.masks))

    def with_rows(self, order: Sequence[int], new: RawClip) -> RawClip:
        """The clip with the rows ``order`` replaced by those of ``new``."""
        changed: dict[str, Any] = {}
        for name in _ARRAYS:
            changed[name] = getattr(self, name).copy()
            changed[name][list(order)] = getattr(new, name)
        masks = list(self.masks)
        for i, mask in zip(order, new.masks, strict=True):
            masks[i] = mask
        return replace(self, **changed, masks=tuple(masks))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for an npz."""
        arrays = {
            f.name: np.asarray(getattr(self, f.name)) for f in fields(self) if f.name != "masks"
        }
        return arrays | masks_to_arrays(self.masks)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> RawClip:
        """The clip that :meth:`to_arrays` saved.

        Raises:
            KeyError: an array is missing. ValueError: arrays of different lengths.
        """
        rows: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
        masks = tuple(masks_from_arrays(arrays))
        lengths = {len(masks), *(len(v) for v in rows.values())}
        if len(lengths) != 1:
            raise ValueError(f"arrays of different lengths {sorted(lengths)}")
        return cls(**rows, masks=masks, width=int(arrays["width"]), height=int(arrays["height"]))


_ARRAYS = tuple(f.name for f in fields(RawClip) if f.name not in {"masks", "width", "height"})


@dataclass(frozen=True)
class RawFrame:
    """One row of a :class:`RawClip`, made while the frame's pixels are in memory."""

    frame_index: int
    time: float
    detection: FrameDetection
    colors: np.ndarray
    mask: PackedMask
    width: int
    height: int


def raw_frame(index: int, time: float, rgb: np.ndarray, detection: FrameDetection) -> RawFrame:
    """Pack the mask and measure the person's colours."""
    mask = detection.mask
    if detection.pose is None or mask is None:
        mask = np.zeros(rgb.shape[:2], np.uint8)
    height, width = rgb.shape[:2]
    colors, packed = color_histogram(rgb, mask, detection.pose), PackedMask.pack(mask)
    return RawFrame(
        frame_index=index,
        time=time,
        detection=detection,
        colors=colors,
        mask=packed,
        width=width,
        height=height,
    )


def stack_frames(frames: list[RawFrame]) -> RawClip:
    """Frames of one size, stacked to arrays."""

    def part(name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        values = [getattr(f.detection, name) for f in frames]
        found = np.array([v is not None for v in values], bool)
        filled = [np.zeros(shape, np.float32) if v is None else v for v in values]
        return np.stack(filled).astype(np.float32), found

    pose, found = part("pose", (NUM_POSE, 3))
    world, _ = part("pose_world", (NUM_POSE, 3))
    left, left_found = part("left_hand", (NUM_HAND, 2))
    right, right_found = part("right_hand", (NUM_HAND, 2))
    face, face_found = part("face", (NUM_FACE, 2))
    return RawClip(
        frame_index=np.array([f.frame_index for f in frames], np.int64),
        time=np.array([f.time for f in frames], np.float64),
        pose=pose,
        world=world,
        found=found,
        left_hand=left,
        left_found=left_found,
        right_hand=right,
        right_found=right_found,
        face=face,
        face_found=face_found,
        colors=np.stack([f.colors for f in frames]),
        masks=tuple(f.mask for f in frames),
        width=frames[0].width,
        height=frames[0].height,
    )
