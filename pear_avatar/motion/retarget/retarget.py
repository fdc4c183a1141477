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

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS, PARENTS
from pear_avatar.geometry.rotations import (
    geodesic_angle,
    matrix_to_quat_wxyz,
    quat_wxyz_to_matrix,
    rotation_between,
    slerp_wxyz,
)
from pear_avatar.motion.formats.axes import UpAxis
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.path import misses, translation
from pear_avatar.motion.retarget.retarget_report import RetargetReport
from pear_avatar.motion.retarget.source import LIMBS, SIDES, Source, leg_length, prepare
from pear_avatar.types import BodyParams, Motion

__all__ = ["leg_length", "retarget"]

_F64 = torch.float64
_ARM = ("collar", "shoulder", "elbow", "wrist")

#: Degrees beyond which a bone's direction is not the source's.
_TOLERANCE = 5.0

#: Where each limb joint's bone ends, in the body.
_CHILD = {
    "collar": "shoulder",
    "shoulder": "elbow",
    "elbow": "wrist",
    "wrist": "middle1",
    "hip": "knee",
    "knee": "ankle",
    "ankle": "foot",
}


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
    source = prepare(bvh, up_axis)
    standing = _rest_is_standing(source)
    constants = _constants(source, joints, standing)
    world, drivers = _world_rotations(source, constants, joints)
    rotations = _local(world)
    scale = float(leg_length(joints)) / float(
        leg_length(source.rest, lambda n: source.skeleton.limbs[n])
    )
    if sole_height is None:
        sole_height = float(joints[[JOINT_INDEX[f"{s}_foot"] for s in SIDES], 1].min()) - 0.02
    transl = translation(source, rotations, joints, scale, sole_height, step=bvh.frame_time)
    missed = misses(source, rotations, joints)
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
        warnings=tuple(
            f"{name} lies {miss:.0f} degrees off the source's in the worst twentieth of the frames"
            for name, miss in missed.items()
            if miss > _TOLERANCE
        ),
    )
    return Motion(params, np.arange(len(transl)) * bvh.frame_time, bvh.source), report


def _axis_name(up: Tensor) -> str:
    strongest = int(up.abs().argmax())
    return ("" if up[strongest] > 0 else "-") + "xyz"[strongest]


