"""Motion capture of any human skeleton -> the 55 joints of the body.

Every source joint keeps one constant rotation between its own frame and the body's, so that

    world rotation of the body's joint = up-axis change @ source's world rotation @ constant.

Where the source's zero pose is a person standing (most files), the constant turns the body's
T-pose bones onto that pose's bones by the shortest way. Where it is not (some rigs draw every
bone along one axis), arms and legs are straight in their own frames and get their twist from the
axis that elbow or knee is seen to bend about, feet are flat when they stand, and head and collar
bones are at rest on average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS, PARENTS
from pear_avatar.body.skinning import KinematicTree, forward_kinematics
from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.rotations import (
    geodesic_angle,
    matrix_to_quat_wxyz,
    quat_wxyz_to_matrix,
    rotation_between,
    slerp_wxyz,
)
from pear_avatar.motion.formats.axes import UpAxis, to_y_up
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.retarget_report import RetargetReport
from pear_avatar.motion.retarget.skeleton_map import SkeletonMap, map_skeleton
from pear_avatar.types import BodyParams, Motion

__all__ = ["leg_length", "retarget"]

_F64 = torch.float64
_SIDES = ("left", "right")
_ARM = ("collar", "shoulder", "elbow", "wrist")

#: What else than feet may carry somebody.
_PROPS = ("wrist", "elbow", "knee")

#: Where each limb joint's bone ends, in the body.
_CHILD = {
    "collar": "shoulder", "shoulder": "elbow", "elbow": "wrist", "wrist": "middle1",
    "hip": "knee", "knee": "ankle", "ankle": "foot",
}  # fmt: skip


@dataclass(frozen=True)
class _Source:
    """The source skeleton as tensors.

    rest:    (J, 3) positions in the zero pose; rest_up: (3,) its upward axis.
    R, p:    (N, J, 3, 3), (N, J, 3) world motion; up: (3,) the world's upward axis.
    U:       (3, 3) from the source's world to ours.
    """

    skeleton: SkeletonMap
    rest: Tensor
    rest_up: Tensor
    R: Tensor
    p: Tensor
    up: Tensor
    U: Tensor

    def at(self, name: str) -> Tensor:
        """(N, 3) positions of the source joint that drives a limb joint of the body."""
        return self.p[:, self.skeleton.limbs[name]]

    def bone(self, start: int, end: int) -> Tensor:
        """(3,) from one joint to another in the zero pose."""
        return self.rest[end] - self.rest[start]


def retarget(
    bvh: CaptureMotion,
    rest_joints: np.ndarray,
    *,
    sole_height: float | None = None,
    up_axis: UpAxis | None = None,
) -> tuple[Motion, RetargetReport]:
    """Move the body as a motion-capture skeleton moves.

    Args:
        bvh: the source.
        rest_joints: (55, 3) rest joints of the body in metres, T-pose, y up, facing +z.
        sole_height: height of the soles in that pose; by default 2 cm under the foot joints.
        up_axis: which axis of the source's world points up; by default the one along which the
            skeleton stands.

    Returns:
        The motion in this package's world (y up, floor at y = 0, starting over the origin), and
        what was made of the skeleton. Joints that the source lacks keep their rest pose.

    Raises:
        MotionFileError: the skeleton is not recognised.
    """
    joints = torch.as_tensor(rest_joints, dtype=_F64)
    if joints.shape != (NUM_JOINTS, 3):
        raise ValueError(f"rest_joints must have shape (55, 3), got {tuple(joints.shape)}")
    source = _prepare(bvh, up_axis)
    standing = _rest_is_standing(source)
    constants = _constants(source, joints, standing)
    world, drivers = _world_rotations(source, constants)
    rotations = _local(world)
    scale = float(leg_length(joints)) / float(
        leg_length(source.rest, lambda n: source.skeleton.limbs[n])
    )
    if sole_height is None:
        sole_height = float(joints[[JOINT_INDEX[f"{s}_foot"] for s in _SIDES], 1].min()) - 0.02
    transl = _translation(source, rotations, joints, scale, sole_height, bvh.frame_time)
    params = BodyParams(
        torch.zeros(10), torch.zeros(len(transl), 10), rotations.float(), transl.float()
    )
    used = {*drivers.values(), *source.skeleton.spine}
    report = RetargetReport(
        source=bvh.source,
        mapped={name: bvh.names[j] for name, j in drivers.items()},
        corrections=_correction_degrees(constants, drivers),
        interpolated=tuple(n for n in ("spine1", "spine2", "neck") if n not in drivers),
        undriven=tuple(n for n in JOINT_NAMES if n not in {*drivers, "spine1", "spine2", "neck"}),
        unmapped=tuple(n for j, n in enumerate(bvh.names) if j not in used),
        up_axis=_axis_name(source.up),
        scale=scale,
        reference="rest pose" if standing else "local frames",
    )
    return Motion(params, np.arange(len(transl)) * bvh.frame_time, bvh.source), report


def _prepare(bvh: CaptureMotion, up_axis: UpAxis | None) -> _Source:
    skeleton = map_skeleton(bvh)
    rest = bvh.rest()
    R, p = bvh.world()
    _check_size(bvh.source, skeleton, rest)
    feet = [skeleton.limbs[f"{side}_ankle"] for side in _SIDES]
    rest_up = _nearest_axis(rest[skeleton.head] - rest[feet].mean(0))
    upright = p[:, skeleton.head] - p[:, feet].mean(1)
    mean = (upright / np.linalg.norm(upright, axis=-1, keepdims=True).clip(1e-9)).mean(0)
    # Somebody who crawls or tumbles does not show which way is up; the zero pose does.
    up = _nearest_axis(mean) if np.abs(mean).max() > 0.7 else rest_up
    if up_axis is not None:
        up = to_y_up(up_axis)[1]
    U = rotation_between(up, torch.tensor([0.0, 1.0, 0.0], dtype=_F64))
    rest_t, R_t, p_t = (torch.from_numpy(np.ascontiguousarray(a)) for a in (rest, R, p))
    return _Source(skeleton, rest_t, rest_up, R_t, p_t, up, U)


def _check_size(name: str, skeleton: SkeletonMap, rest: np.ndarray) -> None:
    limbs = skeleton.limbs
    pairs = {"hips": ("left_hip", "right_hip"), "shoulders": ("left_shoulder", "right_shoulder")}
    pairs |= {f"{s} leg": (f"{s}_hip", f"{s}_ankle") for s in _SIDES}
    for what, (a, b) in pairs.items():
        if np.linalg.norm(rest[limbs[a]] - rest[limbs[b]]) < 1e-6:
            raise MotionFileError(
                f"{name}: the {what} have no extent in the file's zero pose (joints at one "
                "place); export the skeleton with its bone lengths"
            )


def _nearest_axis(direction: np.ndarray) -> Tensor:
    axis = torch.zeros(3, dtype=_F64)
    strongest = int(np.abs(direction).argmax())
    axis[strongest] = 1.0 if direction[strongest] > 0 else -1.0
    return axis


def _axis_name(up: Tensor) -> str:
    strongest = int(up.abs().argmax())
    return ("" if up[strongest] > 0 else "-") + "xyz"[strongest]


def _rest_is_standing(source: _Source) -> bool:
    """Whether the zero pose is a person standing upright."""
    limbs = source.skeleton.limbs
    torso = normalize(source.bone(source.skeleton.root, source.skeleton.head), dim=0)
    across = [
        normalize(source.bone(limbs[f"right_{j}"], limbs[f"left_{j}"]), dim=0)
        for j in ("hip", "shoulder")
    ]
    legs = [
        normalize(source.bone(limbs[f"{side}_hip"], limbs[f"{side}_ankle"]), dim=0)
        for side in _SIDES
    ]
    return bool(
        torso @ source.rest_up > 0.7
        and all(leg @ source.rest_up < -0.7 for leg in legs)
        and across[0] @ across[1] > 0.5
    )


def _frame(left: Tensor, up: Tensor) -> Tensor:
    """(3, 3) whose columns are left, up, forward; the given up is kept exactly."""
    up = normalize(up, dim=0)
    left = normalize(left - (left @ up) * up, dim=0)
    return torch.stack([left, up, torch.linalg.cross(left, up)], dim=-1)


def _chain_frames(source: _Source, standing: bool) -> dict[str, Tensor]:
    """Body axes (left, up, forward in columns) in the local frames of each chain."""
    limbs, skeleton = source.skeleton.limbs, source.skeleton
    across_hips = source.bone(limbs["right_hip"], limbs["left_hip"])
    names = ("pelvis", "torso", *(f"{s}_{c}" for s in _SIDES for c in ("arm", "leg")))
    if standing:
        return dict.fromkeys(names, _frame(across_hips, source.rest_up))
    first = skeleton.spine[1] if len(skeleton.spine) > 1 else skeleton.chest
    across = source.bone(*(limbs.get(f"{s}_collar", limbs[f"{s}_shoulder"]) for s in _SIDES[::-1]))
    neck = skeleton.neck[0] if skeleton.neck else skeleton.head
    frames = {
        "pelvis": _frame(across_hips, source.bone(skeleton.root, first)),
        "torso": _frame(across, source.bone(skeleton.chest, neck)),
    }
    for side, outward in zip(_SIDES, (1.0, -1.0), strict=True):
        # A T-pose arm bends forward, about the body's down (left arm) or up axis; its bone
        # points outward. A knee bends backward about the body's left axis; its bone points down.
        bone, hinge = _hinge(source, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        frames[f"{side}_arm"] = _orthogonal(outward * bone, -outward * hinge)
        bone, hinge = _hinge(source, f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        up = -normalize(bone, dim=0)
        frames[f"{side}_leg"] = _frame(hinge, up)
    return frames


def _orthogonal(left: Tensor, up: Tensor) -> Tensor:
    """Like :func:`_frame`, but the given left is kept exactly."""
    left = normalize(left, dim=0)
    up = normalize(up - (up @ left) * left, dim=0)
    return torch.stack([left, up, torch.linalg.cross(left, up)], dim=-1)


def _hinge(source: _Source, start: str, middle: str, end: str) -> tuple[Tensor, Tensor]:
    """Bone direction and mean bending axis of a limb's upper bone, in that bone's own frame."""
    upper = source.at(middle) - source.at(start)
    lower = source.at(end) - source.at(middle)
    axis = torch.linalg.cross(normalize(upper, dim=-1), normalize(lower, dim=-1))
    R = source.R[:, source.skeleton.limbs[start]]
    mean = (R.transpose(-1, -2) @ axis[..., None]).squeeze(-1).mean(0)
    limbs = source.skeleton.limbs
    bone = source.bone(limbs[start], limbs[middle])
    if mean.norm() < 0.02:  # never bent: any perpendicular axis must do
        mean = torch.linalg.cross(bone, torch.eye(3, dtype=_F64)[int(bone.abs().argmin())])
    return bone, mean


def _constants(source: _Source, joints: Tensor, standing: bool) -> dict[str, Tensor]:
    """For each driven limb joint, its body frame in the source joint's frame (3, 3)."""
    frames = _chain_frames(source, standing)
    out = {"pelvis": frames["pelvis"], "torso": frames["torso"]}
    out["head"] = out["torso"]
    if not standing:
        out["head"] = _at_rest_on_average(source, source.skeleton.head, out["torso"])
    for side in _SIDES:
        for part in (*_ARM, "hip", "knee"):
            frame = frames[f"{side}_{'arm' if part in _ARM else 'leg'}"]
            out[f"{side}_{part}"] = _aligned(source, joints, f"{side}_{part}", frame)
        if f"{side}_collar" in source.skeleton.limbs:
            # Collar bones start at different places in different rigs: aligning them would
            # shrug the shoulders.
            out[f"{side}_collar"] = out["torso"]
            if not standing:
                collar = source.skeleton.limbs[f"{side}_collar"]
                out[f"{side}_collar"] = _at_rest_on_average(source, collar, out["torso"])
        out |= _aligned_fingers(source, joints, side, out[f"{side}_wrist"])
        out[f"{side}_ankle"] = _aligned_foot(source, joints, side, frames[f"{side}_leg"], standing)
        out[f"{side}_foot"] = out[f"{side}_ankle"]
    return out


