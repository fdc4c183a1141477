"""mediapipe's 33 pose and 21 hand landmarks as convex combinations of joints and vertices.

mediapipe's shoulders, hips, ankles and ears do not sit on the joints. Each landmark is learnt from
renders of many people and poses: non-negative weights over nearby joints and vertices that bring
its projection onto the detected pixel, refined by iteratively reweighted least squares because a
detector errs grossly now and then. Right landmarks are the mirror image of left ones and are
learnt together with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from pear_avatar.body.joints import JOINT_INDEX, MIRROR, NUM_JOINTS
from tools.build_body.appearance import Painter
from tools.build_body.detect import Detectors
from tools.build_body.posing import BodyArrays
from tools.build_body.regressor import farthest_points
from tools.build_body.scenes import Shot, body_shot, hand_shot

POSE_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
HAND_FINGERS = ("thumb", "index", "middle", "ring", "pinky")

MAX_POINTS = 8
_HELD_OUT = 4
_MIN_VISIBILITY = 0.6
_FACE_YAW = 0.9  # radians beyond which the face's pose landmarks are guesses
_MAX_KNUCKLE_ERROR = 0.02  # metres; most detections lie within 0.012
_SUM_WEIGHT = 30.0
_ROUNDS = 5
_MIN_SIGMA = 0.003

#: Landmark (left or middle) -> the joints it may lean on, reach in metres around the first one.
_POSE_SUPPORT: dict[str, tuple[tuple[str, ...], float]] = {
    "left_shoulder": (("left_shoulder", "left_collar", "left_elbow", "neck"), 0.16),
    "left_elbow": (("left_elbow", "left_shoulder", "left_wrist"), 0.10),
    "left_wrist": (("left_wrist", "left_elbow", "left_middle1"), 0.07),
    "left_pinky": (("left_pinky1", "left_pinky2", "left_wrist"), 0.05),
    "left_index": (("left_index1", "left_index2", "left_wrist"), 0.05),
    "left_thumb": (("left_thumb2", "left_thumb1", "left_thumb3", "left_index1"), 0.05),
    "left_hip": (("left_hip", "pelvis", "left_knee", "spine1"), 0.18),
    "left_knee": (("left_knee", "left_hip", "left_ankle"), 0.12),
    "left_ankle": (("left_ankle", "left_knee", "left_foot"), 0.12),
    "left_heel": (("left_ankle", "left_foot"), 0.14),
    "left_foot_index": (("left_foot", "left_ankle"), 0.14),
    "nose": (("head", "jaw"), 0.16),
    "left_eye_inner": (("left_eye", "head"), 0.05),
    "left_eye": (("left_eye", "head"), 0.05),
    "left_eye_outer": (("left_eye", "head"), 0.06),
    "left_ear": (("head", "left_eye"), 0.15),
    "mouth_left": (("jaw", "head"), 0.11),
}
_NUM_CANDIDATES = 60


@dataclass(frozen=True)
class Observation:
    """One detected landmark: where (2,) pixels, in which shot."""

    shot: Shot
    pixel: np.ndarray


@dataclass(frozen=True)
class LandmarkFit:
    """Sparse convex weights: index (K,) into concat(joints, vertices), weight (K,).

    sigma: held-out median-based error; error: held-out mean distance; joint_error: what the
    plain joint would give. Metres in the image plane at the landmark's depth.
    """

    index: np.ndarray
    weight: np.ndarray
    sigma: float
    error: float
    joint_error: float


def mirrored_points(index: np.ndarray, vertex_mirror: np.ndarray) -> np.ndarray:
    """The partners on the other side of indices into concat(joints, vertices)."""
    table = np.concatenate([np.asarray(MIRROR), NUM_JOINTS + vertex_mirror])
    return np.asarray(table[index])


def other_side(name: str) -> str:
    """The landmark's partner ("left" and "right" swapped), itself for one in the middle."""
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


