"""How good the landmark lifter is: on held-out recordings, on renders, on real footage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks._footage import DATA
from benchmarks._lifter_truth import two_view_score
from benchmarks.framework import Options, Result
from benchmarks.timing import interleaved_medians
from pear_avatar.body.topology import LIFTED_FACE_POINTS
from pear_avatar.evaluation.metrics import procrustes_align
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.perception import detect_clip
from pear_avatar.recovery.lifter import LiftedClip, Lifter, layout
from pear_avatar.recovery.lifter.landmark_rig import Shape, make_rig
from pear_avatar.recovery.smoothing import gaussian_body
from pear_avatar.synthesis.poses import PosePool, load_pool
from pear_avatar.training.lifter.noise import NoiseBank, truth_of
from pear_avatar.training.lifter.renders import RenderSet, make_renders
from pear_avatar.training.lifter.score import Scorer
from pear_avatar.training.lifter.views import in_sight
from pear_avatar.types import BodyParams, Camera, ClipDetections

#: Nose, shoulders, elbows, wrists, hips, knees, ankles of the pose landmarks.
COMPARED = (0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_LIMBS = COMPARED[1:]
_SURE = 0.5
#: Pictures rendered for the detector to look at; another seed than the training's.
_RENDERS, _RENDER_SEED = 150, 60
_CLIP_FRAMES, _CLIP_SIDE = 60, 768
_PEER = "goal"


def lifter_results(options: Options) -> list[Result]:
    """The lifter's accuracy and speed; ``quick`` leaves out renders and clips.

    Recordings and real footage are looked for in ``PEAR_AVATAR_DATA`` or beside the repository;
    what is not there is left out. Real figures measure agreement with the detector, not truth.
    """
    lifter = Lifter.load()
    mocap = DATA / "mocap"
    folder = mocap if mocap.is_dir() else None
    held_out = load_pool(lifter.body, folder, held_out=True) if folder else None
    results = _synthetic_results(synthetic_scores(lifter, held_out))
    if not options.quick:
        renders = make_renders(lifter.body, held_out, _RENDERS, _RENDER_SEED)
        scores = render_scores(lifter, renders)
        for key, what, goal in (("full", "MPJPE", 125.0), ("full_pa", "PA-MPJPE", 83.0)):
            name = f"lifter, detector on renders, whole body: {what}"
            results.append(Result.versus(name, scores[key], "mm", "lower", _PEER, peer_value=goal))
        for key, what in (("12", "hips aligned"), ("12_pa", "PA")):
            results.append(
                Result.versus(
                    f"lifter, detector on renders, 12 joints: {what}",
                    scores[f"lifter_{key}"],
                    "mm",
                    "lower",
                    "detector's own 3D",
                    peer_value=scores[f"detector_{key}"],
                )
            )
        if (DATA / "multiview").is_dir():
            results += _two_view_results(lifter)
    return results + _real_results(lifter, options) + [_speed(lifter)]


def _two_view_results(lifter: Lifter) -> list[Result]:
    score = two_view_score(lifter, DATA / "multiview", frames=_CLIP_FRAMES, side=_CLIP_SIDE)
    pairs = (
        ("hips aligned", score.lifter, score.detector),
        ("PA", score.lifter_pa, score.detector_pa),
    )
    return [
        Result.versus(
            f"lifter, real person triangulated from two views, 12 joints: {what}",
            ours,
            "mm",
            "lower",
            "detector's own 3D",
            peer_value=theirs,
        )
        for what, ours, theirs in pairs
    ]


def _synthetic_results(scores: dict[str, float]) -> list[Result]:
    name = "mocap" if "mocap/full" in scores else "all"
    where = "held-out recordings" if name == "mocap" else "poses by rule"
    return [
        Result.versus(
            f"lifter, {where}, whole body: MPJPE", scores[f"{name}/full"], "mm", "lower", _PEER,
            peer_value=78.0,
        ),
        Result.versus(
            f"lifter, {where}, whole body: PA-MPJPE", scores[f"{name}/full_pa"], "mm", "lower",
            _PEER, peer_value=52.0,
        ),
        Result(f"lifter, {where}, all crops: MPJPE", scores[f"{name}/mpjpe"], "mm", "lower"),
        Result("lifter, seen hands: joints about the wrist", scores["all/hand"], "mm", "lower"),
        Result.versus(
            "lifter, facial actions: landmark error", scores["all/face%"], "% of neutral's",
            "lower", _PEER, peer_value=70.0,
        ),
    ]  # fmt: skip


def _real_results(lifter: Lifter, options: Options) -> list[Result]:
    files = sorted((DATA / "stills").glob("*.jpg")) + sorted((DATA / "stills").glob("*.png"))
    if not options.quick:
        files += sorted(f for f in (DATA / "video").glob("*.m*"))
        files += sorted((DATA / "multiview").glob("*.mp4"))
    scores = []
    for file in files:
        if "mask" in file.stem or "segmentation" in file.stem:
            continue
        clip, _ = detect_clip(file, max_frames=_CLIP_FRAMES, max_side=_CLIP_SIDE)
        scores.append(real_score(lifter, clip, file.stem))
    if not scores:
        return []
    what = "stills" if options.quick else "stills and clips"
    mean = mean_scores(scores)
    return [
        Result.versus(
            f"lifter, real {what}: landmark error", 100 * mean.error, "% of height", "lower", _PEER,
            peer_value=1.5,
        ),
        Result.versus(
            f"lifter, real {what}: PCK@.05", 100 * mean.pck05, "%", "higher", _PEER, peer_value=95.0
        ),
    ]  # fmt: skip


def _speed(lifter: Lifter) -> Result:
    """One frame, landmarks to placed body, on one thread."""
    frames, side = 1, 640
    zeros: dict[str, Any] = {
        name: np.zeros((frames, *shape), np.float32)
        for name, shape in (
            ("pose_px", (33, 2)), ("pose_confidence", (33,)), ("pose_world", (33, 3)),
            ("left_hand_px", (21, 2)), ("left_hand_confidence", ()), ("right_hand_px", (21, 2)),
            ("right_hand_confidence", ()), ("face_px", (478, 2)), ("face_confidence", ()),
            ("box_xyxy", (4,)),
        )
    }  # fmt: skip
    clip = ClipDetections(
        frame_index=np.arange(frames),
        time=np.arange(frames) / 30,
        **zeros,
        trusted=np.ones(frames, bool),
        reason=np.full(frames, ""),
        width=side,
        height=side,
    )
    ms = interleaved_medians({"lift": lambda: lifter.lift(clip)}, repeats=31, warmup=5)
    return Result("lifter, one frame: landmarks to body", ms["lift"], "ms", "lower")


def synthetic_scores(lifter: Lifter, held_out: PosePool | None) -> dict[str, float]:
    """Errors on recordings that training never saw, with the detector's noise (mm, %)."""
    return Scorer(lifter.body, held_out, NoiseBank.load())(lifter.network)


