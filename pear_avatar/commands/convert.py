"""Any motion file into any other: read, cut, resample, reshape, write.

Output formats go by the ending of the path: ``.npz``, ``.bvh``, ``.csv``, ``.glb``, ``.gltf``,
``.pmo`` (motions of the viewer), ``osc://HOST:PORT``, ``.obj`` or ``.ply`` for a single pose,
``FOLDER/*.obj`` for one mesh a frame.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel, load_body
from pear_avatar.body.ehm import EhmModel
from pear_avatar.body.licensed.find import named_folder
from pear_avatar.body.licensed.hands import HandPca
from pear_avatar.body.sources import BodySource, load_ehm, load_hands, load_licensed_body
from pear_avatar.choices import NPZ_LAYOUTS, NpzLayout
from pear_avatar.commands.write_motion import NPZ_WRITERS, write_viewer_motion
from pear_avatar.errors import (
    PearError,
    explain,
)
from pear_avatar.export.gltf import save_glb
from pear_avatar.export.mesh_files import save_mesh, save_mesh_sequence
from pear_avatar.export.rig import RigStyle
from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.io.replacing import MARK
from pear_avatar.motion.formats.registry import MotionFile, ReadOptions, read_motion
from pear_avatar.motion.osc import OscTarget, stream_motion
from pear_avatar.motion.resample import evenly_spaced, resample_motion
from pear_avatar.motion.retarget.retarget import leg_length
from pear_avatar.motion.track_file import save_track, track_of
from pear_avatar.motion.write_bvh import BvhUnit, EulerOrder, save_bvh
from pear_avatar.motion.write_poses import save_joints_csv, save_motion_ehm
from pear_avatar.types import BodyParams, Motion, Track

__all__ = [
    "ConvertOptions",
    "Converted",
    "Outcome",
    "betas_of_height",
    "convert_all",
    "convert_file",
    "output_kind",
]

_LOG = logging.getLogger(__name__)

_ENDINGS = ("npz", "bvh", "csv", "glb", "gltf", "pmo")
_MESHES = ("obj", "ply")

#: Metres. The open body's shapes are those of adults: far beyond, they are invalid.
_HEIGHTS = (1.3, 2.2)


@dataclass(frozen=True)
class ConvertOptions:
    """What happens between reading and writing.

    read:        what the source does not say about itself.
    body:        whose skeleton and skin are written; with "smplx" the coefficients of SMPL-X files
                 are kept, and those of the open body left out.
    fps:         frames a second of the result; None keeps the source's frames.
    start, end:  seconds; what lies outside is cut away.
    frames:      first and last frame (the last not included) of the source, likewise.
    betas:       (S,) shape of the person; None keeps the source's, where it is the open body's.
    body_height: metres; the shape is made this tall.
    name:        name of the motion in files that hold one.
    layout:      which names an npz file has.
    order, unit: of BVH files.
    loop:        stream again and again.
    rig:         root, names and axes of the joints in glTF files.
    """

    read: ReadOptions = field(default_factory=ReadOptions)
    body: BodySource = field(default_factory=BodySource)
    fps: float | None = None
    start: float | None = None
    end: float | None = None
    frames: tuple[int | None, int | None] | None = None
    betas: Tensor | None = None
    body_height: float | None = None
    name: str | None = None
    layout: NpzLayout = "amass"
    order: EulerOrder = "ZXY"
    unit: BvhUnit = "cm"
    loop: bool = False
    rig: RigStyle = field(default_factory=RigStyle)


@dataclass(frozen=True)
class Converted:
    """One finished conversion: what was read, the motion that was written, and where."""

    source: MotionFile
    motion: Motion
    target: str


@dataclass(frozen=True)
class Outcome:
    """One of many conversions: either what came of it, or one line that says why nothing did."""

    source: Path
    result: Converted | None
    error: str = ""


def convert_file(
    source: str | Path,
    target: str | Path,
    options: ConvertOptions | None = None,
    *,
    report: bool = False,
    on_frame: Callable[[int], None] | None = None,
) -> Converted:
    """Convert one motion.

    Args:
        source: any file of :mod:`pear_avatar.motion.formats.registry`.
        target: see the module.
        options: what to do on the way.
        report: write NAME.report.json beside the result: how a capture's skeleton was mapped.
        on_frame: called while streaming with the number of frames sent.

    Raises:
        PearError, MotionFileError, FileNotFoundError: one line says what is wrong.
    """
    source, options = Path(source), options or ConvertOptions()
    kind = output_kind(str(target))
    if report and kind == "osc":
        raise PearError("a stream has no place for a report file: leave --report-json out")
    if kind != "osc" and Path(target).absolute() == source.absolute():
        raise PearError(f"{source} would be overwritten: name another output")
    if kind == "npz" and options.layout == "track":
        return _convert_track(source, Path(target), options)
    licensed = not options.body.name.is_open
    body = load_licensed_body(options.body) if licensed else load_body()
    betas = _wanted_betas(body, options)
    found = read_motion(source, _reading(body, betas, options))
    motion = _in_shape(found, body, betas, licensed)
    if licensed and found.proportions is not None:
        body = _tracked_body(options.body, found).person(found.proportions)
    motion = _cut(motion, options)
    if options.fps is not None:
        motion = resample_motion(motion, options.fps)[0]
    if kind == "bvh":  # has one frame time for all
        motion, said = evenly_spaced(motion)
        if said:
            _LOG.warning("%s: %s", found.motion.name, said)
            found = replace(found, warnings=(*found.warnings, said))
    motion = replace(motion, name=options.name or Path(motion.name or source.name).stem)
    where = _write(motion, body, found, str(target), kind, options=options, on_frame=on_frame)
    if report:
        place = Path(where)
        write_report(place.with_name(f"{place.stem}.report.json"), found)
    return Converted(found, motion, where)


def convert_all(
    sources: Sequence[Path],
    folder: Path,
    ending: str,
    options: ConvertOptions | None = None,
    *,
    reports: bool = False,
    on_done: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Convert many motions into one folder, each under its own name.

    A source that cannot be converted is reported and does not stop the others.

    Args:
        sources: the files.
        folder: where results go, ``NAME.ENDING`` (or a folder ``NAME`` of meshes).
        ending: of the results, without the dot.
        options: as for :func:`convert_file`.
        reports: write ``NAME.report.json`` beside each result.
        on_done: called after each source.

    Raises PearError where several sources would become one file, or the ending is unknown.
    """
    ending = ending.lower().removeprefix(".")
    if ending not in (*_ENDINGS, *_MESHES):
        raise PearError(f"cannot write .{ending} files: {', '.join((*_ENDINGS, *_MESHES))}")
    names = _distinct_names(sources)
    outcomes = []
    for source, name in zip(sources, names, strict=True):
        target = folder / (f"{name}.{ending}" if ending in _ENDINGS else f"{name}/*.{ending}")
        try:
            outcome = Outcome(source, convert_file(source, target, options, report=reports))
        except (PearError, FileNotFoundError, PermissionError) as error:
            outcome = Outcome(source, None, explain(error).message)
        outcomes.append(outcome)
        if on_done is not None:
            on_done(outcome)
    return outcomes