def observe_bodies(
    painter: Painter, detectors: Detectors, count: int, seed: int
) -> dict[str, list[Observation]]:
    """Detect the 33 landmarks on ``count`` renders of whole people."""
    rng = np.random.default_rng(seed)
    seen: dict[str, list[Observation]] = {name: [] for name in POSE_NAMES}
    for _ in range(count):
        shot = body_shot(painter, rng)
        found = detectors.pose(shot.image.rgb)
        if found is None:
            continue
        for i, name in enumerate(POSE_NAMES):
            face = i <= POSE_NAMES.index("mouth_right")
            if found[1][i] > _MIN_VISIBILITY and not (face and abs(shot.yaw) > _FACE_YAW):
                seen[name].append(Observation(shot, found[0][i]))
    _require(min(len(v) for v in seen.values()), count, "a body landmark")
    return seen


def observe_hands(
    painter: Painter, detectors: Detectors, count: int, seed: int
) -> dict[str, list[list[Observation]]]:
    """Detect the 21 landmarks on ``count`` close-ups, left and right hands in turn.

    Sometimes the detector takes the palm for the back of the hand and swaps index and pinky; such a
    detection is no measurement of where landmarks lie, so knuckles far off the joints discard it.
    """
    rng = np.random.default_rng(seed)
    seen: dict[str, list[list[Observation]]] = {}
    for side in ("left", "right"):
        seen[side] = [[] for _ in range(21)]
    for i in range(count):
        side = ("left", "right")[i % 2]
        shot = hand_shot(painter, rng, side)
        middle = shot.view.project(shot.points[JOINT_INDEX[f"{side}_middle1"]])[0]
        found = detectors.hand_nearest(shot.image.rgb, middle)
        if found is None or _knuckle_error(shot, side, found) > _MAX_KNUCKLE_ERROR:
            continue
        for landmark, pixel in zip(seen[side], found, strict=True):
            landmark.append(Observation(shot, pixel))
    _require(len(seen["left"][0]) + len(seen["right"][0]), count, "a hand")
    return seen


def _knuckle_error(shot: Shot, side: str, pixels: np.ndarray) -> float:
    """Mean distance in metres between the four detected knuckles and their joints."""
    joints = [JOINT_INDEX[f"{side}_{finger}1"] for finger in HAND_FINGERS[1:]]
    expected, depth = shot.view.project(shot.points[joints])
    distance = np.linalg.norm(pixels[5:18:4] - expected, axis=1) * depth / shot.view.focal
    return float(distance.mean())


def _require(found: int, count: int, what: str) -> None:
    if found < count // 4:
        raise RuntimeError(f"mediapipe found {what} in only {found} of {count} renders")


def fit_pose(body: BodyArrays, seen: dict[str, list[Observation]]) -> dict[str, LandmarkFit]:
    """All 33 landmarks by name."""
    joints = body.regressor @ body.mean
    fits = {}
    for name, (support, reach) in _POSE_SUPPORT.items():
        pool = _candidates(body, joints, support, reach)
        own, other = seen[name], seen[other_side(name)] if other_side(name) != name else []
        fits[name] = _fit(body, pool, own, other, middle=not other)
        if other:
            fits[other_side(name)] = _mirror_fit(fits[name], body.mirror)
    return fits


def fit_hands(
    body: BodyArrays, seen: dict[str, list[list[Observation]]]
) -> dict[str, list[LandmarkFit]]:
    """The 21 landmarks of the left and of the right hand."""
    joints = body.regressor @ body.mean
    left = []
    for i, (support, reach) in enumerate(_hand_support()):
        pool = _candidates(body, joints, support, reach)
        left.append(_fit(body, pool, seen["left"][i], seen["right"][i], middle=False))
    return {"left": left, "right": [_mirror_fit(fit, body.mirror) for fit in left]}


def _hand_support() -> list[tuple[tuple[str, ...], float]]:
    support: list[tuple[tuple[str, ...], float]] = [
        (("left_wrist", "left_thumb1", "left_middle1", "left_elbow"), 0.06)
    ]
    for finger in HAND_FINGERS:
        names = [f"left_{finger}{k}" for k in (1, 2, 3)]
        support += [((names[0], names[1], "left_wrist"), 0.04)]
        support += [((names[1], names[0], names[2]), 0.03), ((names[2], names[1]), 0.03)]
        support += [((names[2],), 0.05)]
    return support


