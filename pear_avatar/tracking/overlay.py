"""The track drawn over its video, to be looked at."""

from __future__ import annotations

import os
from collections.abc import Callable

import cv2
import numpy as np
import torch

from pear_avatar.body import BodyModel
from pear_avatar.body.joints import JOINT_NAMES, PARENTS
from pear_avatar.geometry.cameras import project, to_camera
from pear_avatar.io.video import VideoWriter, probe_video, read_frames
from pear_avatar.types import ClipDetections, Track

_MAX_SIDE = 1280
_BATCH = 16
#: share of the picture's height that the side view takes
_INSET = 0.3
_LEFT, _RIGHT, _MIDDLE = (255, 158, 44), (64, 180, 255), (240, 240, 240)
_OUTLINE, _DETECTED, _BAD, _PAPER = (255, 255, 255), (255, 70, 70), (232, 72, 72), (24, 26, 30)


def write_track_overlay(
    video: str | os.PathLike[str],
    track: Track,
    body: BodyModel,
    out: str | os.PathLike[str],
    *,
    detections: ClipDetections | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Write an mp4 of the clip with the body's outline and skeleton over every tracked frame.

    The inset shows the same skeleton from the side (the camera is to its right), where wrong
    depth and leaning show. With ``detections`` a red line joins each confident pose landmark of
    the detector with the body's own. Untrusted frames carry a red border.

    Raises:
        MediaError: the clip cannot be read.
    """
    side = min(max(track.camera.width, track.camera.height), _MAX_SIDE)
    info = probe_video(video)
    stride = np.diff(track.frame_index)
    fps = info.fps / (float(np.median(stride)) if len(stride) else 1.0)
    frames = read_frames(video, indices=track.frame_index, max_side=side)
    row = {int(index): i for i, index in enumerate(track.frame_index)}
    total = len(track.frame_index)
    with VideoWriter(out, max(fps, 1.0), crf=20) as writer:
        pending: list[tuple[int, np.ndarray]] = []
        for done, (index, _, rgb) in enumerate(frames, 1):
            pending.append((row[int(index)], rgb))
            if len(pending) == _BATCH or done == total:
                for picture in draw_frames(pending, track, body, detections):
                    writer.write(picture)
                pending = []
                if progress is not None:
                    progress("track overlay", done, total)
        for picture in draw_frames(pending, track, body, detections):
            writer.write(picture)


def draw_frames(
    frames: list[tuple[int, np.ndarray]],
    track: Track,
    body: BodyModel,
    detections: ClipDetections | None = None,
) -> list[np.ndarray]:
    """Draw over some frames, given as (row of the track, RGB (H, W, 3) uint8)."""
    if not frames:
        return []
    rows = torch.tensor([row for row, _ in frames])
    params, camera = track.motion.params[rows], track.camera[rows]
    with torch.no_grad():
        posed = body.shape(params.betas, params.expression).pose(params.rotations, params.transl)
        mesh, depth = project(camera, posed.vertices())
        joints, _ = project(camera, posed.joints)
        marks, _ = project(camera, posed.landmarks("mediapipe_pose"))
        in_camera = to_camera(camera, posed.joints).numpy()
    faces = body.faces.numpy()
    out = []
    for k, (row, rgb) in enumerate(frames):
        picture = np.ascontiguousarray(rgb).copy()
        scale = rgb.shape[1] / track.camera.width
        if float(depth[k].min()) > 0:
            _draw_outline(picture, mesh[k].numpy() * scale, faces)
        _draw_skeleton(picture, joints[k].numpy() * scale)
        if detections is not None:
            _draw_residuals(picture, marks[k].numpy(), detections, row, scale)
        _draw_side_view(picture, in_camera[k])
        if not track.trusted[row]:
            h, w = picture.shape[:2]
            cv2.rectangle(picture, (0, 0), (w - 1, h - 1), _BAD, max(4, h // 100))
        out.append(picture)
    return out


def _draw_outline(picture: np.ndarray, px: np.ndarray, faces: np.ndarray) -> None:
    mask = np.zeros(picture.shape[:2], np.uint8)
    limit = 4 * max(picture.shape)
    triangles = px.clip(-limit, limit)[faces].round().astype(np.int32)
    for triangle in triangles:
        cv2.fillConvexPoly(mask, triangle, (1,))
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    shade = picture.copy()
    shade[mask > 0] = (shade[mask > 0] * 0.75 + np.array(_RIGHT) * 0.25).astype(np.uint8)
    picture[:] = shade
    cv2.drawContours(picture, contours, -1, _OUTLINE, 1, cv2.LINE_AA)


def _color(joint: int) -> tuple[int, int, int]:
    name = JOINT_NAMES[joint]
    return _LEFT if name.startswith("left") else _RIGHT if name.startswith("right") else _MIDDLE


def _draw_skeleton(picture: np.ndarray, px: np.ndarray) -> None:
    limit = 4 * max(picture.shape)
    points = [tuple(int(v) for v in p) for p in px.clip(-limit, limit).round()]
    for joint in range(1, len(PARENTS)):
        width = 2 if joint < 25 else 1
        start, stop = points[PARENTS[joint]], points[joint]
        cv2.line(picture, start, stop, _color(joint), width, cv2.LINE_AA)


def _draw_residuals(
    picture: np.ndarray, marks: np.ndarray, detections: ClipDetections, row: int, scale: float
) -> None:
    for i in np.flatnonzero(detections.pose_confidence[row] >= 0.5):
        found = tuple(int(v) for v in (detections.pose_px[row, i] * scale).round())
        body = tuple(int(v) for v in (marks[i] * scale).round())
        cv2.line(picture, found, body, _DETECTED, 1, cv2.LINE_AA)
        cv2.circle(picture, found, 2, _DETECTED, -1, cv2.LINE_AA)


def _draw_side_view(picture: np.ndarray, joints: np.ndarray) -> None:
    """``joints`` (55, 3) in camera axes; drawn with the camera to the right, y down."""
    size = int(_INSET * picture.shape[0])
    if size < 32 or size > picture.shape[1]:
        return
    centre = (joints[:25].min(0) + joints[:25].max(0)) / 2
    flat = np.stack([-(joints[:, 2] - centre[2]), joints[:, 1] - centre[1]], axis=1)
    view = np.full((size, size, 3), _PAPER, np.uint8)
    _draw_skeleton(view, flat * size / 2.2 + size / 2)
    picture[:size, -size:] = view
