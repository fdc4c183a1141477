"""Motions in and out of the files that people have, told apart by what is in them.

Every reader returns a :class:`~pear_avatar.types.Motion` in this package's world: metres, y up,
``transl`` the position of the pelvis on a body whose rest pelvis lies at the origin.

========== ==================================================================================
layout     files
========== ==================================================================================
amass      AMASS npz: SMPL, SMPL-H, SMPL-X ("stageii"); our own ``track.npz``
smplx      SMPL-X parameter names (SMPLer-X, OSX and many more), npz, pt or pkl
gvhmr      GVHMR's ``hmr4d_results.pt``
ehm        the EHM tracker's dictionaries, pkl, pt or npz
flame      heads given by FLAME's parameters alone
bvh        BVH of any human skeleton
amc        Acclaim motion with its skeleton (``.amc`` and ``.asf``)
poselib    Isaac Gym's ``SkeletonMotion``, npy or npz
(folders)  of the EHM tracker and GVHMR, or with one npz of SMPL-X names for each frame
========== ==================================================================================
"""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.amc import CMU_FRAME_RATE, load_amc
from pear_avatar.motion.formats.arrays import (
    ZIP_ERRORS,
    PoseArrays,
    read_npy_tree,
    read_pose_arrays,
)
from pear_avatar.motion.formats.axes import UpAxis
from pear_avatar.motion.formats.bvh import load_bvh
from pear_avatar.motion.formats.dicts import (
    arrays_of_tree,
    decode_pickle,
    read_pickle_arrays,
    read_torch_arrays,
)
from pear_avatar.motion.formats.folders import find_result, frame_files, read_frame_files
from pear_avatar.motion.formats.isaac import capture_of_skeleton_motion, is_skeleton_motion
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl_arrays import (
    SHAPE_SPACE,
    has_own_shape,
    motion_of_arrays,
    smplx_layout,
)
from pear_avatar.motion.formats.trackers import (
    ehm_proportions,
    motion_of_ehm,
    motion_of_flame,
    motion_of_gvhmr,
    tracker_layout,
    with_shared,
)
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.retarget_report import RetargetReport
from pear_avatar.motion.retarget.same_skeleton import copy_same_skeleton, is_same_skeleton
from pear_avatar.motion.write_poses import save_motion_amass
from pear_avatar.types import Motion, Proportions

__all__ = [
    "SHAPE_SPACE",
    "MotionFile",
    "MotionFileError",
    "ReadOptions",
    "UpAxis",
    "load_motion",
    "read_motion",
    "save_motion_amass",
]

logger = logging.getLogger(__name__)

_SNIFFED = 4096

#: Where the EHM tracker keeps what does not change from frame to frame.
_SHARED_FILE = "id_share_params.pkl"

#: Metres from the origin beyond which no motion lies.
_FAR = 1e5


@dataclass(frozen=True)
class MotionFile:
    """What was read.

    motion:      the motion.
    layout:      which of the module's layouts the file has.
    report:      how a capture's skeleton was mapped; None for files of the SMPL family.
    intrinsics:  (N, 3, 3) the clip's camera in pixels, where the file holds it.
    proportions: scales and joint offsets of the person, from files of the EHM tracker.
    own_shape:   betas and expression are those of the open body.
    """

    motion: Motion
    layout: str
    report: RetargetReport | None = None
    intrinsics: np.ndarray | None = None
    proportions: Proportions | None = None
    own_shape: bool = False


def load_motion(
    path: str | Path,
    *,
    up_axis: UpAxis | None = None,
    rest_joints: np.ndarray | None = None,
    keep_coefficients: bool = False,
) -> Motion:
    """The motion of a file; see :class:`ReadOptions` for the arguments.

    Raises:
        FileNotFoundError: there is no such file.
        MotionFileError: the file cannot be used; one line says why and what to do.
    """
    options = ReadOptions(
        up_axis=up_axis, rest_joints=rest_joints, keep_coefficients=keep_coefficients
    )
    return read_motion(path, options).motion


def read_motion(path: str | Path, options: ReadOptions | None = None) -> MotionFile:
    """Read a motion from any file of the module's table.

    Raises:
        FileNotFoundError: there is no such file.
        MotionFileError: the file cannot be used; one line says why and what to do.
    """
    path, options = Path(path), options or ReadOptions()
    if path.is_dir():
        result = find_result(path)
        if result is None:
            arrays = read_frame_files(frame_files(path), decode_pickle)
            return _checked(_arrays_file(arrays, options))
        path = result
    return _checked(_read(path, _kind(path), options))


def _checked(found: MotionFile) -> MotionFile:
    """What no reader lets through one by one: positions that no unit explains."""
    params = found.motion.params
    sane = bool(params.rotations.isfinite().all()) and bool((params.transl.abs() < _FAR).all())
    if not sane:
        raise MotionFileError(
            f"{found.motion.name}: its numbers lead to positions beyond {_FAR / 1000:.0f} km or "
            "to none at all; the file is damaged or not in the units it should be"
        )
    return found