def output_kind(target: str) -> str:
    """ "osc", or the ending of the files that will be written.

    Raises PearError where it is none that can be written.
    """
    if target.startswith("osc:"):
        return "osc"
    ending = Path(target).suffix.lower().removeprefix(".")
    if ending not in (*_ENDINGS, *_MESHES):
        known = ", ".join(f".{e}" for e in (*_ENDINGS, *_MESHES))
        raise PearError(f"cannot write {target!r}: name a file with one of {known}, or osc://...")
    return ending


def write_report(path: str | Path, found: MotionFile) -> None:
    """Write what was read, and how its skeleton was mapped, as JSON."""
    content = {
        "made_by": MARK,
        "layout": found.layout,
        "frames": found.motion.params.num_frames,
        "fps": round(found.motion.fps, 6),
        "warnings": list(found.warnings),
        "mapping": None if found.report is None else found.report.to_dict(),
    }
    write_text_atomic(path, json.dumps(content, indent=2) + "\n")


def betas_of_height(body: BodyModel, height: float, betas: Tensor | None = None) -> Tensor:
    """(S,) the shape nearest to another one, or to the average, that stands ``height`` metres tall.

    Raises PearError for heights outside those of the shapes that were learnt.
    """
    low, high = _HEIGHTS
    if not low <= height <= high:
        raise PearError(
            f"a body can be {low} to {high} m tall, not {height} m: its shapes are those of adults"
        )
    out = torch.zeros(body.num_betas)
    if betas is not None:
        out[: len(betas)] = betas
    for _ in range(8):  # the topmost vertex changes with the shape
        y = body.shape(out).vertices()[:, 1]
        top, bottom = int(y.argmax()), int(y.argmin())
        rise = body.shape_dirs[top, 1] - body.shape_dirs[bottom, 1]
        missing = height - float(y[top] - y[bottom])
        if abs(missing) < 1e-5:
            break
        out = out + rise * missing / (rise @ rise)
    return out