def _candidates(
    body: BodyArrays, joints: np.ndarray, support: tuple[str, ...], reach: float
) -> np.ndarray:
    """Indices into concat(joints, vertices): the joints, and spread vertices of the same limb."""
    ids = [JOINT_INDEX[name] for name in support]
    follows = body.weights[:, ids].sum(axis=1) > 0.3
    near = np.linalg.norm(body.mean - joints[ids[0]], axis=1) < reach
    pool = np.nonzero(follows & near & ~body.is_eye)[0]
    chosen = pool[farthest_points(body.mean[pool], joints[ids[0]], _NUM_CANDIDATES)]
    return np.concatenate([ids, NUM_JOINTS + chosen])


def _fit(
    body: BodyArrays,
    pool: np.ndarray,
    own: list[Observation],
    other: list[Observation],
    middle: bool,
) -> LandmarkFit:
    """Learn a landmark from its own observations and its partner's mirrored ones."""
    partners = mirrored_points(pool, body.mirror)

    def column(shot: Shot) -> np.ndarray:
        return 0.5 * (shot.points[pool] + shot.points[partners]) if middle else shot.points[pool]

    equations = [_equations(o, column) for o in own]
    equations += [_equations(o, lambda shot: shot.points[partners]) for o in other]
    held = np.arange(len(equations)) % _HELD_OUT == 0
    A = np.stack([e[0] for e in equations])
    b = np.stack([e[1] for e in equations])
    limit = MAX_POINTS // 2 if middle else MAX_POINTS
    weight = _robust_convex(A[~held], b[~held], limit)
    error = np.linalg.norm(A[held] @ weight - b[held], axis=1)
    first = np.zeros(len(pool))
    first[0] = 1.0
    joint_error = np.linalg.norm(A[held] @ first - b[held], axis=1)
    used = np.nonzero(weight)[0]
    index, weights = pool[used], weight[used]
    if middle:
        index = np.concatenate([index, partners[used]])
        weights = np.concatenate([0.5 * weights, 0.5 * weights])
    # 0.849 makes the median of a 2D Gaussian's distance its per-axis deviation.
    sigma = max(float(0.849 * np.median(error)), _MIN_SIGMA)
    return LandmarkFit(index, weights, sigma, float(error.mean()), float(joint_error.mean()))


def _equations(
    observation: Observation, column: Callable[[Shot], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Linear rows A (2, C), b (2,) in metres: A w = b where the combination meets the pixel.

    x z_pixel = f X + c z, multiplied out and divided by f, is linear in the point and so in w.
    """
    view = observation.shot.view
    camera = column(observation.shot) @ view.R.T + view.t
    ray = (observation.pixel - [view.width / 2, view.height / 2]) / view.focal
    return (camera[:, :2] - ray * camera[:, 2:]).T, np.zeros(2)


def _robust_convex(A: np.ndarray, b: np.ndarray, limit: int) -> np.ndarray:
    """Convex weights (C,) with at most ``limit`` entries: Geman-McClure reweighted NNLS."""
    trust = np.ones(len(A))
    allowed = np.arange(A.shape[-1])
    weight = np.zeros(A.shape[-1])
    for step in range(_ROUNDS + 1):
        if step == _ROUNDS:
            allowed = np.sort(np.argsort(-weight, kind="stable")[:limit])
        rows = (A[:, :, allowed] * trust[:, None, None]).reshape(-1, len(allowed))
        rows = np.vstack([rows, np.full((1, len(allowed)), _SUM_WEIGHT)])
        target = np.append((b * trust[:, None]).ravel(), _SUM_WEIGHT)
        solved, _ = nnls(rows, target, maxiter=50 * len(allowed))
        weight = np.zeros(A.shape[-1])
        weight[allowed] = solved / solved.sum()
        distance = np.linalg.norm(A @ weight - b, axis=1)
        scale = 2.0 * np.median(distance) + 1e-6
        trust = 1.0 / (1.0 + (distance / scale) ** 2)
    weight[weight < 1e-3] = 0.0
    return weight / weight.sum()


def _mirror_fit(fit: LandmarkFit, vertex_mirror: np.ndarray) -> LandmarkFit:
    index = mirrored_points(fit.index, vertex_mirror)
    return LandmarkFit(index, fit.weight, fit.sigma, fit.error, fit.joint_error)
