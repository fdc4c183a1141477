"""What a body shows of the world it moves in: which way is up, and how long a metre is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX, PARENTS
from pear_avatar.body.open_body import load_body
from pear_avatar.body.skinning import KinematicTree, forward_kinematics
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import UpAxis, seen_up_axis, to_y_up

__all__ = ["seen_up", "unit_in_metres"]

#: Units in which positions come -> metres.
_UNITS = {"centimetres": 0.01, "millimetres": 0.001, "inches": 0.0254}

#: Metres a second that no pelvis reaches on average over a motion.
_SPRINT = 9.0
#: Heights of a pelvis over its world's floor at which no unit but metres is thinkable.
_LOW, _HIGH = -3.0, 12.0
#: Metres: soles lie this near the floor where the unit is right.
_ON_FLOOR = 0.3
_ENOUGH_FRAMES = 400
#: Frames that show no walk.
_FEW = 10
#: Metres that the stillest foot moves in a frame, below which a path says nothing of its unit.
_STILL = 0.003


def seen_up(
    arrays: PoseArrays, rotations: Tensor, pelvis: np.ndarray | None, usual: UpAxis | None
) -> UpAxis:
    """The axis of a file's world that points up, as its body shows it.

    Args:
        arrays: the file's, for warnings.
        rotations: (N, 55, 3, 3) in the file's world.
        pelvis: (N, 3) path of the pelvis there.
        usual: the axis of the format; another one is seen only where the body stands along it.

    A body that lies shows the wrong axis; where it lies on the floor of the usual axis' world
    but not on that of the other, the usual one is kept.
    """
    root = rotations[:, 0]
    found = seen_up_axis(root)
    if usual is None or found == usual:
        return found
    along = root[:, :, 1].mean(0) @ to_y_up(found)[1]
    if float(along) < 0.7:
        return usual
    if pelvis is not None:
        heights = {axis: _lowest(rotations, pelvis, axis) for axis in (usual, found)}
        if abs(heights[usual]) < _ON_FLOOR < abs(heights[found]):
            return usual
    arrays.warn(
        f"its kind of file has {usual} up, but the body stands along {found}; read with {found} "
        f"up (--up {usual} overrules)"
    )
    return found


def unit_in_metres(
    arrays: PoseArrays, rotations: Tensor, transl: Tensor, times: np.ndarray, rest: Tensor
) -> float:
    """Metres in one unit of a file's translations, checked against the body that walks them.

    Another unit is certain where the soles then stand on the floor, or the feet then stay where
    they stand, and with metres they do neither. Where metres are impossible and no unit is
    certain, a warning says so and the translations stay as they are.

    Args:
        arrays: the file's, for warnings.
        rotations: (N, 55, 3, 3), y up.
        transl: (N, 3) in the file's unit, y up.
        times: (N,) seconds.
        rest: (3,) metres, where the pelvis is without translation.
    """
    speed, height = _speed(transl, times), float((transl + rest)[:, 1].median())
    if speed <= _SPRINT and _LOW < height < _HIGH:
        return 1.0
    pick = torch.linspace(0, len(transl) - 1, min(len(transl), _ENOUGH_FRAMES)).round().long()
    points = _points(rotations[pick])
    found = f"the pelvis is {height:.4g} m up and moves at {speed:.4g} m/s"
    misfits = {name: _misfit(points, transl[pick] * u + rest) for name, u in _UNITS.items()}
    name = min(misfits, key=lambda unit: misfits[unit])
    if misfits[name] < min(0.5 * _ON_FLOOR, 0.2 * _misfit(points, transl[pick] + rest)):
        arrays.warn(f"its positions are {name} (as metres, {found}); converted")
        return _UNITS[name]
    arrays.warn(
        f"its positions cannot be metres ({found}), and no other unit is certain; left as they are"
    )
    return 1.0


def _speed(path: Tensor, times: np.ndarray) -> float:
    """Median metres a second over steps that are no jumps between shots."""
    if len(path) < 2:
        return 0.0
    step = torch.from_numpy(np.diff(times)).clamp_min(1e-9)
    return float(((path[1:] - path[:-1]).norm(dim=-1) / step).median())


def _points(rotations: Tensor) -> Tensor:
    """(N, K, 3) feet, hands and head of the open body relative to its pelvis."""
    joints = load_body().joint_template.double()
    posed = forward_kinematics(rotations, joints, KinematicTree.from_parents(PARENTS))
    names = (
        "left_foot",
        "right_foot",
        "left_ankle",
        "right_ankle",
        "left_wrist",
        "right_wrist",
        "head",
        "pelvis",
    )
    return posed[:, [JOINT_INDEX[n] for n in names], :3, 3] - joints[0]


def _lowest(rotations: Tensor, pelvis: np.ndarray, axis: UpAxis) -> float:
    """Median height of the lowest joint over the origin of the file's world."""
    up = to_y_up(axis)[1]
    pick = torch.linspace(0, len(pelvis) - 1, min(len(pelvis), _ENOUGH_FRAMES)).round().long()
    points = _points(rotations[pick])
    heights = points @ up + (torch.from_numpy(pelvis)[pick] @ up)[:, None]
    return float(heights.amin(1).median())


def _misfit(points: Tensor, path: Tensor) -> float:
    """Metres by which the lowest joints miss the floor, whichever of height or path knows it.

    The floor is at 0 in most worlds; where it is not, a standing foot moves less than the pelvis.
    """
    low = (points[..., 1] + path[:, None, 1]).amin(1)
    height = float((low - 0.03).abs().median())
    if len(path) < _FEW:
        return height
    steps = (points[1:] - points[:-1])[:, :4].norm(dim=-1).amin(1).median()
    if float(steps) < _STILL:
        return height  # whoever stands still slides by no unit
    world = points + path[:, None]
    slide = (world[1:] - world[:-1])[:, :4].norm(dim=-1).amin(1).median()
    return min(height, float(slide / steps) * 0.5 * _ON_FLOOR)
