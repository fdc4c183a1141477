"""Motions of Isaac Gym's poselib (``SkeletonMotion``): local or global quaternions on a tree.

The file is a NumPy file around a pickled dictionary; it is decoded as data, never unpickled.
Isaac's world is z up; its humanoid faces +x.
"""

from __future__ import annotations

import numpy as np

from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.captures import capture_file
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.retarget.capture import MAX_JOINTS, CaptureMotion, check_capture_size

#: Names of the same thing in poselib's dictionaries and in plain npz copies of them.
_KEYS: dict[str, tuple[str, ...]] = {
    "rotation": ("rotation/arr", "rotation", "rot_xyzw_local"),
    "root": ("root_translation/arr", "root_translation"),
    "nodes": ("skeleton_tree/node_names", "node_names"),
    "parents": ("skeleton_tree/parent_indices/arr", "skeleton_tree/parent_indices", "parents"),
    "offsets": (
        "skeleton_tree/local_translation/arr",
        "skeleton_tree/local_translation",
        "local_translation",
    ),
}


def sniff(content: Content) -> bool:
    """Whether the arrays are those of a ``SkeletonMotion``."""
    arrays = content.arrays
    return all(arrays.first_of(_KEYS[what]) for what in ("rotation", "nodes"))


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The body moved as the humanoid moves."""
    capture = capture_of_skeleton_motion(content.arrays, options.frame_rate)
    return capture_file(capture, FORMAT.name, options)


def capture_of_skeleton_motion(
    arrays: PoseArrays, frame_rate: float | None = None
) -> CaptureMotion:
    """The skeleton and its motion.

    Args:
        arrays: of a file for which :func:`sniff` holds.
        frame_rate: where the file does not say; 60 by default, as poselib has it.

    Raises MotionFileError naming the array at fault.
    """
    keys = {}
    for what, known in _KEYS.items():
        key = arrays.first_of(known)
        if key is None:
            raise arrays.error(f"lacks {known[0]}; save the whole SkeletonMotion")
        keys[what] = key
    names = tuple(str(name) for name in np.atleast_1d(arrays.arrays[keys["nodes"]]))
    joints = len(names)
    if not 1 < joints <= MAX_JOINTS:
        raise arrays.error(f"{keys['nodes']} must name 2 to {MAX_JOINTS} joints, got {joints}")
    quats = _shaped(arrays, keys["rotation"], (-1, joints, 4))
    check_capture_size(arrays.name, len(quats), joints)
    root = _shaped(arrays, keys["root"], (len(quats), 3))
    offsets = _shaped(arrays, keys["offsets"], (joints, 3)).copy()
    parents = _parents(arrays, keys["parents"], joints)
    rotations = _matrices(arrays, keys["rotation"], quats)
    if "is_local" in arrays and not bool(arrays.numbers("is_local").all()):
        rotations = _local(rotations, parents)
    offsets[0] = 0.0  # where the tree was made; the root's translation says where it is
    positions = np.broadcast_to(offsets, (len(quats), joints, 3)).copy()
    positions[:, 0] = root
    return CaptureMotion(
        names=names,
        parents=parents,
        offsets=offsets,
        end_offsets=(None,) * joints,
        rotations=rotations,
        positions=positions,
        frame_time=1.0 / (arrays.frame_rate() or frame_rate or 60.0),
        source=arrays.name,
    )


def _shaped(arrays: PoseArrays, key: str, shape: tuple[int, ...]) -> np.ndarray:
    found = arrays.numbers(key)
    fits = found.ndim == len(shape) and all(
        want in (-1, have) for want, have in zip(shape, found.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("N" if n < 0 else str(n) for n in shape)
        raise arrays.error(f"{key} must have shape ({wanted}), got {found.shape}")
    return found


def _parents(arrays: PoseArrays, key: str, joints: int) -> tuple[int, ...]:
    found = tuple(int(p) for p in _shaped(arrays, key, (joints,)))
    if found[0] != -1 or any(not 0 <= p < j for j, p in enumerate(found) if j):
        raise arrays.error(f"{key} must be -1 for the root and, for others, an earlier joint")
    return found


def _matrices(arrays: PoseArrays, key: str, xyzw: np.ndarray) -> np.ndarray:
    """(N, J, 4) unit quaternions x, y, z, w -> (N, J, 3, 3)."""
    length = np.linalg.norm(xyzw, axis=-1, keepdims=True)
    if (np.abs(length - 1) > 0.1).any():
        raise arrays.error(f"{key} must hold unit quaternions, got lengths from {length.min():.3g}")
    x, y, z, w = np.moveaxis(xyzw / length, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _local(world: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    local = world.copy()
    for j, parent in enumerate(parents):
        if parent >= 0:
            local[:, j] = np.swapaxes(world[:, parent], -1, -2) @ world[:, j]
    return local


FORMAT = Format(
    name="poselib",
    files="Isaac Gym's `SkeletonMotion`, npy or npz",
    notes="retargeted as BVH is; 60 frames a second unless the file says",
    endings=(".npy", ".npz"),
    sniff=sniff,
    read=read,
    rank=30,
)