def render_scores(lifter: Lifter, renders: RenderSet) -> dict[str, float]:
    """Errors where the detector looked at pictures of synthetic people (mm).

    ``world``: the detector's own 3D on twelve joints, the lifter's beside it.
    """
    truth = truth_of(renders, lifter.body)
    lifted = [_lift_one(lifter, renders, i) for i in range(renders.count)]
    params = BodyParams(
        *(
            torch.cat([getattr(x.params, name) for x in lifted])
            for name in ("betas", "expression", "rotations", "transl")
        )
    )
    with torch.no_grad():
        posed = lifter.body.shape(params.betas, params.expression).pose(params.rotations)
        joints, marks = posed.joints[:, :22], posed.landmarks("mediapipe_pose")
        betas = torch.from_numpy(renders.betas).float()
        true = lifter.body.shape(betas).pose(torch.from_numpy(renders.rotations).float())
        true_joints = true.joints[:, :22]
    used = torch.from_numpy(renders.found & (renders.pose_confidence > 0.25).sum(1).__gt__(8))
    full = in_sight(truth.pose, truth.half)[:, 23:29].all(1) & used
    a, b = joints - joints[:, :1], true_joints - true_joints[:, :1]
    error, aligned = (1e3 * (x - b).norm(dim=-1).mean(1) for x in (a, procrustes_align(a, b)))
    detector = torch.from_numpy(renders.pose_world).float()[:, list(_LIMBS)]
    detector = detector * torch.tensor([1.0, -1.0, -1.0])
    goal = truth.pose[:, list(_LIMBS)]
    ours = marks[:, list(_LIMBS)]

    def hips(x: Tensor) -> Tensor:
        return x - x[:, 6:8].mean(1, keepdim=True)

    def mean(x: Tensor, rows: Tensor) -> float:
        return float(x[rows].mean())

    limbs = {
        name: (
            1e3 * (hips(x) - hips(goal)).norm(dim=-1).mean(1),
            1e3 * (procrustes_align(x, goal) - goal).norm(dim=-1).mean(1),
        )
        for name, x in (("world", detector), ("lifter", ours))
    }
    return {
        "pictures": float(used.sum()),
        "mpjpe": mean(error, used),
        "mpjpe_pa": mean(aligned, used),
        "full": mean(error, full),
        "full_pa": mean(aligned, full),
        "full_median": float(error[full].median()),
        "detector_12": mean(limbs["world"][0], full),
        "detector_12_pa": mean(limbs["world"][1], full),
        "lifter_12": mean(limbs["lifter"][0], full),
        "lifter_12_pa": mean(limbs["lifter"][1], full),
    }


