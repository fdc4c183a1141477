"""The pictures a fit works on: person-centred crops of one size with masks and cameras."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import IntEnum

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.errors import MediaError
from pear_avatar.geometry.cameras import crop_camera
from pear_avatar.types import Camera, ClipDetections, Track

_MARGIN_X, _MARGIN_Y = 1.12, 1.08
_MASK_INSIDE = 0.9
#: crops of so many frames are cut at a time; OpenCV leaves Python's lock meanwhile
_CUTTING_THREADS = 2


class Split(IntEnum):
    """What a crop is for."""

    FITTED = 0
    #: left out of the appearance fit and measured
    HELD_OUT = 1
    #: the end of the clip, kept out of the fit altogether
    UNSEEN = 2
    #: shows something that the body does not explain: neither fitted nor measured
    REFUSED = 3


@dataclass(frozen=True)
class FrameSet:
    """N crops of one person, all h x w pixels at one scale.

    images:   (N, h, w, 3) uint8, the frame as it is.
    targets:  (N, h, w, 3) uint8, the same with the person's own colour carried outwards over the
              soft rim, so that background does not bleed into the splats.
    masks:    (N, h, w) uint8 soft person mask.
    valid:    (N, h, w) uint8, 255 where the crop lies inside the frame and nothing hides the
              person; 0 is left out of every loss.
    camera:   batch of N cameras of the crops.
    row:      (N,) int64 row of the track each crop belongs to.
    split:    (N,) int8, a :class:`Split` each.
    """

    images: np.ndarray
    targets: np.ndarray
    masks: np.ndarray
    valid: np.ndarray
    camera: Camera
    row: np.ndarray
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def indices(self, split: Split) -> list[int]:
        """Positions of the frames of one split, in time order."""
        return [int(i) for i in np.flatnonzero(self.split == split)]

    def target(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Training tensors of crop i: colour (3, h, w), mask (h, w), valid (h, w) in [0, 1]."""
        return _planar(self.targets[i]), _unit(self.masks[i]), _unit(self.valid[i])

    def image(self, i: int) -> tuple[Tensor, Tensor]:
        """The untouched crop i: colour (3, h, w) and mask (h, w) in [0, 1]."""
        return _planar(self.images[i]), _unit(self.masks[i])

    def with_valid(self, valid: np.ndarray) -> FrameSet:
        """The same frames with another validity map."""
        return replace(self, valid=valid)


def _planar(image: np.ndarray) -> Tensor:
    # Split as bytes: to transpose floats takes four times as long.
    planes = np.empty((image.shape[2], *image.shape[:2]), np.uint8)
    cv2.split(image, list(planes))
    return torch.from_numpy(planes).float().div_(255)


def _unit(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask).float().div_(255)


