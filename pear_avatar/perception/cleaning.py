"""Correcting known errors of detectors: swapped sides, false hands, false faces.

All functions are pure and take whole clips. Lengths are compared in metres of the person, by the
image scale (pixels per metre) of each frame, so that cropped bodies are treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pear_avatar.body.topology import (
    CHIN,
    FOREHEAD,
    LEFT_EYE,
    LEFT_EYE_OUTER,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    NOSE_TIP,
    RIGHT_EYE,
    RIGHT_EYE_OUTER,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    SIDE_PAIRS,
)
from pear_avatar.perception.measure import HEIGHT_M, SEEN, inside_image, swap_sides
from pear_avatar.perception.raw import RawClip

#: A hand's wrist may lie this far from the body's wrist (6 % of the height).
_WRIST_GAP_M = 0.06 * HEIGHT_M
#: Longest side of a hand's box, metres of the body; near hands look larger than the body.
_HAND_SIZE_M = (0.035, 0.40)
#: Two hands whose points lie so close on average are one hand found twice.
_SAME_HAND_M = 0.03
#: Nose of the face mesh to nose of the pose.
_FACE_GAP_M = 0.12
#: Forehead-to-chin length of a face mesh.
_FACE_SIZE_M = (0.09, 0.36)

_UPPER = tuple(p for p in SIDE_PAIRS if p[0] < 23)
_LOWER = tuple(p for p in SIDE_PAIRS if p[0] >= 23)
#: Which halves are exchanged in each state of the flip search.
_FLIP_STATES = ((False, False), (True, True), (False, True), (True, False))
#: Cost of changing state between frames, in metres of landmark displacement per pair.
_FLIP_CHANGE = 0.10
#: Cost a frame of calling a frame swapped at all: without evidence the detector is believed.
_FLIP_PRIOR = (0.0, 0.004, 0.012, 0.012)
#: Cost a frame against the evidence of a seen face.
_FACE_EVIDENCE = 0.25


@dataclass(frozen=True)
class FlipReport:
    """(N,) bool each: frames whose upper or lower body had left and right exchanged."""

    upper: np.ndarray
    lower: np.ndarray


def find_flips(raw: RawClip, scale: np.ndarray) -> FlipReport:
    """Frames in which the detector exchanged left and right.

    Viterbi over the clip with four states (nothing, all, legs, upper body). Exchanging costs
    by how far the landmarks would have to travel, in the image AND in the depth of the 3D
    estimate: a flip that happens slowly, in profile, moves nothing in the image but turns the
    shoulders and hips inside out in depth. A seen face decides which way round a person stands,
    so that a clip flipped from its start to its end is found as well.

    Args:
        raw: the clip. scale: (N,) pixels per metre.
    """
    count = raw.num_frames
    rows = np.flatnonzero(raw.found)
    upper, lower = np.zeros(count, bool), np.zeros(count, bool)
    if len(rows) == 0:
        return FlipReport(upper, lower)
    cost = np.tile(np.array(_FLIP_PRIOR), (len(rows), 1))
    against = _face_evidence(raw, rows, scale)
    for s, (swap_upper, _) in enumerate(_FLIP_STATES):
        cost[:, s] += np.maximum(against if swap_upper else -against, 0.0)
    travel_upper = _travel(raw, rows, scale, _UPPER)
    travel_lower = _travel(raw, rows, scale, _LOWER)
    best = np.zeros_like(cost)
    origin = np.zeros(cost.shape, np.int64)
    best[0] = cost[0]
    for t in range(1, len(rows)):
        # A gap in the detections weakens the tie between the two frames beside it.
        tie = 1.0 / (rows[t] - rows[t - 1])
        for s, (su, sl) in enumerate(_FLIP_STATES):
            move = [
                best[t - 1, q]
                + tie
                * (
                    travel_upper[t - 1, int(su != qu)]
                    + travel_lower[t - 1, int(sl != ql)]
                    + _FLIP_CHANGE * ((su != qu) + (sl != ql))
                )
                for q, (qu, ql) in enumerate(_FLIP_STATES)
            ]
            origin[t, s] = int(np.argmin(move))
            best[t, s] = cost[t, s] + move[origin[t, s]]
    state = int(np.argmin(best[-1]))
    for t in range(len(rows) - 1, -1, -1):
        upper[rows[t]], lower[rows[t]] = _FLIP_STATES[state]
        state = int(origin[t, state])
    return FlipReport(upper, lower)


def _travel(
    raw: RawClip, rows: np.ndarray, scale: np.ndarray, pairs: tuple[tuple[int, int], ...]
) -> np.ndarray:
    """(R - 1, 2) mean metres the seen pairs travel from row to row, straight and exchanged."""
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    metres = raw.pose[rows, :, :2] / scale[rows, None, None]
    points = np.concatenate([metres, raw.world[rows, :, 2:]], axis=-1)
    seen = raw.pose[rows, :, 2] > SEEN
    usable = seen[1:, left] & seen[1:, right] & seen[:-1, left] & seen[:-1, right]
    result = []
    for a, b in ((left, right), (right, left)):
        gap = np.linalg.norm(points[1:, left] - points[:-1, a], axis=-1)
        gap = gap + np.linalg.norm(points[1:, right] - points[:-1, b], axis=-1)
        total = (np.minimum(gap, 0.8) * usable).sum(1)
        result.append(total / np.maximum(usable.sum(1), 1))
    return np.stack(result, axis=1)


def _face_evidence(raw: RawClip, rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(R,) cost of exchanging the upper body: positive where the face says "as detected".

    The face mesh knows left from right by what an eye looks like; the pose's eyes are compared
    with it. A face also means that the shoulders are seen from the front.
    """
    mesh = raw.face[rows]
    pose = raw.pose[rows]
    eyes = mesh[:, LEFT_EYE_OUTER] - mesh[:, RIGHT_EYE_OUTER]
    pose_eyes = pose[:, LEFT_EYE, :2] - pose[:, RIGHT_EYE, :2]
    width = np.linalg.norm(eyes, axis=1) / scale[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        agree = (eyes * pose_eyes).sum(1) / (
            np.linalg.norm(eyes, axis=1) * np.linalg.norm(pose_eyes, axis=1)
        )
    shoulders = (pose[:, LEFT_SHOULDER, 0] - pose[:, RIGHT_SHOULDER, 0]) / scale[rows]
    # Both must be clear: a frontal face (eyes wide apart) over wide shoulders.
    clear = raw.face_found[rows] & (width > 0.06) & np.isfinite(agree)
    facing = np.clip(shoulders / 0.2, -1.0, 1.0)
    vote = 0.5 * np.nan_to_num(agree) + 0.5 * facing
    return np.where(clear & (np.abs(facing) > 0.5), vote * _FACE_EVIDENCE, 0.0)


def undo_flips(raw: RawClip, flips: FlipReport) -> RawClip:
    """The clip with left and right put back; hands go with their wrists."""
    pose, world = raw.pose.copy(), raw.world.copy()
    for rows, pairs in ((flips.upper, _UPPER), (flips.lower, _LOWER)):
        swap_sides(pose, rows, pairs)
        swap_sides(world, rows, pairs)
    upper = flips.upper
    return replace(
        raw,
        pose=pose,
        world=world,
        left_hand=np.where(upper[:, None, None], raw.right_hand, raw.left_hand),
        right_hand=np.where(upper[:, None, None], raw.left_hand, raw.right_hand),
        left_found=np.where(upper, raw.right_found, raw.left_found),
        right_found=np.where(upper, raw.left_found, raw.right_found),
    )


def pose_confidence(raw: RawClip) -> np.ndarray:
    """(N, 33) visibility, 0 outside the picture, where the network only extrapolates.

    A rim of 2 % counts as inside: a shoulder on the picture's edge wavers across it.
    """
    rim = 0.02 * max(raw.width, raw.height)
    inside = inside_image(raw.pose[..., :2] + rim, raw.width + 2 * rim, raw.height + 2 * rim)
    visible = raw.pose[..., 2] * inside
    return np.where(raw.found[:, None], np.clip(visible, 0.0, 1.0), 0.0).astype(np.float32)


def hand_confidence(raw: RawClip, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) confidence of the left and of the right hand; 0 where the hand cannot be real.

    Rejected: wrist away from the body's wrist, a size no hand has, mostly outside the picture,
    both "hands" on the same one (the one that fits its own wrist worse goes), a hand that jumps
    in and out of its place for a single frame.
    """
    sides = (
        (raw.left_hand, raw.left_found, LEFT_WRIST),
        (raw.right_hand, raw.right_found, RIGHT_WRIST),
    )
    gaps, results = [], []
    for hand, found, wrist in sides:
        gap = np.linalg.norm(hand[:, 0] - raw.pose[:, wrist, :2], axis=1) / scale
        size = (hand.max(1) - hand.min(1)).max(1) / scale
        inside = inside_image(hand, raw.width, raw.height).mean(1)
        good = found & raw.found & (gap < _WRIST_GAP_M) & (inside >= 0.6)
        good &= (size > _HAND_SIZE_M[0]) & (size < _HAND_SIZE_M[1])
        good &= ~_lone_jumps(hand, good, scale)
        sight = np.clip(raw.pose[:, wrist, 2], 0.3, 1.0)
        results.append(np.where(good, (1.0 - 0.5 * gap / _WRIST_GAP_M) * sight, 0.0))
        gaps.append(gap)
    left, right = results
    apart = np.linalg.norm(raw.left_hand - raw.right_hand, axis=-1).mean(1) / scale
    twice = (left > 0) & (right > 0) & (apart < _SAME_HAND_M)
    left = np.where(twice & (gaps[0] > gaps[1]), 0.0, left)
    right = np.where(twice & (gaps[0] <= gaps[1]), 0.0, right)
    return np.nan_to_num(left).astype(np.float32), np.nan_to_num(right).astype(np.float32)


def _lone_jumps(hand: np.ndarray, good: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(N,) bool: frames whose hand differs from both neighbours, which agree with each other."""
    shape = (hand - hand[:, :1]) / scale[:, None, None]
    jump = np.zeros(len(hand), bool)
    if len(hand) < 3:
        return jump

    def change(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a - b, axis=-1).mean(1)

    before, after = change(shape[1:-1], shape[:-2]), change(shape[1:-1], shape[2:])
    across = change(shape[2:], shape[:-2])
    all_seen = good[1:-1] & good[:-2] & good[2:]
    jump[1:-1] = all_seen & (np.minimum(before, after) > 0.05 + 2.0 * across)
    return jump


def face_confidence(raw: RawClip, scale: np.ndarray) -> np.ndarray:
    """(N,) confidence of the face mesh: 0 away from the head, wrongly sized or out of sight."""
    nose = np.linalg.norm(raw.face[:, NOSE_TIP] - raw.pose[:, NOSE, :2], axis=1) / scale
    length = np.linalg.norm(raw.face[:, FOREHEAD] - raw.face[:, CHIN], axis=1) / scale
    inside = inside_image(raw.face, raw.width, raw.height).mean(1)
    good = raw.face_found & raw.found & (nose < _FACE_GAP_M) & (inside > 0.7)
    good &= (length > _FACE_SIZE_M[0]) & (length < _FACE_SIZE_M[1])
    good &= ~_strays(good)
    fit = 1.0 - 0.5 * nose / _FACE_GAP_M
    return np.nan_to_num(np.where(good, fit, 0.0)).astype(np.float32)


def _strays(good: np.ndarray, reach: int = 4, company: int = 2) -> np.ndarray:
    """(N,) bool: detections with fewer than ``company`` others within ``reach`` frames; a face does
    not appear for one frame only. Clips too short to decide have none."""
    if len(good) <= 2 * reach:
        return np.zeros(len(good), bool)
    window = np.convolve(good.astype(int), np.ones(2 * reach + 1, int), mode="same")
    return good & (window - 1 < company)


def shows_back(raw: RawClip, scale: np.ndarray) -> np.ndarray:
    """(N,) bool: the person clearly turns their back (left shoulder well to the left)."""
    shoulders = (raw.pose[:, LEFT_SHOULDER, 0] - raw.pose[:, RIGHT_SHOULDER, 0]) / scale
    seen = np.minimum(raw.pose[:, LEFT_SHOULDER, 2], raw.pose[:, RIGHT_SHOULDER, 2]) > SEEN
    return raw.found & seen & (shoulders < -0.12)
