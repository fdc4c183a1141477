"""The overlay video: what was found in each frame, and whether the frame is trusted."""

from __future__ import annotations

import os
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pear_avatar.body.topology import (
    BONES,
    FINGERS,
    INNER_LIPS,
    LEFT_ANKLE,
    LEFT_BROW_BELOW,
    LEFT_EYE_OUTLINE,
    NOSE_RIDGE,
    NUM_POSE,
    OUTER_LIPS,
    OVAL,
    PALM,
    RIGHT_ANKLE,
    RIGHT_BROW_BELOW,
    RIGHT_EYE_OUTLINE,
)
from pear_avatar.io.video import VideoWriter, probe_video, read_frames
from pear_avatar.perception.masks import PersonMasks
from pear_avatar.perception.measure import SEEN
from pear_avatar.types import ClipDetections, ProgressFn

# Colours (RGB): the person's left is warm, the right is cool, the middle white.
_LEFT, _RIGHT, _MIDDLE = (255, 158, 44), (64, 180, 255), (240, 240, 240)
_FACE, _OUTLINE = (190, 255, 210), (255, 255, 255)
_GOOD, _BAD = (46, 196, 120), (232, 72, 72)
_BAR, _TEXT, _DIM = (20, 22, 26), (236, 238, 242), (104, 110, 120)

_CLOSED = (OVAL, LEFT_EYE_OUTLINE, RIGHT_EYE_OUTLINE, OUTER_LIPS, INNER_LIPS)
_OPEN = (LEFT_BROW_BELOW, RIGHT_BROW_BELOW, NOSE_RIDGE)
#: The longer side of the overlay video; larger clips are scaled down.
_MAX_SIDE = 1280


def write_overlay(
    video_path: str | os.PathLike[str],
    detections: ClipDetections,
    masks: PersonMasks,
    out_path: str | os.PathLike[str],
    *,
    progress: ProgressFn | None = None,
) -> None:
    """Write an mp4 showing skeleton, hands, face, mask outline and a bar that says which frames
    are trusted and why the others are not.

    Args:
        video_path: the clip the detections come from.
        detections, masks: what :func:`~pear_avatar.perception.clip.detect_clip` returned.
        out_path: the mp4 to write.
        progress: called with (stage, done, total).

    Raises:
        ValueError: masks and detections of different lengths.
        MediaError: the clip cannot be read.
    """
    if len(masks) != detections.num_frames:
        raise ValueError(f"{len(masks)} masks for {detections.num_frames} frames")
    longest = max(detections.width, detections.height)
    side = min(longest, _MAX_SIDE)
    info = probe_video(video_path)
    stride = np.diff(detections.frame_index)
    fps = info.fps / (float(np.median(stride)) if len(stride) else 1.0)
    row = {int(k): i for i, k in enumerate(detections.frame_index)}
    frames = read_frames(video_path, indices=detections.frame_index, max_side=side)
    with VideoWriter(out_path, max(fps, 1.0), crf=20) as writer:
        for done, (index, _, rgb) in enumerate(frames, 1):
            writer.write(draw_frame(rgb, detections, masks, row[index]))
            if progress is not None:
                progress("overlay", done, detections.num_frames)


def draw_frame(
    rgb: np.ndarray, detections: ClipDetections, masks: PersonMasks, i: int
) -> np.ndarray:
    """One overlay frame: the (H, W, 3) uint8 picture drawn on, with the bar below it."""
    height, width = rgb.shape[:2]
    mask = masks.mask(i)
    if mask.shape != (height, width):
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    canvas = _shade(rgb, mask)
    _draw_outline(canvas, mask, _line(canvas))
    draw_landmarks(canvas, detections, i)
    return np.concatenate([canvas, _status_bar(detections, i, width, height)])


def draw_landmarks(canvas: np.ndarray, detections: ClipDetections, i: int) -> None:
    """Draw frame ``i``'s body, face and hands on an (H, W, 3) uint8 picture of any size."""
    zoom, line = canvas.shape[1] / detections.width, _line(canvas)
    if detections.pose_confidence[i].any():
        _draw_body(canvas, detections.pose_px[i] * zoom, detections.pose_confidence[i], line)
    if detections.face_confidence[i] > 0:
        _draw_face(canvas, detections.face_px[i] * zoom)
    for hand, confidence, color in (
        (detections.left_hand_px[i], detections.left_hand_confidence[i], _LEFT),
        (detections.right_hand_px[i], detections.right_hand_confidence[i], _RIGHT),
    ):
        if confidence > 0:
            _draw_hand(canvas, hand * zoom, color, line)


def _line(canvas: np.ndarray) -> int:
    """Width of a line in pixels."""
    return max(1, round(min(canvas.shape[:2]) / 320))


