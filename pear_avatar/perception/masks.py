"""Per-frame person masks: soft 8-bit, kept compressed, decoded one at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

_LEVEL = 3  # zlib: a third of level 9's time for nearly its size


@dataclass(frozen=True)
class PackedMask:
    """One mask: the box that holds every non-zero pixel, and its pixels compressed."""

    box_xyxy: tuple[int, int, int, int]
    data: bytes

    @staticmethod
    def pack(mask: np.ndarray) -> PackedMask:
        """Compress an (H, W) uint8 mask."""
        if mask.dtype != np.uint8 or mask.ndim != 2:
            raise ValueError(f"expected an (H, W) uint8 mask, got {mask.shape} {mask.dtype}")
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows) == 0:
            return PackedMask((0, 0, 0, 0), b"")
        x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        return PackedMask((x0, y0, x1, y1), zlib.compress(mask[y0:y1, x0:x1].tobytes(), _LEVEL))

    def unpack(self, height: int, width: int) -> np.ndarray:
        """The (height, width) uint8 mask."""
        mask = np.zeros((height, width), np.uint8)
        x0, y0, x1, y1 = self.box_xyxy
        if self.data:
            pixels = np.frombuffer(zlib.decompress(self.data), np.uint8)
            mask[y0:y1, x0:x1] = pixels.reshape(y1 - y0, x1 - x0)
        return mask


@dataclass(frozen=True)
class PersonMasks:
    """The person's mask in each of the N processed frames of a clip.

    height, width: pixels, as in :class:`~pear_avatar.types.ClipDetections`.
    """

    height: int
    width: int
    packed: tuple[PackedMask, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.packed)

    def mask(self, i: int) -> np.ndarray:
        """(H, W) uint8 coverage of the i-th PROCESSED frame: 0 background, 255 person."""
        if not 0 <= i < len(self.packed):
            raise IndexError(f"mask {i} asked for, the clip has {len(self.packed)} frames")
        return self.packed[i].unpack(self.height, self.width)

    @staticmethod
    def from_arrays(masks: Iterable[np.ndarray]) -> PersonMasks:
        """Pack (H, W) uint8 masks of one size, given one after another.

        Raises:
            ValueError: no mask, or masks of different sizes.
        """
        packed, shape = [], None
        for mask in masks:
            if shape is not None and mask.shape != shape:
                raise ValueError(f"masks of different sizes: {shape} and {mask.shape}")
            shape = mask.shape
            packed.append(PackedMask.pack(mask))
        if shape is None:
            raise ValueError("no masks to pack")
        return PersonMasks(shape[0], shape[1], tuple(packed))


def masks_to_arrays(packed: Sequence[PackedMask]) -> dict[str, np.ndarray]:
    """Plain arrays for an npz: boxes (N, 4), byte offsets (N + 1,), all bytes in one row."""
    return {
        "mask_box": np.array([m.box_xyxy for m in packed], np.int32).reshape(-1, 4),
        "mask_offset": np.cumsum([0, *(len(m.data) for m in packed)]).astype(np.int64),
        "mask_bytes": np.frombuffer(b"".join(m.data for m in packed), np.uint8),
    }


def masks_from_arrays(arrays: dict[str, np.ndarray]) -> list[PackedMask]:
    """What :func:`masks_to_arrays` wrote."""
    data, offset = arrays["mask_bytes"].tobytes(), arrays["mask_offset"]
    return [
        PackedMask(tuple(int(v) for v in box), data[offset[i] : offset[i + 1]])  # type: ignore[arg-type]
        for i, box in enumerate(arrays["mask_box"])
    ]


def keep_person(mask: np.ndarray, points: np.ndarray, level: int = 96) -> np.ndarray:
    """Drop what is not the person: only components that hold a landmark or are large stay.

    Args:
        mask: (H, W) uint8, soft.
        points: (P, 2) pixels of landmarks that are surely on the person.
        level: where the soft mask is cut to find components.

    Returns (H, W) uint8. A limb cut off by something in front stays if it holds a landmark.
    """
    solid = (mask > level).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    if count <= 1:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    keep = np.zeros(count, bool)
    keep[1 + int(np.argmax(areas))] = True
    height, width = mask.shape
    columns, rows = points[:, 0].astype(np.int64), points[:, 1].astype(np.int64)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    hit = np.unique(labels[rows[inside], columns[inside]])
    keep[hit[hit > 0]] = True
    keep[1:] &= areas > 0.002 * areas.max()
    keep[0] = False
    # The soft rim belongs to the nearest solid part: grow the kept parts by a few pixels.
    size = max(3, round(0.02 * float(np.sqrt(areas.max()))) * 2 + 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    near = cv2.dilate(keep[labels].astype(np.uint8), kernel)
    other = (labels > 0) & ~keep[labels]
    return np.where((near > 0) & ~other, mask, 0).astype(np.uint8)