def _at_rest_on_average(source: _Source, joint: int, torso: Tensor) -> Tensor:
    """The constant that, averaged over the motion, leaves a joint in line with the chest."""
    chest = source.R[:, source.skeleton.chest] @ torso
    mean = (source.R[:, joint].transpose(-1, -2) @ chest).mean(0)
    U, _, Vh = torch.linalg.svd(mean)
    flip = torch.ones(3, dtype=_F64)
    flip[2] = torch.linalg.det(U @ Vh)  # the nearest rotation, never a mirror image
    return (U * flip) @ Vh


def _aligned(source: _Source, joints: Tensor, name: str, frame: Tensor) -> Tensor:
    """Turn a frame the shortest way so that the body's bone lies on the source's."""
    side, part = name.split("_")
    child = f"{side}_{_CHILD[part]}"
    own = joints[JOINT_INDEX[child]] - joints[JOINT_INDEX[name]]
    limbs = source.skeleton.limbs
    if name not in limbs or part == "collar":
        return frame
    if child not in limbs:
        # Without fingers the hand goes on where the forearm points.
        wanted = source.bone(limbs[f"{side}_elbow"], limbs[name])
    else:
        wanted = source.bone(limbs[name], limbs[child])
    if wanted.norm() < 1e-6:
        return frame
    return rotation_between(frame @ own, wanted) @ frame