def _read(path: Path, kind: str, options: ReadOptions) -> MotionFile:
    if kind == "bvh":
        return _capture_file(load_bvh(path), "bvh", options)
    if kind == "amc":
        rate = options.frame_rate or CMU_FRAME_RATE
        return _capture_file(load_amc(path, options.skeleton, frame_rate=rate), "amc", options)
    arrays = _ARRAY_READERS[kind](path)
    shared = path.with_name(_SHARED_FILE)
    if kind == "pickle" and tracker_layout(arrays) == "ehm" and shared.is_file():
        arrays = with_shared(arrays, read_pickle_arrays(shared))
    return _arrays_file(arrays, options)


def _kind(path: Path) -> str:
    """Which reader a file is for, from its first bytes; its ending decides only between texts."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pose file")
    with path.open("rb") as f:
        head = f.read(_SNIFFED)
    if head.startswith(b"PK"):
        return "torch" if _is_torch_zip(path) else "npz"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"\x80") and len(head) > 1 and head[1] <= 5:
        return "torch" if path.suffix.lower() in (".pt", ".pth") else "pickle"
    suffix = path.suffix.lower()
    words = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if words.startswith(b"HIERARCHY") or suffix == ".bvh":
        return "bvh"
    if suffix == ".asf" or (b":bonedata" in head and b":root" in head):
        raise MotionFileError(
            f"{path.name}: a skeleton without a motion; convert its .amc file instead"
        )
    if suffix == ".amc" or b":FULLY-SPECIFIED" in head:
        return "amc"
    if suffix in (".pkl", ".pickle", ".pt", ".pth"):
        return "pickle" if suffix.startswith(".pk") or suffix == ".pickle" else "torch"
    return "npz"  # whose reader says what is wrong


def _is_torch_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        return path.suffix.lower() in (".pt", ".pth")
    return any(name.endswith("data.pkl") for name in names)


def _read_npy(path: Path) -> PoseArrays:
    tree = read_npy_tree(path, decode_pickle)
    return arrays_of_tree(path.name, tree)


def _read_npz(path: Path) -> PoseArrays:
    """An npz file; one that wraps a whole dictionary in an object array is opened up."""
    arrays = read_pose_arrays(path, decode_pickle)
    wrapped = arrays.trees
    if wrapped and smplx_layout(arrays) is None:
        return arrays_of_tree(path.name, {**arrays.arrays, **wrapped})
    return arrays


_ARRAY_READERS = {
    "npz": _read_npz,
    "npy": _read_npy,
    "torch": read_torch_arrays,
    "pickle": read_pickle_arrays,
}


def _arrays_file(arrays: PoseArrays, options: ReadOptions) -> MotionFile:
    if is_skeleton_motion(arrays):
        capture = capture_of_skeleton_motion(arrays, options.frame_rate)
        return _capture_file(capture, "poselib", options)
    layout = tracker_layout(arrays)
    own = has_own_shape(arrays, options.keep_coefficients)
    if layout == "gvhmr":
        motion, K = motion_of_gvhmr(arrays, options)
        return MotionFile(motion, layout, intrinsics=K)
    if layout == "ehm":
        motion = motion_of_ehm(arrays, options)
        person = ehm_proportions(arrays, options)
        return MotionFile(motion, layout, proportions=person, own_shape=own)
    known = smplx_layout(arrays)
    if known is not None:
        return MotionFile(motion_of_arrays(arrays, options), known, own_shape=own)
    if layout == "flame":
        return MotionFile(motion_of_flame(arrays, options), layout)
    raise arrays.error(
        "no poses found: expected AMASS ('poses', 'trans'), SMPL-X names ('body_pose', "
        "'global_orient', ...), GVHMR, EHM tracker, FLAME or poselib names, got "
        f"{', '.join(sorted(arrays.arrays)[:12])}"
    )


def _capture_file(capture: CaptureMotion, layout: str, options: ReadOptions) -> MotionFile:
    from pear_avatar.body import load_body
    from pear_avatar.motion.retarget.retarget import retarget

    rest_joints, sole_height = options.rest_joints, options.sole_height
    if rest_joints is None:
        body = load_body()
        rest_joints, sole_height = body.joint_template.numpy(), float(body.v_template[:, 1].min())
    rest_joints = np.asarray(rest_joints, np.float64)
    if is_same_skeleton(capture, rest_joints):
        motion, report = copy_same_skeleton(capture, rest_joints)
    else:
        motion, report = retarget(
            capture, rest_joints, sole_height=sole_height, up_axis=options.up_axis
        )
    logger.info("%s: %s", capture.source, report.summary())
    return MotionFile(replace(motion, name=capture.source), layout, report)
