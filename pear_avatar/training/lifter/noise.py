"""What the detector gets wrong, measured on renders and replayed in training.

Errors are kept whole, one record a picture, because they are correlated: a detector that takes a
dark sleeve for an arm moves elbow, wrist and fingers together. They are stored in metres of the
body, so that they can be replayed at any distance.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.body.topology import LIFTED_FACE_POINTS, NUM_POSE
from pear_avatar.errors import ModelFileError
from pear_avatar.io.npz import load_npz, save_npz
from pear_avatar.recovery.lifter import layout
from pear_avatar.recovery.lifter.features import LEAST_CONFIDENCE, LandmarkRays, person_box
from pear_avatar.recovery.lifter.landmark_rig import Shape, make_rig
from pear_avatar.training.lifter.renders import RenderSet
from pear_avatar.training.lifter.views import in_sight, to_rays

_ASSET = "assets/lifter_noise.npz"

#: Pictures whose landmarks are this far off in the median (metres) are failures, not noise.
GROSS = 0.12
_CLIP_2D, _CLIP_WORLD = 0.25, 0.6
_OFFSET_ROUNDS = 6


@dataclass(frozen=True)
class NoiseBank:
    """Measured behaviour of the detector; M body records, H hand records, F head records.

    pose_offset (33, 3): where pose landmarks lie off the body's own points, metres, in the axes
    of the joint that carries each. world_gain (3,), world_bias (33, 3): detected 3D = gain x
    truth + bias. body_key (M, 5): see :func:`body_keys`; pose_error (M, 33, 2) metres in the
    picture, pose_confidence (M, 33), world_error (M, 33, 3) metres. hand_error (H, 21, 2), of
    right hands. face_key (F, 2): heading of the head; face_found (F,); face_error (F, 109, 2).
    hand_rate: share of the hands in sight that are found. failures, flips: share of pictures
    with gross errors and with front and back exchanged.
    """

    pose_offset: np.ndarray
    world_gain: np.ndarray
    world_bias: np.ndarray
    body_key: np.ndarray
    pose_error: np.ndarray
    pose_confidence: np.ndarray
    world_error: np.ndarray
    hand_error: np.ndarray
    face_key: np.ndarray
    face_found: np.ndarray
    face_error: np.ndarray
    hand_rate: np.ndarray
    failures: np.ndarray
    flips: np.ndarray

    def save(self, path: str | Path) -> None:
        """Write as npz in half precision."""
        values = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        small = {k: v.astype(np.float16) if v.dtype.kind == "f" else v for k, v in values.items()}
        save_npz(Path(path), small, compressed=True)

    @classmethod
    def load(cls, path: str | Path | None = None) -> NoiseBank:
        """Read a bank; ``None`` means the one that ships with the package."""
        if path is None:
            with resources.as_file(resources.files("pear_avatar.training").joinpath(_ASSET)) as p:
                arrays = load_npz(p)
        else:
            arrays = load_npz(Path(path))
        missing = [f.name for f in fields(cls) if f.name not in arrays]
        if missing:
            raise ModelFileError(
                f"{path or _ASSET} is not a noise bank: it lacks {', '.join(missing)}"
            )
        return cls(
            **{
                f.name: arrays[f.name].astype(np.float32)
                if arrays[f.name].dtype.kind == "f"
                else arrays[f.name]
                for f in fields(cls)
            }
        )


@dataclass(frozen=True)
class Truth:
    """Landmarks of M pictures in the camera's world, metres.

    pose (M, 33, 3), left, right (M, 21, 3), face (M, F, 3); R (M, 55, 3, 3) world rotations;
    pelvis (M, 3); half (M, 2) rays; carrier (33,) the joint that carries each pose landmark.
    """

    pose: Tensor
    left: Tensor
    right: Tensor
    face: Tensor
    R: Tensor
    pelvis: Tensor
    half: Tensor
    carrier: Tensor


def truth_of(renders: RenderSet, body: BodyModel) -> Truth:
    """Where the landmarks of rendered people are."""
    rig = make_rig(body, renders.betas.shape[1])
    rotations = torch.from_numpy(renders.rotations).float()
    one = torch.ones(renders.count, 3)
    shape = Shape(
        torch.from_numpy(renders.betas).float(),
        torch.from_numpy(renders.expression).float(),
        one,
        one,
    )
    R, joints, points = rig.pose(rotations, shape)
    transl = torch.from_numpy(renders.transl).float()[:, None]
    pose, left, right, face = (points + transl).split(rig.splits, 1)
    half = torch.from_numpy(renders.size / renders.focal[:, None] / 2).float()
    carrier = rig.landmark_joint[:NUM_POSE]
    return Truth(
        pose=pose,
        left=left,
        right=right,
        face=face,
        R=R,
        pelvis=joints[:, 0] + transl[:, 0],
        half=half,
        carrier=carrier,
    )


def seen_in(renders: RenderSet) -> LandmarkRays:
    """The detections of rendered pictures as rays."""
    size = torch.from_numpy(renders.size).float()
    focal = torch.from_numpy(renders.focal).float()

    def rays(pixels: np.ndarray) -> Tensor:
        return (torch.from_numpy(pixels).float() - 0.5 * size[:, None]) / focal[:, None, None]

    def number(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float()

    half = size / focal[:, None] / 2
    return LandmarkRays(
        pose=rays(renders.pose_px),
        pose_confidence=number(renders.pose_confidence),
        pose_world=number(renders.pose_world) * torch.tensor([1.0, -1.0, -1.0]),
        left_hand=rays(renders.left_hand_px),
        left_confidence=number(renders.left_hand_confidence),
        right_hand=rays(renders.right_hand_px),
        right_confidence=number(renders.right_hand_confidence),
        face=rays(renders.face_px[:, list(LIFTED_FACE_POINTS)]),
        face_confidence=number(renders.face_confidence),
        border=torch.cat([-half, half], -1),
    )


def body_keys(R: Tensor, turn: Tensor, visible: Tensor) -> Tensor:
    """(B, 5) what errors depend on most: heading (x, z) of the pelvis towards the viewer, share
    of legs, hips and arms in sight. ``visible`` (B, 33)."""
    forward = (turn.transpose(1, 2) @ R[:, 0, :, 2:])[..., 0]
    share = [
        visible[:, list(i)].float().mean(1) for i in (range(25, NUM_POSE), (23, 24), range(13, 17))
    ]
    return torch.stack([forward[:, 0], forward[:, 2], *share], -1)


def fit_noise(renders: RenderSet, body: BodyModel) -> NoiseBank:
    """Measure offsets, gains and errors on a set of renders."""
    truth, seen = truth_of(renders, body), seen_in(renders)
    box = person_box(seen)
    found = torch.from_numpy(renders.found.astype(bool))
    visible = in_sight(truth.pose, truth.half)
    sure = (seen.pose_confidence >= LEAST_CONFIDENCE) & found[:, None]
    gross, flipped = _failures(truth, seen, box.turn, sure)
    good = found & ~gross & ~flipped
    offset = _fit_offsets(truth, seen, sure & good[:, None])
    moved = _offsets_to(truth, offset)
    error = (seen.pose - to_rays(moved)) * -moved[..., 2:]
    world_truth = _in_view(moved, box.turn)
    gain, bias = _fit_world(world_truth, seen.pose_world, sure & good[:, None])
    world_error = seen.pose_world - (gain * world_truth + bias)
    error, world_error = (
        _weight_error(error, sure, _CLIP_2D),
        _weight_error(world_error, sure, _CLIP_WORLD),
    )
    hand_error, hand_rate = _hand_errors(truth, seen, good)
    heading = (box.turn.transpose(1, 2) @ truth.R[:, layout.HEAD, :, 2:])[..., 0][:, [0, 2]]
    face_found = seen.face_confidence > 0
    face_error = (seen.face - to_rays(truth.face)) * -truth.face[..., 2:]
    # Errors of the face as a whole are the body's; what matters is its shape.
    face_error = face_error.clamp(-0.05, 0.05) * face_found[:, None, None]
    head = good & in_sight(truth.face, truth.half).all(1)
    return NoiseBank(
        pose_offset=offset.numpy(),
        world_gain=gain.numpy(),
        world_bias=bias.numpy(),
        body_key=body_keys(truth.R, box.turn, visible)[good].numpy(),
        pose_error=error[good].numpy(),
        pose_confidence=seen.pose_confidence[good].numpy(),
        world_error=world_error[good].numpy(),
        hand_error=hand_error.numpy(),
        face_key=heading[head].numpy(),
        face_found=face_found[head].numpy(),
        face_error=face_error[head].numpy(),
        hand_rate=np.array(hand_rate, np.float32),
        failures=(gross & found).float().mean().numpy(),
        flips=(flipped & found).float().mean().numpy(),
    )


def _failures(
    truth: Truth, seen: LandmarkRays, turn: Tensor, sure: Tensor
) -> tuple[Tensor, Tensor]:
    """(M,) bool: gross 2D failures, and front and back exchanged (the shoulders' depth order)."""
    error = ((seen.pose - to_rays(truth.pose)) * -truth.pose[..., 2:]).norm(dim=-1)
    body = torch.where(sure, error, torch.nan)[:, 11:]
    gross = ~(body.nanmedian(1).values <= GROSS)  # also where nothing is sure
    world = _in_view(truth.pose, turn)
    a, b = world[:, 11] - world[:, 12], seen.pose_world[:, 11] - seen.pose_world[:, 12]
    flipped = (a[:, 0] * b[:, 0] < 0) & (a[:, 0].abs() > 0.15) & sure[:, 11] & sure[:, 12]
    return gross, flipped


def _in_view(points: Tensor, turn: Tensor) -> Tensor:
    """(M, 33, 3) about the hips, in the axes of an observer who looks straight at the person."""
    about = points - points[:, 23:25].mean(1, keepdim=True)
    return about @ turn


def _offsets_to(truth: Truth, offset: Tensor) -> Tensor:
    return truth.pose + (truth.R[:, truth.carrier] @ offset[..., None])[..., 0]


def _fit_offsets(truth: Truth, seen: LandmarkRays, sure: Tensor) -> Tensor:
    """(33, 3): robust least squares on the errors in the picture, shrunk towards zero."""
    depth = -truth.pose[..., 2:]
    error = (seen.pose - to_rays(truth.pose)) * depth
    flip = torch.tensor([1.0, -1.0])
    jacobian = truth.R[:, truth.carrier][..., :2, :] * flip[:, None]  # (M, 33, 2, 3)
    offset = torch.zeros(NUM_POSE, 3)
    for _ in range(_OFFSET_ROUNDS):
        left = error - (jacobian @ offset[..., None])[..., 0]
        weight = sure / (1 + (left.norm(dim=-1) / 0.03) ** 2)
        JW = jacobian * weight[..., None, None]
        normal = torch.einsum("mlij,mlik->ljk", JW, jacobian) + 10.0 * torch.eye(3)
        offset = torch.linalg.solve(normal, torch.einsum("mlij,mli->lj", JW, error))
    return offset


def _fit_world(true: Tensor, found: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
    """Gain (3,) per axis and bias (33, 3) of the detector's 3D, outliers down-weighted."""
    gain, bias = torch.ones(3), torch.zeros(NUM_POSE, 3)
    for _ in range(_OFFSET_ROUNDS):
        left = found - gain * true - bias
        weight = sure[..., None] / (1 + (left / 0.1) ** 2)
        gain = (weight * true * (found - bias)).sum((0, 1)) / (weight * true * true).sum((0, 1))
        bias = (weight * (found - gain * true)).sum(0) / (weight.sum(0) + 10.0)
    return gain, bias


def _weight_error(error: Tensor, sure: Tensor, most: float) -> Tensor:
    return error.clamp(-most, most) * sure[..., None]


def _hand_errors(truth: Truth, seen: LandmarkRays, good: Tensor) -> tuple[Tensor, float]:
    """Errors (H, 21, 2) of right hands (left ones mirrored) and the share that was found."""
    errors, found, visible = [], 0.0, 0.0
    for points, true, confidence, sign in (
        (seen.left_hand, truth.left, seen.left_confidence, -1.0),
        (seen.right_hand, truth.right, seen.right_confidence, 1.0),
    ):
        error = (points - to_rays(true)) * -true[..., 2:] * torch.tensor([sign, 1.0])
        shown = good & (in_sight(true, truth.half).float().mean(1) > 0.7)
        hit = shown & (confidence > 0) & (error.norm(dim=-1).median(1).values < 0.08)
        errors.append(error[hit].clamp(-0.12, 0.12))
        found, visible = found + float(hit.sum()), visible + float(shown.sum())
    return torch.cat(errors), found / max(visible, 1.0)
