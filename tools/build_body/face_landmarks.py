"""mediapipe's 478 face landmarks as points on the body's surface.

Heads of many shapes are rendered and detected; each detected landmark is cast back onto the mesh,
where it becomes a point of the mean shape. The median over the renders, made symmetric and
projected onto the skin (the irises onto the eyeballs), starts the landmark, and two robust least
squares steps on the detections finish it. The inner lips start from open mouths only; elsewhere
they would land on either lip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.body.topology import (
    FIRST_IRIS,
    INNER_LIPS,
    IRIS_POINTS,
    LEFT_EYE_OUTLINE,
    NUM_FACE,
    OUTER_LIPS,
    OVAL,
    RIGHT_EYE_OUTLINE,
)
from tools.build_body.appearance import Painter
from tools.build_body.detect import Detectors
from tools.build_body.posing import BodyArrays
from tools.build_body.scenes import Shot, face_shot, random_betas

GROUPS = {
    "lips": (*OUTER_LIPS, *INNER_LIPS),
    "eyes": (*RIGHT_EYE_OUTLINE, *LEFT_EYE_OUTLINE),
    "iris": IRIS_POINTS,
    "oval": OVAL,
}

#: What the learning renders show, by strength of ARKit actions; most are neutral.
_EXPRESSIONS: tuple[dict[str, float], ...] = (
    *({},) * 3,
    {"jawOpen": 0.7},
    {},
    {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7},
    {"jawOpen": 0.4},
    {"mouthPucker": 0.7},
    {"jawOpen": 0.6, "mouthFunnel": 0.4},
)
_MOUTH_OPEN = 0.35
_MAX_YAW, _MAX_PITCH = 0.40, 0.20  # radians
_OFF_SILHOUETTE = 6.0  # pixels a landmark may lie beside the head
_MIN_HITS = 4
_HELD_OUT = 4  # every fourth render
_MIN_SIGMA = 0.0012
_REFINEMENTS = 2
_ROBUST = 0.004  # metres: detections further off hardly count in the refinement
_CLOSED_MOUTH_TRUST = 0.3
_DAMPING = 0.02


@dataclass(frozen=True)
class FaceLandmarks:
    """vertices (478, 3), their weights (478, 3), sigma (478,) metres.

    errors: held-out mean distance in metres, for each group and for "all".
    """

    vertices: np.ndarray
    weights: np.ndarray
    sigma: np.ndarray
    errors: dict[str, float]


@dataclass(frozen=True)
class _Detected:
    shot: Shot
    pixels: np.ndarray
    mouth_open: bool


def fit_face_landmarks(
    painter: Painter,
    detectors: Detectors,
    arkit_names: tuple[str, ...],
    arkit_coef: np.ndarray,
    arkit_pose: np.ndarray,
    *,
    count: int,
    seed: int,
) -> FaceLandmarks:
    """Learn the landmarks from ``count`` renders, every fourth of which only measures them.

    Raises RuntimeError where hardly any render is detected.
    """
    rng = np.random.default_rng(seed)
    detected = []
    for i in range(count):
        actions = _EXPRESSIONS[i % len(_EXPRESSIONS)]
        strength = np.array([actions.get(name, 0.0) for name in arkit_names])
        yaw, pitch = rng.uniform(-_MAX_YAW, _MAX_YAW), rng.uniform(-_MAX_PITCH, _MAX_PITCH)
        betas = random_betas(painter.body, rng)
        shot = face_shot(
            painter, rng, strength @ arkit_coef, strength @ arkit_pose, betas, yaw=yaw, pitch=pitch
        )
        pixels = detectors.face(shot.image.rgb)
        if pixels is not None:
            detected.append(_Detected(shot, pixels, actions.get("jawOpen", 0.0) > _MOUTH_OPEN))
    if len(detected) < count // 2:
        raise RuntimeError(f"mediapipe found a face in only {len(detected)} of {count} renders")
    learnt = [d for i, d in enumerate(detected) if i % _HELD_OUT]
    median = _median_hits(painter.body, learnt)
    mirror = _mirror_map(median)
    vertices, weights = _project(painter.body, _symmetric(median, mirror), mirror)
    for _ in range(_REFINEMENTS):
        better = _refined(painter.body, learnt, vertices, weights)
        vertices, weights = _project(painter.body, _symmetric(better, mirror), mirror)
    residual = np.array([_distances(d, vertices, weights) for d in detected[::_HELD_OUT]])
    sigma = np.maximum(np.maximum(residual.mean(axis=0), residual.mean(axis=0)[mirror]), _MIN_SIGMA)
    errors = {name: float(residual[:, list(ids)].mean()) for name, ids in GROUPS.items()}
    errors["all"] = float(residual.mean())
    return FaceLandmarks(vertices, weights, sigma, errors)


def _median_hits(body: BodyArrays, detected: list[_Detected]) -> np.ndarray:
    """(478, 3) on the mean shape."""
    hits = np.full((len(detected), NUM_FACE, 3), np.nan)
    for row, item in zip(hits, detected, strict=True):
        image = item.shot.image
        height, width = image.face.shape
        beside, nearest = distance_transform_edt(image.face < 0, return_indices=True)
        column, line = np.floor(item.pixels).astype(int).T
        inside = (column >= 0) & (column < width) & (line >= 0) & (line < height)
        column, line = column.clip(0, width - 1), line.clip(0, height - 1)
        inside &= beside[line, column] <= _OFF_SILHOUETTE
        if not item.mouth_open:
            inside[list(INNER_LIPS)] = False
        y, x = nearest[:, line, column]
        corners = body.mean[body.faces[image.face[y, x]]]
        points = np.einsum("lk,lkc->lc", image.barycentric[y, x], corners)
        row[inside] = points[inside]
    seen = np.isfinite(hits[..., 0]).sum(axis=0)
    if seen.min() < _MIN_HITS:
        raise RuntimeError(f"face landmark {int(seen.argmin())} was seen {int(seen.min())} times")
    return np.asarray(np.nanmedian(hits, axis=0))


def _refined(
    body: BodyArrays, detected: list[_Detected], vertices: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(478, 3) points of the mean shape moved to where their projections fit all renders best.

    One robust Gauss-Newton step. Heads stay upright in the renders, so a step in the world is one
    on the mean shape; what no view can see (along the line of sight) is held by damping.
    """
    normal = np.zeros((NUM_FACE, 3, 3))
    gradient = np.zeros((NUM_FACE, 3))
    for item in detected:
        view = item.shot.view
        corners = item.shot.points[NUM_JOINTS:][vertices]
        camera = np.einsum("lk,lkc->lc", weights, corners) @ view.R.T + view.t
        ray = (item.pixels - [view.width / 2, view.height / 2]) / view.focal
        jacobian = view.R[:2] - ray[:, :, None] * view.R[2]
        residual = ray * camera[:, 2:] - camera[:, :2]
        trust = (1 + (np.linalg.norm(residual, axis=1) / _ROBUST) ** 2) ** -2.0
        if not item.mouth_open:
            trust[list(INNER_LIPS)] *= _CLOSED_MOUTH_TRUST
        normal += np.einsum("l,lia,lib->lab", trust, jacobian, jacobian)
        gradient += np.einsum("l,lia,li->la", trust, jacobian, residual)
    damping = _DAMPING * np.trace(normal, axis1=1, axis2=2)
    normal += damping[:, None, None] * np.eye(3)
    step = np.linalg.solve(normal, gradient[..., None])[..., 0]
    return np.asarray(np.einsum("lk,lkc->lc", weights, body.mean[vertices]) + step)