def _aligned_fingers(source: _Source, joints: Tensor, side: str, hand: Tensor) -> dict[str, Tensor]:
    """Frames of the finger joints that the source has."""
    limbs, out = source.skeleton.limbs, {}
    for finger in ("index", "middle", "pinky", "ring", "thumb"):
        frame = hand
        for k in (1, 2, 3):
            name, child = f"{side}_{finger}{k}", f"{side}_{finger}{k + 1}"
            if name in limbs and child in limbs:
                own = joints[JOINT_INDEX[child]] - joints[JOINT_INDEX[name]]
                wanted = source.bone(limbs[name], limbs[child])
                frame = rotation_between(hand @ own, wanted) @ hand
            if name in limbs:
                out[name] = frame
    return out


def _aligned_foot(
    source: _Source, joints: Tensor, side: str, frame: Tensor, standing: bool
) -> Tensor:
    """The ankle's frame: toes point where the source's do, soles are flat when its feet stand.

    The bone from ankle to toes slopes differently in every skeleton, so slopes are compared
    with those of the source while it stands and not with each other.
    """
    limbs = source.skeleton.limbs
    if f"{side}_foot" not in limbs:
        return frame
    ankle, toe = f"{side}_ankle", f"{side}_foot"
    wanted = source.bone(limbs[ankle], limbs[toe])
    stands = _standing_frames(source, ankle, toe)
    bone = normalize(source.at(toe)[stands] - source.at(ankle)[stands], dim=-1)
    slope = torch.asin((bone @ source.up).clamp(-1, 1)).median()
    own = joints[JOINT_INDEX[toe]] - joints[JOINT_INDEX[ankle]]
    level = normalize(own * torch.tensor([1.0, 0.0, 1.0], dtype=_F64), dim=0)
    body_up = torch.tensor([0.0, 1.0, 0.0], dtype=_F64)
    sloped = torch.cos(slope) * level + torch.sin(slope) * body_up
    if standing:
        return rotation_between(frame @ sloped, wanted) @ frame
    up = (source.R[stands, limbs[ankle]].transpose(-1, -2) @ source.up).mean(0)
    return _orthogonal(wanted, up) @ _orthogonal(sloped, body_up).T


