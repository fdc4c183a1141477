"""A first pose of each frame from directions alone: the trunk, then the limbs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.geometry.rotations import rotation_between
from pear_avatar.motion.keypoints.rigid_points import RigidPoints

__all__ = ["anchors", "first_pose"]

_LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
#: Metres between a joint and the point that stands for it, and from the middle of the body.
_NEAR, _BESIDE = 0.16, 0.03
_PARENTS = {"elbow": "shoulder", "knee": "hip"}


def anchors(points: RigidPoints) -> dict[str, int]:
    """The point nearest to each joint of the limbs at rest, if one is near."""
    eye = torch.eye(3, dtype=torch.float64).expand(1, NUM_JOINTS, 3, 3)
    rest = points.points(eye, torch.zeros(1, 3, dtype=torch.float64))[0]
    found = {}
    for side in ("left", "right"):
        for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
            name = f"{side}_{part}"
            off = (rest - points.joints[JOINT_INDEX[name]]).norm(dim=-1)
            other = rest[:, 0] * (1 if side == "left" else -1) < _BESIDE
            off = off + 10.0 * (other | (points.sigma > points.sigma.min()))
            nearest = int(off.argmin())
            if float(off[nearest]) < _NEAR:
                found[name] = nearest
    return found


def first_pose(points: RigidPoints, seen: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (N, 55, 3, 3) and the root's shift (N, 3); frames without a trunk keep the last."""
    at = anchors(points)
    count = len(seen)
    filled = _held(seen, weight)
    rotations = torch.eye(3, dtype=torch.float64).repeat(count, NUM_JOINTS, 1, 1)
    hips = [filled[:, at[f"{s}_hip"]] for s in ("left", "right")]
    shoulders = [filled[:, at[f"{s}_shoulder"]] for s in ("left", "right")]
    middle, top = (hips[0] + hips[1]) / 2, (shoulders[0] + shoulders[1]) / 2
    up = normalize(top - middle, dim=-1)
    across = hips[0] - hips[1] + 0.5 * (shoulders[0] - shoulders[1])
    left = normalize(across - (across * up).sum(-1, keepdim=True) * up, dim=-1)
    root = torch.stack([left, up, torch.linalg.cross(left, up)], dim=-1)
    rotations[:, 0] = root
    world: dict[str, Tensor] = {}
    for side in ("left", "right"):
        for start, end in _LIMBS:
            a, b = f"{side}_{start}", f"{side}_{end}"
            if a not in at or b not in at:
                continue
            own = points.joints[JOINT_INDEX[b]] - points.joints[JOINT_INDEX[a]]
            above = world.get(f"{side}_{_PARENTS[start]}", root) if start in _PARENTS else root
            wanted = normalize(filled[:, at[b]] - filled[:, at[a]], dim=-1)
            now = normalize(above @ own, dim=-1)
            world[a] = rotation_between(now, wanted) @ above
            rotations[:, JOINT_INDEX[a]] = above.transpose(-1, -2) @ world[a]
    hip_rest = points.joints[[JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]].mean(0)
    pelvis = middle - (root @ (hip_rest - points.joints[0])[:, None])[..., 0]
    return rotations, pelvis - points.joints[0]


def _held(seen: Tensor, weight: Tensor) -> Tensor:
    """Points (N, K, 3) in which a missing one stays where it was last, or first, seen."""
    count, out = len(seen), seen.clone()
    for k in range(seen.shape[1]):
        there = torch.nonzero(weight[:, k] > 0).squeeze(-1)
        if len(there) in (0, count):
            continue
        place = torch.searchsorted(there, torch.arange(count), right=True) - 1
        out[:, k] = seen[there[place.clamp_min(0)], k]
    return out