def _symmetric(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (points + points[mirror] * [-1.0, 1.0, 1.0]))


def _mirror_map(points: np.ndarray) -> np.ndarray:
    """(478,) the landmark on the other side, by the best one-to-one match of mirrored points."""
    _, mirror = linear_sum_assignment(cdist(points * [-1.0, 1.0, 1.0], points))
    if (mirror[mirror] != np.arange(len(points))).any():
        raise RuntimeError("the face landmarks do not pair up left and right")
    return np.asarray(mirror)


def _project(
    body: BodyArrays, points: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest skin point (irises: nearest eyeball point): vertices (L, 3) and weights (L, 3).

    One landmark of each pair is projected, the other is its mirror image.
    """
    hidden = ("eye_cavity.L", "eye_cavity.R", "tongue", "teeth", "mouth_cavity")
    part = np.array(body.part_names)[body.face_part]
    eye = body.is_eye[body.faces].all(axis=1)
    skin = np.nonzero(~eye & ~np.isin(part, hidden))[0]
    lips = np.nonzero(~eye & ~np.isin(part, hidden[:-1]))[0]
    vertices = np.empty((len(points), 3), dtype=np.int64)
    weights = np.empty((len(points), 3))
    for i, partner in enumerate(mirror):
        if partner < i:
            continue
        allowed = np.nonzero(eye)[0] if i >= FIRST_IRIS else lips if i in INNER_LIPS else skin
        face, weights[i] = closest_point(points[i], body.mean, body.faces, allowed)
        vertices[i] = body.faces[face]
        if partner > i:
            vertices[partner], weights[partner] = body.mirror[vertices[i]], weights[i]
    return vertices, weights


def closest_point(
    point: np.ndarray, vertices: np.ndarray, faces: np.ndarray, allowed: np.ndarray
) -> tuple[int, np.ndarray]:
    """The face among ``allowed`` nearest to a point, and the barycentrics (3,) of the nearest spot.

    Inside the triangle or on its border: the minimum over the plane and the three edges.
    """
    centers = vertices[faces[allowed]].mean(axis=1)
    near = allowed[np.argsort(((centers - point) ** 2).sum(axis=1), kind="stable")[:60]]
    a, b, c = (vertices[faces[near, k]] for k in range(3))
    candidates = [_plane_barycentrics(point, a, b, c)]
    for k, (start, end) in enumerate(((a, b), (b, c), (c, a))):
        edge = end - start
        s = (((point - start) * edge).sum(axis=1) / (edge**2).sum(axis=1)).clip(0, 1)
        on_edge = np.zeros((len(near), 3))
        on_edge[:, k], on_edge[:, (k + 1) % 3] = 1 - s, s
        candidates.append(on_edge)
    barycentrics = np.stack(candidates)
    spots = np.einsum("qnk,knc->qnc", barycentrics, np.stack([a, b, c]))
    distance = ((spots - point) ** 2).sum(axis=-1)
    distance[(barycentrics < 0).any(axis=-1)] = np.inf
    kind, which = np.unravel_index(distance.argmin(), distance.shape)
    return int(near[which]), barycentrics[kind, which]


def _plane_barycentrics(
    point: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> np.ndarray:
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    scale = d00 * d11 - d01 * d01
    v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    return np.stack([1 - v - w, v, w], axis=1)


def _distances(item: _Detected, vertices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(478,) metres in the image plane between the landmarks and what was detected."""
    corners = item.shot.points[NUM_JOINTS:][vertices]
    pixels, depth = item.shot.view.project(np.einsum("lk,lkc->lc", weights, corners))
    distance = np.linalg.norm(pixels - item.pixels, axis=1)
    return np.asarray(distance * depth / item.shot.view.focal)