def _standing_frames(source: _Source, ankle: str, toe: str) -> Tensor:
    """(N,) bool: the fifth of the frames in which ankle and toes are both lowest."""
    heights = [source.at(name) @ source.up for name in (ankle, toe)]
    above = torch.maximum(*(h - h.quantile(0.05) for h in heights))
    return above <= above.quantile(0.2)


def _world_rotations(
    source: _Source, constants: dict[str, Tensor]
) -> tuple[Tensor, dict[str, int]]:
    """(N, 55, 3, 3) world rotations; joints without a driver follow their parents."""
    skeleton, count = source.skeleton, len(source.R)
    drivers = {"pelvis": skeleton.root, "spine3": skeleton.chest, "head": skeleton.head}
    if skeleton.neck:
        drivers["neck"] = skeleton.neck[len(skeleton.neck) // 2]
    drivers |= skeleton.limbs
    set_world: dict[str, Tensor] = {}
    for name, joint in drivers.items():
        set_world[name] = source.U @ source.R[:, joint] @ _constant_of(constants, name)
    set_world |= _spine(source, constants)
    if not skeleton.neck:
        set_world["neck"] = _between(set_world["spine3"], set_world["head"], 0.5)
    world = torch.empty(count, NUM_JOINTS, 3, 3, dtype=_F64)
    for j, name in enumerate(JOINT_NAMES):
        world[:, j] = set_world[name] if name in set_world else world[:, PARENTS[j]]
    return world, drivers


def _constant_of(constants: dict[str, Tensor], name: str) -> Tensor:
    return constants["torso" if name in ("spine3", "neck") else name]


def _correction_degrees(constants: dict[str, Tensor], drivers: dict[str, int]) -> dict[str, float]:
    """How far each joint's reference pose lies from the body's T-pose, seen from the torso."""
    out = {}
    for name in drivers:
        turn = constants["torso"].T @ _constant_of(constants, name)
        out[name] = float(torch.rad2deg(geodesic_angle(torch.eye(3, dtype=_F64), turn)))
    return out


def _spine(source: _Source, constants: dict[str, Tensor]) -> dict[str, Tensor]:
    """spine1 and spine2 a third and two thirds of the way along the source's spine."""
    chain = source.skeleton.spine
    turns = [
        source.U @ source.R[:, j] @ constants["pelvis" if j == source.skeleton.root else "torso"]
        for j in (chain if len(chain) > 1 else (chain[0], chain[0]))
    ]
    if constants["pelvis"] is not constants["torso"]:
        turns = [turns[0], turns[-1]]  # frames between were not matched: go straight
    out = {}
    for name, fraction in (("spine1", 1 / 3), ("spine2", 2 / 3)):
        place = fraction * (len(turns) - 1)
        k = min(int(place), len(turns) - 2)
        out[name] = _between(turns[k], turns[k + 1], place - k)
    return out


def _between(a: Tensor, b: Tensor, fraction: float) -> Tensor:
    quats = slerp_wxyz(
        matrix_to_quat_wxyz(a), matrix_to_quat_wxyz(b), torch.full((len(a),), fraction, dtype=_F64)
    )
    return quat_wxyz_to_matrix(quats)


def _local(world: Tensor) -> Tensor:
    local = world.clone()
    parents = torch.tensor(PARENTS[1:])
    local[:, 1:] = world[:, parents].transpose(-1, -2) @ world[:, 1:]
    return local


def leg_length(points: Tensor, index: Callable[[str], int] = JOINT_INDEX.__getitem__) -> Tensor:
    """Mean length of both legs from hip to ankle, metres, of rest joints (J, 3).

    index: place of a joint by its name; SMPL-X's 55 joints by default.
    """
    total = points.new_zeros(())
    for side in _SIDES:
        hip, knee, ankle = (points[index(f"{side}_{j}")] for j in ("hip", "knee", "ankle"))
        total = total + (knee - hip).norm() + (ankle - knee).norm()
    return total / 2


def _translation(
    source: _Source, rotations: Tensor, joints: Tensor, scale: float, sole: float, step: float
) -> Tensor:
    """(N, 3): the scaled path of the hips, with the body as far above the floor as the source.

    Legs of equal length still end elsewhere where hips are narrower or ankles higher, so the
    height follows whatever is lowest: mostly heels, balls and toe tips, in a cartwheel the
    wrists. The correction is smoothed over a fifth of a second: it must not pass on jitter.
    """
    path = scale * (source.p[:, source.skeleton.root] @ source.U.T) - joints[0]
    tree = KinematicTree.from_parents(PARENTS)
    posed = forward_kinematics(rotations, joints, tree)
    own, theirs = _foot_heights(source, posed, joints, scale, sole)
    # Ankles stand higher than the floor by as much as the body's do.
    ankles = [f"{side}_ankle" for side in _SIDES]
    stand = torch.stack([(scale * source.at(n) @ source.up).quantile(0.02) for n in ankles]).amin()
    floor = stand - (joints[[JOINT_INDEX[n] for n in ankles], 1].amin() - sole)
    feet = torch.stack(theirs).amin(0)
    limbs = {f"{s}_{p}": source.skeleton.limbs[f"{s}_{p}"] for s in _SIDES for p in _PROPS}
    for name, joint in {**limbs, "head": source.skeleton.head}.items():
        height = scale * (source.p[:, joint] @ source.up) - floor
        point = posed[:, JOINT_INDEX[name], 1, 3]
        if name.endswith("wrist"):
            # Hands that carry somebody touch the floor, and the fingers do not go into it.
            tip = posed[:, JOINT_INDEX[name.replace("wrist", "middle3")], 1, 3]
            point = torch.where(height < feet, torch.minimum(point, tip), point)
        own.append(point)
        theirs.append(height)
    lift = torch.stack(theirs).amin(0) - torch.stack(own).amin(0) - path[:, 1]
    path[:, 1] = path[:, 1] + _smooth(lift, 0.1 / step)
    path[:, [0, 2]] = path[:, [0, 2]] - path[:1, [0, 2]]
    return path


def _foot_heights(
    source: _Source, posed: Tensor, joints: Tensor, scale: float, sole: float
) -> tuple[list[Tensor], list[Tensor]]:
    """(N,) heights above the floor of the body's feet (hips at 0) and of the source's."""
    own, theirs = [], []
    for side in _SIDES:
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
