"""Head and hands at the video's own resolution, beside the crops of the whole person.

A person is scaled to a few hundred pixels before the fit sees them, and a face to a tenth of
that. Detail crops show the parts that people look at as finely as the video does; they are
used in added, cheap steps of the joint stage and to measure what the avatar looks like close up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.frames import CropPlan, FrameSet, Split
from pear_avatar.geometry.cameras import project
from pear_avatar.types import Camera, ClipDetections, Track

HEAD_JOINTS = (12, 15, 22, 23, 24)
_LEFT_HAND, _RIGHT_HAND = (20, *range(25, 40)), (21, *range(40, 55))
#: the part that is the whole frame: measured only
FRAME = "frame"
#: part -> the joints that a crop of it may move, and whose vertices it shows
PART_JOINTS: dict[str, tuple[int, ...]] = {
    "head": HEAD_JOINTS,
    "left_hand": _LEFT_HAND,
    "right_hand": _RIGHT_HAND,
}
#: crop over the part's box: hair stands above the skull, flesh around the landmarks
_MARGIN = {"head": 1.3, "left_hand": 1.4, "right_hand": 1.4}
#: longest side of a stored crop (px): larger parts are scaled down to it
_LARGEST = 512
#: a part smaller than this in the video holds no detail that the person's crop lacks
_SMALLEST = 24
#: fitted frames that get a detail crop at most, evenly spread: memory must not grow with the clip
_MAX_FITTED = 120
#: whole frames that are kept at the video's own resolution, and their longest side (px)
_MAX_FRAMES, _LARGEST_FRAME = 6, 1920
#: share of a part's box that must lie inside the frame
_IN_FRAME = 0.6
#: confidence of a detected hand below which its crop shows something else
_HAND_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Detail:
    """Crops of one part of the person; all have one size.

    part:   "head", "left_hand", "right_hand", or "frame" for the whole frame.
    frames: M crops; ``split`` as in the person's crops.
    crop:   (M,) int64 position of the person's crop of the same frame.
    scale:  crop pixels over pixels of the video.
    """

    part: str
    frames: FrameSet
    crop: np.ndarray
    scale: float

    def __len__(self) -> int:
        return len(self.crop)

    def window(self, k: int, left: int, top: int, size: int) -> DetailView:
        """Training data of a square (or what of it lies in the crop) of crop k."""
        f = self.frames
        x1, y1 = min(left + size, f.camera.width), min(top + size, f.camera.height)
        box = (k, slice(top, y1), slice(left, x1))
        K = f.camera.K[k].clone()
        K[:2, 2] -= K.new_tensor([left, top])
        camera = Camera(K, f.camera.T_camera_world[k], x1 - left, y1 - top)
        color = torch.from_numpy(f.targets[box]).permute(2, 0, 1).float().div_(255).contiguous()
        mask, valid = (torch.from_numpy(x[box]).float().div_(255) for x in (f.masks, f.valid))
        return DetailView(camera, (color, mask, valid))


@dataclass(frozen=True)
class DetailView:
    """One camera and its target: colour (3, h, w), mask (h, w), valid (h, w) in [0, 1]."""

    camera: Camera
    target: tuple[Tensor, Tensor, Tensor]


def plan_details(
    body: BodyModel, track: Track, detections: ClipDetections, rows: np.ndarray, split: np.ndarray
) -> dict[str, CropPlan]:
    """Where head and hands are to be cut; parts that are too small or never seen are absent.

    With them a few whole held-out frames, for figures alone.

    ``rows`` and ``split`` are those of the person's crops. Held-out frames all get a crop, fitted
    ones at most 120.
    """
    plans = {}
    for part in PART_JOINTS:
        boxes = _head_boxes(body, track, rows)
        if part != "head":
            boxes = _hand_boxes(getattr(detections, f"{part}_px")[rows])
        use = _picture_of(boxes, track) & _detected(detections, part, rows)
        fitted = np.flatnonzero(use & (split == Split.FITTED))
        if len(fitted) > _MAX_FITTED:
            chosen = np.linspace(0, len(fitted) - 1, _MAX_FITTED).round().astype(int)
            use[np.setdiff1d(fitted, fitted[chosen])] = False
        if use.any():
            plan = _plan(boxes[use], _MARGIN[part], rows[use], split[use])
            if plan is not None:
                plans[part] = plan
    held_out = np.flatnonzero(split == Split.HELD_OUT)
    if len(held_out):
        pick = np.linspace(0, len(held_out) - 1, min(_MAX_FRAMES, len(held_out)))
        chosen = held_out[pick.round().astype(int)]
        plans[FRAME] = _whole_frames(detections, rows[chosen], split[chosen])
    return plans


def make_details(
    cut: dict[str, FrameSet], plans: dict[str, CropPlan], frames: FrameSet
) -> dict[str, Detail]:
    """Tie cut crops to the person's crops of the same frames."""
    position = {int(r): i for i, r in enumerate(frames.row)}
    return {
        part: Detail(part, f, np.array([position[int(r)] for r in f.row]), plans[part].scale)
        for part, f in cut.items()
    }