def _lift_one(lifter: Lifter, renders: RenderSet, i: int) -> LiftedClip:
    width, height = (int(v) for v in renders.size[i])
    K = intrinsics(float(renders.focal[i]), width, height)
    return lifter.lift(detections_of(renders, i), Camera(K, default_world_camera(), width, height))


def detections_of(renders: RenderSet, i: int) -> ClipDetections:
    """One picture of a render set as a clip of one frame."""
    width, height = (int(v) for v in renders.size[i])
    found = bool(renders.found[i])
    rows = {
        name: getattr(renders, name)[i : i + 1]
        for name in (
            "pose_px",
            "pose_confidence",
            "pose_world",
            "left_hand_px",
            "left_hand_confidence",
            "right_hand_px",
            "right_hand_confidence",
            "face_px",
            "face_confidence",
        )
    }
    return ClipDetections(
        frame_index=np.zeros(1, np.int64),
        time=np.zeros(1),
        **rows,
        box_xyxy=np.zeros((1, 4), np.float32),
        trusted=np.array([found]),
        reason=np.array(["" if found else "no person found"]),
        width=width,
        height=height,
    )


@dataclass(frozen=True)
class RealScore:
    """Agreement of a lifted clip with its detections; not truth, which is unknown.

    error: mean distance over the person's height (projected), hands and face likewise; pck05,
    pck10: shares within 5 and 10 % of the height; jitter, steady: mean acceleration of the joints
    in mm a frame squared, before and after smoothing; steady_error: error after smoothing.
    """

    name: str
    frames: int
    error: float
    pck05: float
    pck10: float
    hands: float
    face: float
    jitter: float
    steady: float
    steady_error: float