def _tracked_body(source: BodySource, found: MotionFile) -> EhmModel:
    """The body with a head; files of the EHM tracker are in its own convention."""
    if found.layout == "ehm":
        return load_ehm(replace(source, convention="pear"), "tracker")
    return load_ehm(source)


class _HandsOnDemand(Mapping[str, HandPca]):
    """The licensed hand components, read only by files that need them."""

    def __init__(self, source: BodySource) -> None:
        self._source = source

    def __getitem__(self, side: str) -> HandPca:
        return dict(zip(self, load_hands(self._source), strict=True))[side]

    def __iter__(self) -> Iterator[str]:
        return iter(("left", "right"))

    def __len__(self) -> int:
        return 2


def _wanted_betas(body: BodyModel, options: ConvertOptions) -> Tensor | None:
    betas = options.betas
    if betas is not None and (betas.dim() != 1 or len(betas) > body.num_betas):
        raise PearError(
            f"a body has up to {body.num_betas} betas, got an array of shape {tuple(betas.shape)}"
        )
    if options.body_height is None:
        return betas
    return betas_of_height(body, options.body_height, betas)


def _reading(body: BodyModel, betas: Tensor | None, options: ConvertOptions) -> ReadOptions:
    """Captures are fitted to the body that will be written; hands come from its files."""
    read, licensed = options.read, not options.body.name.is_open
    if read.hands is None and named_folder(options.body.models_dir) is not None:
        read = replace(read, hands=_HandsOnDemand(options.body))
    read = replace(read, keep_coefficients=read.keep_coefficients or licensed)
    if (betas is None and not licensed) or read.rest_joints is not None:
        return read
    shaped = body.shape(betas)
    lowest = float(shaped.vertices()[:, 1].min())
    return replace(read, rest_joints=shaped.joints.numpy(), sole_height=lowest)


def _in_shape(found: MotionFile, body: BodyModel, betas: Tensor | None, licensed: bool) -> Motion:
    """The motion with the betas to be written, and its translation that of the body.

    What SMPL-X files are read to is where the pelvis is; SMPL-X's own rests below the origin.
    """
    motion = found.motion
    params = motion.params
    if licensed and found.own_shape:
        count = params.num_frames
        params = replace(params, betas=torch.zeros(10), expression=torch.zeros(count, 10))
    params = replace(params, betas=params.betas[: body.num_betas])
    params = replace(params, expression=params.expression[:, : body.num_expression])
    if licensed and found.report is None:
        params = replace(params, transl=params.transl - body.shape(params.betas).joints[0])
    if betas is None:
        return replace(motion, params=params)
    if found.report is None:
        params = replace(params, transl=_on_shape(params, body, betas))
    return replace(motion, params=replace(params, betas=betas))


def _on_shape(params: BodyParams, body: BodyModel, betas: Tensor) -> Tensor:
    """(N, 3) translations on a body of another shape: longer legs take longer steps."""
    old, new = (body.shape(b).joints for b in (params.betas, betas))
    ratio = leg_length(new) / leg_length(old)
    return (params.transl + old[0]) * ratio - new[0]


def _cut(motion: Motion, options: ConvertOptions) -> Motion:
    keep = _frames_to_keep(np.asarray(motion.time, np.float64), options)
    if keep.all():
        return motion
    time = motion.time[keep]
    return replace(motion, params=motion.params[torch.from_numpy(keep)], time=time - time[0])


def _frames_to_keep(time: np.ndarray, options: ConvertOptions) -> np.ndarray:
    """(N,) bool: the frames that are asked for."""
    keep = np.ones(len(time), bool)
    elapsed = time - time[0]
    if options.frames is not None:
        first, last = options.frames
        keep[: first or 0] = False
        if last is not None:
            keep[last:] = False
    if options.start is not None:
        keep &= elapsed >= options.start - 1e-9
    if options.end is not None:
        keep &= elapsed <= options.end + 1e-9
    if not keep.any():
        raise PearError(
            f"nothing is left of the motion's {len(time)} frames ({elapsed[-1]:.2f} s): "
            "widen --start, --end or --frames"
        )
    return keep


