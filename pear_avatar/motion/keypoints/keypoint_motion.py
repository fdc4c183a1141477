"""A file's keypoints -> a motion: the axis that points up, the unit, the shape, then the poses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.open_body import load_body
from pear_avatar.geometry.rotations import rotation_between
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import UpAxis, to_y_up
from pear_avatar.motion.keypoints.first_pose import anchors
from pear_avatar.motion.keypoints.rigid_points import RigidPoints, attach_points
from pear_avatar.motion.keypoints.solve_points import solve_points
from pear_avatar.types import BodyParams, Motion

__all__ = ["KeypointClip", "motion_of_keypoints"]

#: Units in which points come, metres first -> metres.
_UNITS = {"metres": 1.0, "millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254}
#: Sizes of a person in sizes of the average one.
_SMALLEST, _LARGEST = 0.62, 1.3
#: Bones that do not bend, by the joints at their ends.
_BONES = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
_ACROSS = (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"))
_NUM_BETAS = 10
#: Metres by which a bone's length is uncertain, and of misfit beyond which a warning says so.
_LENGTH_SIGMA, _BAD_FIT = 0.008, 0.06
_MANY = 2000


@dataclass(frozen=True)
class KeypointClip:
    """Keypoints over time in a file's own world and unit.

    layout: what they are, for messages.
    specs:  (K,) the body's points, as :mod:`.point_layouts` writes them.
    points: (N, K, 3); NaN where missing.
    weight: (N, K) confidences in [0, 1].
    times:  (N,) seconds.
    unit:   the file's own word for its unit, or empty.
    """

    layout: str
    specs: tuple[str, ...]
    points: np.ndarray
    weight: np.ndarray
    times: np.ndarray
    unit: str = ""


def motion_of_keypoints(arrays: PoseArrays, clip: KeypointClip, up: UpAxis | None) -> Motion:
    """The open body's motion, with betas fitted to the bones; what was assumed becomes a warning.

    The lowest of the feet stands on the floor, and the motion begins over the origin.

    Raises MotionFileError where the points show no trunk.
    """
    body = load_body()
    known = [k for k, spec in enumerate(clip.specs) if spec]
    rig = attach_points(body, tuple(clip.specs[k] for k in known))
    points, weight = clip.points[:, known].astype(np.float64), clip.weight[:, known]
    weight = np.where(np.isfinite(points).all(-1), weight.clip(0, 1), 0.0)
    # Programs write a point that they did not see as exactly zero.
    weight = np.where((points == 0).all(-1) & _has_path(points), 0.0, weight)
    at = anchors(rig)
    _check_trunk(arrays, at, weight)
    seen = torch.from_numpy(np.where(weight[..., None] > 0, points, 0.0))
    weights = torch.from_numpy(weight)
    scale = _metres(arrays, clip.unit, rig, at, (seen, weights))
    seen = scale * seen @ _upright(arrays, rig, at, (seen, weights), up).T
    betas = _shape(rig, at, seen, weights)
    shaped = rig.shaped(betas)
    solved = solve_points(shaped, seen, weights, clip.times)
    transl = _on_floor(shaped, solved.rotations, solved.transl)
    misfit = float(np.nanmedian(solved.misfit))
    if misfit > _BAD_FIT:
        arrays.warn(f"the body lies {100 * misfit:.0f} cm off its points; is this {clip.layout}?")
    lost = int(np.isnan(solved.misfit).sum())
    if lost:
        arrays.warn(f"{lost} frames show no points; they lie between their neighbours")
    shape = torch.zeros(_NUM_BETAS)
    shape[: len(betas)] = betas.float()
    count = len(transl)
    params = BodyParams(shape, torch.zeros(count, 10), solved.rotations.float(), transl.float())
    return Motion(params, clip.times, arrays.name)


def _has_path(points: np.ndarray) -> np.ndarray:
    """(N, K) whether a point that is zero here is elsewhere at other times."""
    moves = (np.nan_to_num(points) != 0).any(-1).mean(0) > 0.02
    return np.broadcast_to(moves, points.shape[:2])


def _check_trunk(arrays: PoseArrays, at: dict[str, int], weight: np.ndarray) -> None:
    needed = [f"{s}_{p}" for s in ("left", "right") for p in ("hip", "shoulder")]
    missing = [n for n in needed if n not in at or not (weight[:, at[n]] > 0).any()]
    if missing:
        raise arrays.error(
            f"its keypoints lack {', '.join(missing)}; hips and shoulders of both sides are needed"
        )


def _distance(at: dict[str, int], data: tuple[Tensor, Tensor], a: str, b: str) -> float:
    """Median distance of two anchors over the frames that show both; NaN where none does."""
    seen, weight = data
    if a not in at or b not in at:
        return float("nan")
    both = (weight[:, at[a]] > 0.2) & (weight[:, at[b]] > 0.2)
    if not bool(both.any()):
        return float("nan")
    return float((seen[both, at[a]] - seen[both, at[b]]).norm(dim=-1).median())


def _lengths(
    rig: RigidPoints, at: dict[str, int], data: tuple[Tensor, Tensor]
) -> list[tuple[str, str, float]]:
    """Bones that are seen: their ends and their median lengths."""
    pairs = [(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in _BONES]
    found = [(a, b, _distance(at, data, a, b)) for a, b in (*pairs, *_ACROSS)]
    return [(a, b, length) for a, b, length in found if np.isfinite(length) and length > 0]


def _rest(rig: RigidPoints) -> Tensor:
    eye = torch.eye(3, dtype=torch.float64).expand(1, 55, 3, 3)
    return rig.points(eye, torch.zeros(1, 3, dtype=torch.float64))[0]


def _metres(
    arrays: PoseArrays,
    unit: str,
    rig: RigidPoints,
    at: dict[str, int],
    data: tuple[Tensor, Tensor],
) -> float:
    """Metres in a unit of the file: the one in which the bones are a person's."""
    rest, ratios = _rest(rig), []
    for a, b, length in _lengths(rig, at, data)[:-2]:
        ratios.append(length / float((rest[at[a]] - rest[at[b]]).norm()))
    if not ratios:
        raise arrays.error("its keypoints lack arms and legs")
    size = float(np.median(ratios))
    fits = [name for name, u in _UNITS.items() if _SMALLEST < size * u < _LARGEST]
    said = {"m": "metres", "mm": "millimetres", "cm": "centimetres", "in": "inches"}.get(
        unit.strip().lower()
    )
    if fits and (said is None or said in fits):
        name = said or fits[0]
        if said is None and name != "metres":
            arrays.warn(f"its positions are {name}, by the length of the bones; converted")
        return _UNITS[name]
    arrays.warn(
        f"its bones are {size:.3g} times a person's in metres, and no unit makes them a person's; "
        "scaled to the average person"
    )
    return 1.0 / size