def hide_occluders(details: dict[str, Detail], frames: FrameSet) -> dict[str, Detail]:
    """The same crops with what ``frames.valid`` leaves out left out here too."""
    out = {}
    for part, detail in details.items():
        f = detail.frames
        valid = f.valid.copy()
        for k, i in enumerate(detail.crop):
            hidden = _warped(frames.valid[i], frames.camera[int(i)], f.camera[k])
            np.minimum(valid[k], hidden, out=valid[k])
        out[part] = replace(detail, frames=f.with_valid(valid))
    return out


def _warped(image: np.ndarray, source: Camera, wanted: Camera) -> np.ndarray:
    """A crop's map as seen by another crop of the same frame; 255 outside of it."""
    a, b = source.K.cpu().numpy(), wanted.K.cpu().numpy()
    s = a[0, 0] / b[0, 0]
    shift = a[:2, 2] - b[:2, 2] * s + 0.5 * (s - 1)
    affine = np.array([[s, 0, shift[0]], [0, s, shift[1]]])
    return cv2.warpAffine(
        image,
        affine,
        (wanted.width, wanted.height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderValue=(255,),
    )


def _whole_frames(detections: ClipDetections, rows: np.ndarray, split: np.ndarray) -> CropPlan:
    size = (detections.width, detections.height)
    scale = min(1.0, _LARGEST_FRAME / max(size))
    width, height = (round(s * scale) for s in size)
    return CropPlan(rows, split, np.zeros((len(rows), 2)), scale, width, height)


def _hand_boxes(landmarks_px: np.ndarray) -> np.ndarray:
    """(N, 4) boxes of detected hands (N, 21, 2): a tracked hand may lie beside the seen one."""
    return np.concatenate([landmarks_px.min(1), landmarks_px.max(1)], 1).astype(np.float64)


@torch.no_grad()
def _head_boxes(body: BodyModel, track: Track, rows: np.ndarray) -> np.ndarray:
    """(N, 4) x0, y0, x1, y1 of the bare head in full-frame pixels."""
    chosen = (body.skin_weights_t[list(HEAD_JOINTS)].sum(0) > 0.5).nonzero()[:, 0]
    boxes = []
    for r in rows:
        p = track.motion.params[int(r)]
        posed = body.shape(p.betas, p.expression).pose(p.rotations, p.transl)
        px, _ = project(track.camera[int(r)], posed.vertices()[chosen])
        boxes.append(torch.cat([px.amin(0), px.amax(0)]).cpu().numpy())
    return np.stack(boxes).astype(np.float64)


def _picture_of(boxes: np.ndarray, track: Track) -> np.ndarray:
    """(N,) bool: enough of the box lies inside the frame."""
    size = np.array([track.camera.width, track.camera.height])
    low, high = boxes[:, :2].clip(0, size), boxes[:, 2:].clip(0, size)
    inside = (high - low).prod(1)
    return inside > _IN_FRAME * (boxes[:, 2:] - boxes[:, :2]).prod(1).clip(1)


def _detected(detections: ClipDetections, part: str, rows: np.ndarray) -> np.ndarray:
    if part == "head":
        return np.ones(len(rows), bool)
    confidence = getattr(detections, f"{part}_confidence")[rows]
    return confidence.reshape(len(rows), -1).mean(1) > _HAND_CONFIDENCE


def _plan(boxes: np.ndarray, margin: float, rows: np.ndarray, split: np.ndarray) -> CropPlan | None:
    extent = np.percentile(boxes[:, 2:] - boxes[:, :2], 90, axis=0) * margin
    if extent.max() < _SMALLEST:
        return None
    scale = float(min(1.0, _LARGEST / extent.max()))
    width, height = (int(np.ceil(e * scale / 16) * 16) for e in extent)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    offsets = center - np.array([width, height]) / (2 * scale)
    return CropPlan(rows, split, offsets, scale, width, height)