def _rest_is_standing(source: Source) -> bool:
    """Whether the zero pose is a person standing upright."""
    limbs = source.skeleton.limbs
    torso = normalize(source.bone(source.skeleton.pelvis, source.skeleton.head), dim=0)
    across = [
        normalize(source.bone(limbs[f"right_{j}"], limbs[f"left_{j}"]), dim=0)
        for j in ("hip", "shoulder")
    ]
    legs = [
        normalize(source.bone(limbs[f"{side}_hip"], limbs[f"{side}_ankle"]), dim=0)
        for side in SIDES
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


def _chain_frames(source: Source, standing: bool) -> dict[str, Tensor]:
    """Body axes (left, up, forward in columns) in the local frames of each chain."""
    limbs, skeleton = source.skeleton.limbs, source.skeleton
    across_hips = source.bone(limbs["right_hip"], limbs["left_hip"])
    names = ("pelvis", "torso", *(f"{s}_{c}" for s in SIDES for c in ("arm", "leg")))
    if standing:
        return dict.fromkeys(names, _frame(across_hips, source.rest_up))
    first = skeleton.spine[1] if len(skeleton.spine) > 1 else skeleton.chest
    across = source.bone(*(limbs.get(f"{s}_collar", limbs[f"{s}_shoulder"]) for s in SIDES[::-1]))
    neck = skeleton.neck[0] if skeleton.neck else skeleton.head
    frames = {
        "pelvis": _frame(across_hips, source.bone(skeleton.pelvis, first)),
        "torso": _frame(across, source.bone(skeleton.chest, neck)),
    }
    for side, outward in zip(SIDES, (1.0, -1.0), strict=True):
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


def _hinge(source: Source, start: str, middle: str, end: str) -> tuple[Tensor, Tensor]:
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


def _constants(source: Source, joints: Tensor, standing: bool) -> dict[str, Tensor]:
    """For each driven limb joint, its body frame in the source joint's frame (3, 3)."""
    frames = _chain_frames(source, standing)
    out = {"pelvis": frames["pelvis"], "torso": frames["torso"]}
    out["head"] = out["torso"]
    if not standing:
        out["head"] = _at_rest_on_average(source, source.skeleton.head, out["torso"])
    for side in SIDES:
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


def _at_rest_on_average(source: Source, joint: int, torso: Tensor) -> Tensor:
    """The constant that, averaged over the motion, leaves a joint in line with the chest."""
    chest = source.R[:, source.skeleton.chest] @ torso
    mean = (source.R[:, joint].transpose(-1, -2) @ chest).mean(0)
    U, _, Vh = torch.linalg.svd(mean)
    flip = torch.ones(3, dtype=_F64)
    flip[2] = torch.linalg.det(U @ Vh)  # the nearest rotation, never a mirror image
    return (U * flip) @ Vh


def _aligned(source: Source, joints: Tensor, name: str, frame: Tensor) -> Tensor:
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


def _aligned_fingers(source: Source, joints: Tensor, side: str, hand: Tensor) -> dict[str, Tensor]:
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
    source: Source, joints: Tensor, side: str, frame: Tensor, standing: bool
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


def _standing_frames(source: Source, ankle: str, toe: str) -> Tensor:
    """(N,) bool: the fifth of the frames in which ankle and toes are both lowest."""
    heights = [source.at(name) @ source.up for name in (ankle, toe)]
    above = torch.maximum(*(h - h.quantile(0.05) for h in heights))
    return above <= above.quantile(0.2)


def _world_rotations(
    source: Source, constants: dict[str, Tensor], joints: Tensor
) -> tuple[Tensor, dict[str, int]]:
    """(N, 55, 3, 3) world rotations; joints without a driver follow their parents."""
    skeleton, count = source.skeleton, len(source.R)
    drivers = {"pelvis": skeleton.pelvis, "spine3": skeleton.chest, "head": skeleton.head}
    if skeleton.neck:
        drivers["neck"] = skeleton.neck[len(skeleton.neck) // 2]
    drivers |= skeleton.limbs
    set_world: dict[str, Tensor] = {}
    for name, joint in drivers.items():
        set_world[name] = source.U @ source.R[:, joint] @ _constant_of(constants, name)
    set_world["pelvis"] = _pelvis(source, constants["pelvis"])
    for name, child in LIMBS.items():
        if name in set_world and child in skeleton.limbs:
            own = joints[JOINT_INDEX[child]] - joints[JOINT_INDEX[name]]
            wanted = (source.at(child) - source.at(name)) @ source.U.T
            set_world[name] = _turned_onto(set_world[name], own, wanted)
    set_world |= _spine(source, constants, set_world["pelvis"])
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


def _pelvis(source: Source, constant: Tensor) -> Tensor:
    """(N, 3, 3) the pelvis turned as whatever carries the hips, with the hip line exact."""
    left, right = source.skeleton.carriers
    turn = source.R[:, left]
    if left != right:  # two joints carry one hip each: the pelvis lies between them
        turn = _between(turn, source.R[:, right], 0.5)
    across = (source.at("left_hip") - source.at("right_hip")) @ source.U.T
    own = torch.tensor([1.0, 0.0, 0.0], dtype=_F64)
    return _turned_onto(source.U @ turn @ constant, own, across)


def _turned_onto(world: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
    """Rotations (N, 3, 3), each turned the shortest way so that a bone lies where it should.

    Most skeletons need no turn here. Those do whose bones are parted in two, or whose joints
    move against each other.

    own: (3,) the bone in the body's rest pose. wanted: (N, 3) where it should point.
    """
    now = normalize(world @ own, dim=-1)
    length = wanted.norm(dim=-1, keepdim=True)
    there = torch.where(length > 1e-6, wanted / length.clamp_min(1e-9), now)
    off = (1 - (now * there).sum(-1)).clamp_min(0)
    moved = off > 1e-9
    if not bool(moved.any()):
        return world
    world = world.clone()
    world[moved] = rotation_between(now[moved], there[moved]) @ world[moved]
    return world


def _spine(source: Source, constants: dict[str, Tensor], pelvis: Tensor) -> dict[str, Tensor]:
    """spine1 and spine2 a third and two thirds of the way along the source's spine."""
    chain = source.skeleton.spine
    above = chain[1:] or (source.skeleton.chest,)
    turns = [pelvis, *(source.U @ source.R[:, j] @ constants["torso"] for j in above)]
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