def choose_rows(
    track: Track, *, max_frames: int, holdout_every: int, unseen_tail: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of the track are fitted, held out, or kept as the unseen tail.

    Returns (rows (N,), split (N,)). Untrusted rows never appear. With fewer than
    ``2 * holdout_every`` frames every frame is fitted and the middle one is measured too rarely
    to mean anything, so nothing is held out below three frames.
    """
    rows = np.flatnonzero(track.trusted)
    if len(rows) > max_frames:
        rows = rows[np.linspace(0, len(rows) - 1, max_frames).round().astype(int)]
    split = np.full(len(rows), Split.FITTED, np.int8)
    if len(rows) >= 3 and holdout_every > 1:
        first = min(holdout_every // 2, len(rows) // 2)
        split[first::holdout_every] = Split.HELD_OUT
    if unseen_tail and len(rows) >= 5:
        split[int(np.ceil(0.8 * len(rows))) :] = Split.UNSEEN
    return rows, split


def _crop_boxes(boxes: np.ndarray, crop_size: int) -> tuple[np.ndarray, float, int, int]:
    """Common crop geometry of all frames: offsets (N, 2) px, scale, width, height."""
    extent = np.percentile(boxes[:, 2:] - boxes[:, :2], 98, axis=0)
    crop_w, crop_h = extent * (_MARGIN_X, _MARGIN_Y)
    scale = min(1.0, crop_size / max(crop_w, crop_h))
    width = int(np.ceil(crop_w * scale / 16) * 16)
    height = int(np.ceil(crop_h * scale / 16) * 16)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    offsets = center - np.array([width, height]) / (2 * scale)
    return offsets, float(scale), width, height


def _mask_box(mask: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(mask > 127)
    if len(xs) < 16:
        return fallback
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float64)


def carry_color_outwards(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Replace the colour of the soft rim by the person's own colour nearby.

    image (h, w, 3) uint8, mask (h, w) uint8. Mixed pixels hold part of the background; a
    normalised blur of the sure inside gives the colour the person would have there.
    """
    sure = (mask >= 255 * _MASK_INSIDE).astype(np.uint8)
    inside = cv2.erode(sure, np.ones((3, 3), np.uint8))
    known, color = inside.astype(np.float32), image.astype(np.float32)
    out = image.copy()
    missing = inside == 0
    both = np.dstack([color * known[..., None], known])
    for sigma, shrink in ((1.5, 1), (4.0, 1), (12.0, 4)):
        blurred = _blurred(both, sigma, shrink)
        weight = blurred[..., 3]
        ok = missing & (weight > 0.02)
        out[ok] = np.clip(blurred[ok][:, :3] / weight[ok, None], 0, 255).astype(np.uint8)
        missing &= ~ok
    return out


def _blurred(image: np.ndarray, sigma: float, shrink: int) -> np.ndarray:
    """A Gaussian blur, on a grid ``shrink`` times coarser: wide ones have nothing finer to lose."""
    if shrink == 1 or min(image.shape[:2]) < 4 * shrink:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    height, width = image.shape[:2]
    size = (-(-width // shrink), -(-height // shrink))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class CropPlan:
    """Where to cut N crops of one size and scale out of a clip.

    rows, split: as in :class:`FrameSet`.
    offsets:     (N, 2) full-frame pixels of each crop's top-left corner.
    scale:       crop pixels over full-frame pixels, at most 1.
    width, height: of a crop, pixels.
    """

    rows: np.ndarray
    split: np.ndarray
    offsets: np.ndarray
    scale: float
    width: int
    height: int


def plan_person(
    mask_of: Callable[[int], np.ndarray],
    detections: ClipDetections,
    rows: np.ndarray,
    *,
    split: np.ndarray,
    crop_size: int,
) -> CropPlan:
    """The whole person in every frame, at most ``crop_size`` pixels a side."""
    boxes = np.stack([_mask_box(mask_of(int(r)), detections.box_xyxy[r]) for r in rows])
    return CropPlan(rows, split, *_crop_boxes(boxes, crop_size))


def cut_crops(
    frames: Iterable[tuple[int, float, np.ndarray]],
    mask_of: Callable[[int], np.ndarray],
    track: Track,
    plans: Mapping[str, CropPlan],
    on_frame: Callable[[int], None] | None = None,
) -> dict[str, FrameSet]:
    """Cut the crops of every plan in one pass over the clip.

    ``frames`` yields (index, time, rgb) upright at the detections' size, at least for the rows'
    frame indices and in order; ``mask_of(row)`` gives the (H, W) uint8 soft mask.

    Raises:
        MediaError: the video lacks a frame that the track names.
    """
    cutters = {name: _Cutter(plan) for name, plan in plans.items()}
    wanted = {int(track.frame_index[r]): int(r) for plan in plans.values() for r in plan.rows}

    def cut(row: int, rgb: np.ndarray) -> None:
        mask = mask_of(row)
        for cutter in cutters.values():
            cutter.take(row, rgb, mask)

    found, waiting = 0, deque[Future[None]]()
    with ThreadPoolExecutor(_CUTTING_THREADS) as pool:
        for index, _, rgb in frames:
            row = wanted.get(index)
            if row is None:
                continue
            waiting.append(pool.submit(cut, row, rgb))
            if len(waiting) > _CUTTING_THREADS:  # so many frames at most are held
                waiting.popleft().result()
            found += 1
            if on_frame is not None:
                on_frame(found)
            if found == len(wanted):
                break
        for future in waiting:
            future.result()
    if found < len(wanted):
        raise MediaError(f"the video gave {found} of the {len(wanted)} frames the track names")
    return {name: cutter.frame_set(track) for name, cutter in cutters.items()}


class _Cutter:
    """Fills one plan's crops frame by frame."""

    def __init__(self, plan: CropPlan) -> None:
        n, shape = len(plan.rows), (len(plan.rows), plan.height, plan.width)
        self._plan = plan
        self._position = {int(r): k for k, r in enumerate(plan.rows)}
        self._images, self._targets = (
            np.zeros((*shape, 3), np.uint8),
            np.zeros((*shape, 3), np.uint8),
        )
        self._masks, self._valid = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        assert n == len(plan.offsets)

    def take(self, row: int, rgb: np.ndarray, mask: np.ndarray) -> None:
        """Cut one frame, where the plan wants it."""
        k = self._position.get(row)
        if k is None:
            return
        plan = self._plan
        # Pixel centres sit at +0.5: output centre u + 0.5 looks at input (u + 0.5) / s + o.
        shift, (x, y) = 0.5 * (plan.scale - 1), plan.offsets[k] * plan.scale
        affine = np.array([[plan.scale, 0, shift - x], [0, plan.scale, shift - y]])
        size = (plan.width, plan.height)
        inside = np.full(rgb.shape[:2], 255, np.uint8)
        image = _prefilter(rgb, plan.scale)
        self._images[k] = cv2.warpAffine(
            image, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        self._masks[k] = cv2.warpAffine(
            _prefilter(mask, plan.scale), affine, size, flags=cv2.INTER_LINEAR
        )
        self._valid[k] = cv2.warpAffine(inside, affine, size, flags=cv2.INTER_NEAREST)
        self._targets[k] = carry_color_outwards(self._images[k], self._masks[k])

    def frame_set(self, track: Track) -> FrameSet:
        """The crops with their cameras."""
        p = self._plan
        cameras = [
            crop_camera(
                track.camera[int(r)], p.scale, float(o[0]), float(o[1]), p.width, height=p.height
            )
            for r, o in zip(p.rows, p.offsets, strict=True)
        ]
        camera = Camera(
            torch.stack([c.K for c in cameras]),
            torch.stack([c.T_camera_world for c in cameras]),
            p.width,
            p.height,
        )
        return FrameSet(
            images=self._images,
            targets=self._targets,
            masks=self._masks,
            valid=self._valid,
            camera=camera,
            row=p.rows.astype(np.int64),
            split=p.split,
        )


def _prefilter(image: np.ndarray, scale: float) -> np.ndarray:
    """Blur before shrinking: warpAffine ignores INTER_AREA and would alias."""
    if scale >= 0.8:
        return image
    return cv2.GaussianBlur(image, (0, 0), 0.42 / scale)
