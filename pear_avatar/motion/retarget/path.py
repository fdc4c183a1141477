"""The path of the body's pelvis: the source's, scaled by the legs and set on one floor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pear_avatar.body.joints import JOINT_INDEX, PARENTS
from pear_avatar.body.skinning import KinematicTree, forward_kinematics
from pear_avatar.motion.retarget.source import LIMBS, SIDES, Source

__all__ = ["misses", "translation"]

_F64 = torch.float64

#: What else than feet may carry a person.
_PROPS = ("wrist", "elbow", "knee")


def translation(
    source: Source, rotations: Tensor, joints: Tensor, scale: float, sole: float, *, step: float
) -> Tensor:
    """(N, 3): the scaled path of the hips, with the body as far above the floor as the source.

    Legs of equal length still end elsewhere where hips are narrower or ankles higher, so the
    height follows whatever is lowest: mostly heels, balls and toe tips, in a cartwheel the
    wrists. The correction is smoothed over a fifth of a second: it must not pass on jitter.
    """
    path = scale * (_pelvis_path(source) @ source.U.T) - joints[0]
    tree = KinematicTree.from_parents(PARENTS)
    posed = forward_kinematics(rotations, joints, tree)
    own, theirs = _foot_heights(source, posed, joints, scale, sole)
    # Ankles stand higher than the floor by as much as the body's do.
    ankles = [f"{side}_ankle" for side in SIDES]
    stand = torch.stack([(scale * source.at(n) @ source.up).quantile(0.02) for n in ankles]).amin()
    floor = stand - (joints[[JOINT_INDEX[n] for n in ankles], 1].amin() - sole)
    feet = torch.stack(theirs).amin(0)
    limbs = {f"{s}_{p}": source.skeleton.limbs[f"{s}_{p}"] for s in SIDES for p in _PROPS}
    for name, joint in {**limbs, "head": source.skeleton.head}.items():
        height = scale * (source.p[:, joint] @ source.up) - floor
        point = posed[:, JOINT_INDEX[name], 1, 3]
        if name.endswith("wrist"):
            # Hands that carry a person touch the floor, and the fingers do not go into it.
            tip = posed[:, JOINT_INDEX[name.replace("wrist", "middle3")], 1, 3]
            point = torch.where(height < feet, torch.minimum(point, tip), point)
        own.append(point)
        theirs.append(height)
    lift = torch.stack(theirs).amin(0) - torch.stack(own).amin(0) - path[:, 1]
    path[:, 1] = path[:, 1] + _smooth(lift, 0.1 / step)
    path[:, [0, 2]] = path[:, [0, 2]] - path[:1, [0, 2]]
    return path


def _pelvis_path(source: Source) -> Tensor:
    """(N, 3) where the source's pelvis is; the middle of its hips where the legs meet elsewhere."""
    limbs, pelvis = source.skeleton.limbs, source.skeleton.pelvis
    hips = (limbs["left_hip"], limbs["right_hip"])
    middle = (source.rest[hips[0]] + source.rest[hips[1]]) / 2
    leg = source.bone(limbs["left_hip"], limbs["left_knee"]).norm()
    if (middle - source.rest[pelvis]).norm() > leg:  # a locator on the floor, or far away
        return (source.p[:, hips[0]] + source.p[:, hips[1]]) / 2
    return source.p[:, pelvis]


def _foot_heights(
    source: Source, posed: Tensor, joints: Tensor, scale: float, sole: float
) -> tuple[list[Tensor], list[Tensor]]:
    """(N,) heights above the floor of the body's feet (hips at 0) and of the source's."""
    own, theirs = [], []
    for side in SIDES:
        ankle, foot = (JOINT_INDEX[f"{side}_{j}"] for j in ("ankle", "foot"))
        tip = torch.zeros(3, dtype=_F64)
        tip[1], tip[2] = sole - joints[foot, 1], 0.4 * (joints[foot] - joints[ankle]).norm()
        own.append(posed[:, ankle, 1, 3] - (joints[ankle, 1] - sole))
        own.append(posed[:, foot, 1, 3] - (joints[foot, 1] - sole))
        own.append((posed[:, foot, :, :3] @ tip)[:, 1] + posed[:, foot, 1, 3])
        for name in (f"{side}_ankle", f"{side}_foot"):
            if name in source.skeleton.limbs:
                height = scale * (source.at(name) @ source.up)
                theirs.append(height - height.quantile(0.02))
    return own, theirs


def _smooth(values: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of (N,) over ``sigma`` frames, with the ends held."""
    radius = max(1, min(int(3 * sigma), len(values) - 1))
    if len(values) < 3 or sigma < 0.3:
        return values
    offset = torch.arange(-radius, radius + 1, dtype=_F64)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    padded = torch.cat([values[:1].expand(radius), values, values[-1:].expand(radius)])
    smoothed = torch.nn.functional.conv1d(padded[None, None], (kernel / kernel.sum())[None, None])
    return smoothed[0, 0]


def misses(source: Source, rotations: Tensor, joints: Tensor) -> dict[str, float]:
    """Degrees by which the hip line and each limb miss the source's, in all but a twentieth of
    the frames, seen on the body as it was posed."""
    posed = forward_kinematics(rotations, joints, KinematicTree.from_parents(PARENTS))[..., :3, 3]
    pairs = {"the hip line": ("right_hip", "left_hip")}
    pairs |= {f"the bone {a} to {b}": (a, b) for a, b in LIMBS.items()}
    out = {}
    for name, (a, b) in pairs.items():
        ours = normalize(posed[:, JOINT_INDEX[b]] - posed[:, JOINT_INDEX[a]], dim=-1)
        theirs = normalize((source.at(b) - source.at(a)) @ source.U.T, dim=-1)
        cosine = (ours * theirs).sum(-1).clamp(-1, 1)
        out[name] = float(torch.rad2deg(torch.arccos(cosine)).quantile(0.95))
    return out