def _upright(
    arrays: PoseArrays,
    rig: RigidPoints,
    at: dict[str, int],
    data: tuple[Tensor, Tensor],
    wanted: UpAxis | None,
) -> Tensor:
    """(3, 3) from the file's axes to ours."""
    if wanted is not None:
        return to_y_up(wanted)
    seen, weight = data
    rows = [at[f"{s}_{p}"] for s in ("left", "right") for p in ("hip", "shoulder")]
    good = (weight[:, rows] > 0).all(1)
    trunk = seen[good][:, [rows[1], rows[3]]].mean(1) - seen[good][:, [rows[0], rows[2]]].mean(1)
    mean = torch.nn.functional.normalize(trunk, dim=-1).mean(0)
    axis = torch.zeros(3, dtype=torch.float64)
    strongest = int(mean.abs().argmax())
    axis[strongest] = 1.0 if mean[strongest] > 0 else -1.0
    if float(mean.abs().max()) < 0.6:
        arrays.warn(
            "the person stands along no axis of the file; read with y up (--up says another)"
        )
        axis = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    if axis[1] < 0:
        return to_y_up("-y")
    return rotation_between(axis, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))


def _shape(rig: RigidPoints, at: dict[str, int], seen: Tensor, weight: Tensor) -> Tensor:
    """(S,) betas whose bones at rest are as long as the median ones seen, unit prior."""
    bones = _lengths(rig, at, (seen, weight))
    betas = torch.zeros(_NUM_BETAS, dtype=torch.float64)
    start = torch.tensor([at[a] for a, _, _ in bones])
    end = torch.tensor([at[b] for _, b, _ in bones])
    wanted = torch.tensor([length for _, _, length in bones], dtype=torch.float64)
    sigma = torch.full_like(wanted, _LENGTH_SIGMA)
    sigma[-2:] *= 2  # the shoulders' width changes with the collar bones

    def lengths(values: Tensor) -> Tensor:
        rest = _rest(rig.shaped(values))
        return (rest[start] - rest[end]).norm(dim=-1)

    for _ in range(6):
        J = torch.autograd.functional.jacobian(lengths, betas) / sigma[:, None]
        off = (lengths(betas) - wanted) / sigma
        H = J.T @ J + torch.eye(_NUM_BETAS, dtype=torch.float64)
        betas = (betas - torch.linalg.solve(H, J.T @ off + betas)).clamp(-4, 4)
    return betas.detach()


def _on_floor(rig: RigidPoints, rotations: Tensor, transl: Tensor) -> Tensor:
    """The path, begun over the origin, with the lowest foot on the floor."""
    pick = torch.linspace(0, len(transl) - 1, min(len(transl), _MANY)).round().long()
    _, _, joints = rig.posed(rotations[pick], transl[pick])
    lowest = joints[:, [7, 8, 10, 11], 1] - rig.joints[[7, 8, 10, 11], 1]
    sole = float(load_body().v_template[:, 1].min())
    floor = float((lowest.amin(1) + sole).quantile(0.03))
    start = transl[0] * torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    return transl - start - torch.tensor([0.0, floor, 0.0], dtype=torch.float64)