def _shade(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Darken what is not the person, softly."""
    keep = 0.55 + 0.45 * (mask.astype(np.float32) / 255.0)
    return (rgb * keep[..., None]).astype(np.uint8)


def _draw_outline(canvas: np.ndarray, mask: np.ndarray, line: int) -> None:
    solid = (mask > 127).astype(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, _OUTLINE, max(1, line - 1), cv2.LINE_AA)


def _stroke(
    canvas: np.ndarray, points: np.ndarray, color: tuple[int, ...], width: int, closed: bool = False
) -> None:
    """An anti-aliased polyline at 1/16 pixel."""
    fixed = np.round(np.clip(points, -4e3, 3e4) * 16).astype(np.int32)
    cv2.polylines(canvas, [fixed[:, None]], closed, color, width, cv2.LINE_AA, shift=4)


def _side_color(index: int) -> tuple[int, int, int]:
    return _LEFT if index % 2 else _RIGHT


def _draw_body(canvas: np.ndarray, pose: np.ndarray, confidence: np.ndarray, line: int) -> None:
    for a, b in BONES:
        if min(confidence[a], confidence[b]) > 0.3:
            color = _MIDDLE if a % 2 != b % 2 else _side_color(a)
            sure = min(confidence[a], confidence[b]) > SEEN
            _stroke(canvas, pose[[a, b]], (0, 0, 0), line + 3)
            _stroke(canvas, pose[[a, b]], color, line + 1 if sure else 1)
    for k in range(11, NUM_POSE):
        if confidence[k] > SEEN and not 17 <= k <= 22:
            centre = tuple(int(v) for v in np.round(pose[k]))
            cv2.circle(canvas, centre, 2 * line, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(canvas, centre, 2 * line - 1, _side_color(k), -1, cv2.LINE_AA)


def _draw_hand(
    canvas: np.ndarray, hand: np.ndarray, color: tuple[int, int, int], line: int
) -> None:
    for finger in (*FINGERS, PALM):
        _stroke(canvas, hand[list(finger)], (0, 0, 0), line + 2)
    for finger in (*FINGERS, PALM):
        _stroke(canvas, hand[list(finger)], color, line)


def _draw_face(canvas: np.ndarray, face: np.ndarray) -> None:
    for ring in _CLOSED:
        _stroke(canvas, face[list(ring)], _FACE, 1, closed=True)
    for path in _OPEN:
        _stroke(canvas, face[list(path)], _FACE, 1)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _status_bar(detections: ClipDetections, i: int, width: int, height: int) -> np.ndarray:
    """(B, width, 3): what was found, the verdict, and the whole clip as a coloured strip."""
    text_size = max(11, round(min(width / 46, height / 22)))
    bar_height = round(2.9 * text_size)
    bar = Image.new("RGB", (width, bar_height), _BAR)
    draw = ImageDraw.Draw(bar)
    font, pad = _font(text_size), text_size // 2
    good = bool(detections.trusted[i])
    color = _GOOD if good else _BAD
    middle = round(1.05 * text_size)
    r = text_size // 3
    draw.ellipse((pad, middle - r, pad + 2 * r, middle + r), fill=color)
    verdict = "trusted" if good else f"left out: {detections.reason[i]}"
    draw.text((pad + 3 * r, middle), verdict, _TEXT if good else _BAD, font, anchor="lm")
    x = float(width - pad)
    for name, seen in reversed(_parts(detections, i)):
        draw.text((x, middle), name, _TEXT if seen else _DIM, font, anchor="rm")
        x -= draw.textlength(name, font) + 1.2 * text_size
    number = f"{int(detections.frame_index[i])}  {detections.time[i]:.2f} s"
    if x - draw.textlength(number, font) > 0.42 * width:
        draw.text((x, middle), number, _DIM, font, anchor="rm")
    _draw_timeline(draw, detections.trusted, i, width, bar_height, size=text_size)
    return np.asarray(bar)


def _parts(detections: ClipDetections, i: int) -> list[tuple[str, bool]]:
    ankles = detections.pose_confidence[i, [LEFT_ANKLE, RIGHT_ANKLE]].min() > SEEN
    return [
        ("full body" if ankles else "body", bool(detections.pose_confidence[i].any())),
        ("face", bool(detections.face_confidence[i] > 0)),
        ("L hand", bool(detections.left_hand_confidence[i] > 0)),
        ("R hand", bool(detections.right_hand_confidence[i] > 0)),
    ]


def _draw_timeline(
    draw: ImageDraw.ImageDraw,
    trusted: np.ndarray,
    i: int,
    width: int,
    bar_height: int,
    *,
    size: int,
) -> None:
    top, bottom = bar_height - round(0.8 * size), bar_height - round(0.35 * size)
    left, right = size // 2, width - size // 2
    edges = np.linspace(left, right, len(trusted) + 1)
    starts = np.flatnonzero(np.r_[True, trusted[1:] != trusted[:-1]])
    for start, end in zip(starts, [*starts[1:], len(trusted)], strict=True):
        color = _GOOD if trusted[start] else _BAD
        draw.rectangle((edges[start], top, max(edges[start] + 1, edges[end]), bottom), fill=color)
    x = (edges[i] + edges[i + 1]) / 2
    draw.rectangle((x - 1, top - size // 5, x + 1, bottom + size // 5), fill=(255, 255, 255))