def _write(
    motion: Motion,
    body: BodyModel,
    found: MotionFile,
    target: str,
    kind: str,
    *,
    options: ConvertOptions,
    on_frame: Callable[[int], None] | None,
) -> str:
    """Write one file, folder or stream; returns where it went."""
    if kind == "osc":
        stream_motion(motion, OscTarget.parse(target), loop=options.loop, on_frame=on_frame)
    elif kind == "npz":
        _write_npz(target, motion, body, found, options)
    elif kind == "bvh":
        save_bvh(target, motion, body, order=options.order, unit=options.unit)
    elif kind == "csv":
        save_joints_csv(target, motion, body)
    elif kind in ("glb", "gltf"):
        save_glb(target, body, motion, rig=options.rig)
    elif kind == "pmo":
        write_viewer_motion(target, motion, source=found.layout)
    elif Path(target).stem == "*":
        folder = Path(target).parent
        save_mesh_sequence(folder, body, motion, kind="obj" if kind == "obj" else "ply")
        return str(folder)
    else:
        _write_one_mesh(target, motion, body)
    return target


def _write_npz(
    target: str, motion: Motion, body: BodyModel, found: MotionFile, options: ConvertOptions
) -> None:
    if options.layout not in NPZ_WRITERS:
        known = ", ".join(NPZ_LAYOUTS)
        raise PearError(f"npz layouts are {known}; got {options.layout!r}")
    if options.body.name.is_open:
        NPZ_WRITERS[options.layout](target, motion)
        return
    params = motion.params
    pelvis = params.transl + body.shape(params.betas if body.num_betas else None).joints[0]
    motion = replace(motion, params=replace(params, transl=pelvis))
    if options.layout == "ehm":
        save_motion_ehm(target, motion, found.proportions, shape=options.body.name)
    else:
        NPZ_WRITERS[options.layout](target, motion, shape=options.body.name)


def _write_one_mesh(target: str, motion: Motion, body: BodyModel) -> None:
    params, count = motion.params, motion.params.num_frames
    if count != 1:
        folder = Path(target).with_suffix("")
        raise PearError(
            f"{target} holds one mesh, the motion has {count} frames: name "
            f"{folder}/*{Path(target).suffix} for one file each, or pick one with --frames 0:1"
        )
    with torch.no_grad():
        posed = body.shape(params.betas, params.expression).pose(params.rotations, params.transl)
        save_mesh(target, body, posed.vertices()[0])


def _convert_track(source: Path, target: Path, options: ConvertOptions) -> Converted:
    """A track with its cameras, cut where asked."""
    if options.fps is not None or options.betas is not None or options.body_height is not None:
        raise PearError("a track keeps its frames and its person: leave --fps and the shape out")
    found = read_motion(source, options.read)
    track = track_of(found)
    keep = _frames_to_keep(np.asarray(track.motion.time, np.float64), options)
    rows = torch.from_numpy(np.flatnonzero(keep))
    motion = _cut(replace(track.motion, name=options.name or track.motion.name), options)
    save_track(
        target,
        Track(
            motion,
            track.camera[rows],
            track.frame_index[keep],
            track.trusted[keep],
            track.landmark_error[keep],
            track.proportions,
        ),
        pelvis_rest=found.pelvis_rest if found.pelvis_rest is not None else np.zeros(3),
    )
    return Converted(found, motion, str(target))


def _distinct_names(sources: Sequence[Path]) -> list[str]:
    """One name for each source; those that share one get their ending, or folder, added."""
    names = [source.stem for source in sources]
    for longer in (
        [f"{s.stem}-{s.suffix.lstrip('.')}" for s in sources],
        [f"{s.absolute().parent.name}-{s.stem}-{s.suffix.lstrip('.')}" for s in sources],
    ):
        counts = Counter(names)
        names = [n if counts[n] == 1 else m for n, m in zip(names, longer, strict=True)]
    clash = next((name for name, count in Counter(names).items() if count > 1), None)
    if clash is not None:
        same = [str(s) for s, n in zip(sources, names, strict=True) if n == clash]
        raise PearError(f"{', '.join(same)} would become one file: convert them one by one")
    return names