def real_score(
    lifter: Lifter, detections: ClipDetections, name: str, sigma: float = 1.0
) -> RealScore:
    """Compare a clip's lifted landmarks with the detector's."""
    lifted = lifter.lift(detections)
    trusted = torch.from_numpy(detections.trusted)
    marks = _project(lifter, lifted, lifted.shared)
    gaps = landmark_gaps(lifter, detections, lifted, marks)
    steady_params = gaussian_body(lifted.shared, sigma, trusted.float())
    steady_gaps = landmark_gaps(lifter, detections, lifted, _project(lifter, lifted, steady_params))
    error = gaps["body"]

    def jitter(params: BodyParams) -> float:
        if params.num_frames < 3:
            return float("nan")
        with torch.no_grad():
            joints = lifter.body.shape(params.betas).pose(params.rotations).joints[:, :22]
        joints = joints - joints[:, :1]
        acceleration = (joints[2:] - 2 * joints[1:-1] + joints[:-2]).norm(dim=-1).mean(1)
        keep = trusted[2:] & trusted[1:-1] & trusted[:-2]
        return 1e3 * float(acceleration[keep].mean())

    return RealScore(
        name=name,
        frames=int(trusted.sum()),
        error=_mean(error),
        pck05=_mean((error < 0.05).float()),
        pck10=_mean((error < 0.10).float()),
        hands=_mean(gaps["hands"]),
        face=_mean(gaps["face"]),
        jitter=jitter(lifted.shared),
        steady=jitter(steady_params),
        steady_error=_mean(steady_gaps["body"]),
    )


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _project(lifter: Lifter, lifted: LiftedClip, params: BodyParams) -> dict[str, Tensor]:
    """Pixels of the lifted landmarks by part, with the clip's own proportions."""
    rig = make_rig(lifter.body, layout.NUM_BETAS)
    N = params.num_frames

    def rows(x: Tensor) -> Tensor:
        return x.expand(N, -1)

    shape = Shape(
        rows(params.betas),
        params.expression,
        rows(lifted.shared_proportions.head_scale),
        rows(lifted.shared_proportions.hand_scale),
    )
    _, joints, points = rig.pose(params.rotations, shape)
    points = points + params.transl[:, None]
    T, K = lifted.camera.T_camera_world, lifted.camera.K
    seen = points @ T[:, :3, :3].transpose(1, 2) + T[:, None, :3, 3]
    px = seen[..., :2] / seen[..., 2:].clamp_min(1e-3)
    px = px * torch.stack([K[:, 0, 0], K[:, 1, 1]], -1)[:, None] + K[:, None, :2, 2]
    pelvis = (joints[:, 0] + params.transl)[:, None] @ T[:, :3, :3].transpose(1, 2)
    depth = pelvis[:, 0, 2] + T[:, 2, 3]
    marks = dict(
        zip(("pose", "left_hand", "right_hand", "face"), px.split(rig.splits, 1), strict=True)
    )
    return marks | {"scale": K[:, 1, 1] / depth.clamp_min(0.1)}


def landmark_gaps(
    lifter: Lifter, detections: ClipDetections, lifted: LiftedClip, marks: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Distances over the person's height, of everything sure: body (13 joints), hands, face."""
    with torch.no_grad():
        y = lifter.body.shape(lifted.shared.betas).vertices()[..., 1]
    height = marks["scale"] * float(y.max() - y.min())
    trusted = torch.from_numpy(detections.trusted)

    def gap(part: str, pixels: np.ndarray, sure: Tensor) -> Tensor:
        distance = (marks[part] - torch.from_numpy(pixels)).norm(dim=-1) / height[:, None]
        return distance[sure & trusted[:, None]]

    pose = detections.pose_px
    inside = (pose >= 0).all(-1) & (pose < [detections.width, detections.height]).all(-1)
    sure = torch.from_numpy((detections.pose_confidence >= _SURE) & inside)
    chosen = torch.zeros(33, dtype=torch.bool)
    chosen[list(COMPARED)] = True
    hands = []
    for side in ("left", "right"):
        found = torch.from_numpy(getattr(detections, f"{side}_hand_confidence") > 0)
        pixels = getattr(detections, f"{side}_hand_px")
        hands.append(gap(f"{side}_hand", pixels, found[:, None].expand(-1, 21)))
    face = torch.from_numpy(detections.face_confidence > 0)[:, None].expand(-1, layout.NUM_FACE)
    return {
        "body": gap("pose", pose, sure & chosen),
        "hands": torch.cat(hands),
        "face": gap("face", detections.face_px[:, list(LIFTED_FACE_POINTS)], face),
    }


def mean_scores(scores: Iterable[RealScore]) -> RealScore:
    """Every clip and still counts the same."""
    rows = list(scores)
    names = ("error", "pck05", "pck10", "hands", "face", "jitter", "steady", "steady_error")
    columns = {n: np.array([getattr(r, n) for r in rows]) for n in names}
    means = {n: _mean(torch.from_numpy(c[np.isfinite(c)])) for n, c in columns.items()}
    return RealScore("mean", sum(r.frames for r in rows), **means)
