"""Reading Acclaim motion capture: a skeleton file (.asf) and a motion on it (.amc).

The format is Acclaim's as CMU's motion capture database uses it. A bone has one direction and
one length in the world's axes, and an axis triple that says in which axes its degrees of freedom
are counted, so a bone's world rotation is

    R = R_parent @ C @ M @ C^-1

with C from the axis triple and M from the frame's angles. Lengths are in inches divided by the
``length`` of ``:units``, which is 0.45 in CMU's files.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.arrays import MAX_FRAMES, parse_numbers
from pear_avatar.motion.formats.captures import capture_file
from pear_avatar.motion.formats.content import Content, open_content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.retarget.capture import (
    MAX_JOINTS,
    CaptureMotion,
    axis_turns,
    check_capture_size,
)

__all__ = ["AcclaimSkeleton", "find_skeleton", "load_amc", "load_asf"]

logger = logging.getLogger(__name__)

#: CMU's rate; the files themselves do not say.
CMU_FRAME_RATE = 120.0

_INCH = 0.0254
_MAX_SKELETON_BYTES = 4 * 1024 * 1024
_TURNS = ("rx", "ry", "rz")
_MOVES = ("tx", "ty", "tz")


@dataclass
class _Bone:
    name: str
    direction: np.ndarray | None = None
    length: float | None = None
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))
    dofs: tuple[str, ...] = ()


@dataclass(frozen=True)
class AcclaimSkeleton:
    """An .asf skeleton of J bones, the root first, parents before children.

    names:    bone names; a bone is named like the joint at its start.
    parents:  each bone's parent, -1 for the root.
    vectors:  (J, 3) metres, from a bone's start to its end in the rest pose.
    axes:     (J, 3, 3) the axes in which each bone's degrees of freedom are counted.
    dofs:     each bone's channels in the order of the .amc file, such as ("rx", "rz").
    root_position: (3,) metres, added to the root's translation.
    unit:     metres per file unit.
    degrees:  whether angles are in degrees.
    source:   the file's name, for messages.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    vectors: np.ndarray
    axes: np.ndarray
    dofs: tuple[tuple[str, ...], ...]
    root_position: np.ndarray
    unit: float
    degrees: bool
    source: str


def find_skeleton(motion: str | Path) -> Path:
    """The .asf file that belongs to an .amc file.

    CMU names a trial 01_01.amc and its skeleton 01.asf; others give both one name, or keep one
    skeleton in a folder.

    Raises MotionFileError where none or several could be meant.
    """
    motion = Path(motion)
    stem = motion.stem
    names = {stem.lower(), stem.rsplit("_", 1)[0].lower()}
    there = sorted(p for p in motion.parent.iterdir() if p.suffix.lower() == ".asf")
    named = [p for p in there if p.stem.lower() in names]
    found = named or (there if len(there) == 1 else [])
    if not found:
        others = f" (there are {', '.join(p.name for p in there[:5])})" if there else ""
        raise MotionFileError(
            f"{motion.name}: an .amc file needs its skeleton; put {stem}.asf or "
            f"{stem.rsplit('_', 1)[0]}.asf beside it, or name the .asf file{others}"
        )
    return max(found, key=lambda p: len(p.stem))


def load_amc(
    path: str | Path, skeleton: str | Path | None = None, *, frame_rate: float = CMU_FRAME_RATE
) -> CaptureMotion:
    """Read an .amc motion, in metres, without retargeting.

    Args:
        path: the motion.
        skeleton: its .asf file; by default the one beside it (:func:`find_skeleton`).
        frame_rate: frames a second; the file does not say.

    Raises:
        FileNotFoundError: there is no such file.
        MotionFileError: a file is damaged, or the two do not belong together.
    """
    path = Path(path)
    return _capture(path, _text(path), skeleton, frame_rate)


def _capture(
    path: Path, text: str, skeleton: str | Path | None, frame_rate: float
) -> CaptureMotion:
    asf = load_asf(skeleton if skeleton is not None else find_skeleton(path))
    values = _read_frames(path.name, text, asf)
    rotations, positions = _motion(asf, values)
    ends = {parent for parent in asf.parents if parent >= 0}
    return CaptureMotion(
        names=asf.names,
        parents=asf.parents,
        offsets=_offsets(asf),
        end_offsets=tuple(None if j in ends else v for j, v in enumerate(asf.vectors)),
        rotations=rotations,
        positions=positions,
        frame_time=1.0 / frame_rate,
        source=path.name,
    )


def load_asf(path: str | Path) -> AcclaimSkeleton:
    """Read an .asf skeleton.

    Raises FileNotFoundError, or MotionFileError naming the line at fault.
    """
    path = Path(path)
    return _AsfParser(path.name, _text(path)).parse()


def sniff(content: Content) -> bool:
    """Whether the text is an .amc motion, or an .asf skeleton, which :func:`read` explains."""
    head = content.text[:4096].lower()
    return (
        content.path.suffix.lower() in (".amc", ".asf")
        or ":fully-specified" in head
        or (":bonedata" in head and ":root" in head)
    ) and not content.arrays.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The body moved as the skeleton of the .asf file moves."""
    head = content.text[:4096].lower()
    if content.path.suffix.lower() == ".asf" or (":bonedata" in head and ":root" in head):
        raise content.error("a skeleton without a motion; convert its .amc file instead")
    rate = options.frame_rate or CMU_FRAME_RATE
    capture = _capture(content.path, content.text, options.skeleton, rate)
    return capture_file(capture, FORMAT.name, options)


def _text(path: Path) -> str:
    """The text of an .asf or .amc file."""
    content = open_content(path)[0]
    if content.path.stat().st_size > _MAX_SKELETON_BYTES and path.suffix.lower() == ".asf":
        raise MotionFileError(f"{path.name}: larger than any skeleton; name the right file")
    return content.text


class _AsfParser:
    """One pass over the lines, section by section."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = [line.split("#")[0].split() for line in text.splitlines()]
        self.at = 0
        self.unit, self.degrees = _INCH, True
        self.root = _Bone("root", np.zeros(3), 0.0)
        self.position = np.zeros(3)
        self.bones: list[_Bone] = []
        self.links: list[tuple[str, list[str], int]] = []

    def error(self, message: str, line: int | None = None) -> MotionFileError:
        return MotionFileError(f"{self.name}: line {max(line or self.at, 1)}: {message}")

    def numbers(self, words: list[str], what: str) -> np.ndarray:
        try:
            values = np.array([float(w) for w in words])
        except ValueError:
            raise self.error(f"{what} must be numbers, got {' '.join(words)[:60]!r}") from None
        if not np.isfinite(values).all() or not len(values):
            raise self.error(f"{what} must be finite numbers, got {' '.join(words)[:60]!r}")
        return values

    def vector(self, words: list[str], what: str) -> np.ndarray:
        if len(words) != 3:
            raise self.error(f"{what} must be 3 numbers, got {len(words)}")
        return self.numbers(words, what)

    def parse(self) -> AcclaimSkeleton:
        readers = {
            ":units": self._units,
            ":root": self._root_line,
            ":bonedata": self._bone_line,
            ":hierarchy": self._hierarchy_line,
        }
        section = ""
        for number, words in enumerate(self.lines, start=1):
            self.at = number
            if not words:
                continue
            if words[0].startswith(":"):
                section = words[0].lower()
                self.bone: _Bone | None = None
            elif section in readers:
                readers[section](words)
            elif not section:
                raise self.error("not an ASF skeleton (sections such as ':root' are missing)")
        return self._build()

    def _units(self, words: list[str]) -> None:
        if words[0] == "length":
            length = float(self.numbers(words[1:2], "length")[0])
            if not 1e-6 < length < 1e6:
                raise self.error(f"length must be a scale such as 0.45, got {length}")
            self.unit = _INCH / length
        elif words[0] == "angle":
            if words[1:2] not in (["deg"], ["rad"]):
                raise self.error(f"angle must be deg or rad, got {' '.join(words[1:])[:40]!r}")
            self.degrees = words[1] == "deg"

    def _root_line(self, words: list[str]) -> None:
        if words[0] == "order":
            self.root.dofs = self._dofs(words[1:])
        elif words[0] == "axis":
            self.root_order = words[1] if len(words) > 1 else "XYZ"
        elif words[0] == "position":
            self.position = self.vector(words[1:], "position")
        elif words[0] == "orientation":
            angles = self.vector(words[1:], "orientation")
            self.root.axes = self._axes(angles, getattr(self, "root_order", "XYZ"))

    def _bone_line(self, words: list[str]) -> None:
        key = words[0]
        if key == "begin":
            if len(self.bones) >= MAX_JOINTS:
                raise self.error(f"more than {MAX_JOINTS} bones")
            self.bone = _Bone("")
            self.bones.append(self.bone)
        elif key == "end":
            self.bone = None
        elif self.bone is not None:
            self._bone_key(self.bone, words)

    def _bone_key(self, bone: _Bone, words: list[str]) -> None:
        key = words[0]
        if key == "name":
            bone.name = " ".join(words[1:])
        elif key == "direction":
            bone.direction = self.vector(words[1:], "direction")
        elif key == "length":
            bone.length = float(self.numbers(words[1:2], "length")[0])
        elif key == "axis":
            if len(words) != 5:
                raise self.error(f"axis must be three angles and an order, got {words[1:]}")
            bone.axes = self._axes(self.numbers(words[1:4], "axis"), words[4])
        elif key == "dof":
            bone.dofs = self._dofs(words[1:])

    def _dofs(self, words: list[str]) -> tuple[str, ...]:
        dofs = tuple(w.lower() for w in words)
        if len(set(dofs)) != len(dofs) or not set(dofs) <= {*_TURNS, *_MOVES, "l"}:
            raise self.error(f"degrees of freedom must be each of rx ry rz tx ty tz once: {words}")
        return dofs

    def _axes(self, angles: np.ndarray, order: str) -> np.ndarray:
        """Turns about the world's fixed axes, the first letter first."""
        if sorted(order.upper()) != ["X", "Y", "Z"]:
            raise self.error(f"an axis order must be such as XYZ, got {order!r}")
        radians = np.deg2rad(angles) if self.degrees else angles
        out = np.eye(3)
        for letter, angle in zip(order.upper(), radians, strict=True):
            out = axis_turns("XYZ".index(letter), np.array([angle]))[0] @ out
        return out

    def _hierarchy_line(self, words: list[str]) -> None:
        if words[0] not in ("begin", "end"):
            self.links.append((words[0], words[1:], self.at))

    def _build(self) -> AcclaimSkeleton:
        self.at = len(self.lines)
        if not self.bones or not self.links:
            raise self.error("the file ends without ':bonedata' and ':hierarchy'")
        by_name = {"root": self.root}
        for bone in self.bones:
            if bone.direction is None or bone.length is None or not bone.name:
                raise self.error(f"bone {bone.name!r} lacks its name, direction or length")
            if bone.name in by_name:
                raise self.error(f"there are two bones called {bone.name!r}")
            by_name[bone.name] = bone
        order, parents = self._ordered(by_name)
        bones = [by_name[name] for name in order]
        vectors = np.stack([_unit(b.direction) * (b.length or 0.0) for b in bones])
        return AcclaimSkeleton(
            names=tuple(order),
            parents=tuple(parents),
            vectors=vectors * self.unit,
            axes=np.stack([b.axes for b in bones]),
            dofs=tuple(b.dofs for b in bones),
            root_position=self.position * self.unit,
            unit=self.unit,
            degrees=self.degrees,
            source=self.name,
        )

    def _ordered(self, by_name: dict[str, _Bone]) -> tuple[list[str], list[int]]:
        """Names from the root down, and the index of each one's parent."""
        children: dict[str, list[str]] = {}
        seen: set[str] = set()
        for parent, below, line in self.links:
            for name in (parent, *below):
                if name not in by_name:
                    raise self.error(f"the hierarchy names {name!r}, which is no bone", line)
            for name in below:
                if name in seen or name == "root":
                    raise self.error(f"{name!r} hangs from two bones", line)
                seen.add(name)
            children.setdefault(parent, []).extend(below)
        order, parents = ["root"], [-1]
        for index, name in enumerate(order):  # grows while it is walked
            for child in children.get(name, ()):
                order.append(child)
                parents.append(index)
        lost = sorted(seen - set(order))
        if lost:
            raise self.error(f"{', '.join(lost[:5])} hang from no chain that leads to the root")
        return order, parents


def _unit(direction: np.ndarray | None) -> np.ndarray:
    assert direction is not None
    length = float(np.linalg.norm(direction))
    return direction / length if length > 1e-12 else direction


def _offsets(asf: AcclaimSkeleton) -> np.ndarray:
    """(J, 3): each bone starts where its parent ends."""
    out = np.zeros_like(asf.vectors)
    for j, parent in enumerate(asf.parents):
        if parent >= 0:
            out[j] = asf.vectors[parent]
    return out


def _read_frames(name: str, text: str, asf: AcclaimSkeleton) -> np.ndarray:
    """(N, D) channel values, D the channels of all bones in the skeleton's order."""
    columns, total = {}, 0
    for bone, dofs in zip(asf.names, asf.dofs, strict=True):
        columns[bone] = slice(total, total + len(dofs))
        total += len(dofs)
    frames: list[np.ndarray] = []
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdecimal():
            if len(frames) >= MAX_FRAMES:
                raise MotionFileError(f"{name}: more than the {MAX_FRAMES} frames that are read")
            _check_complete(name, number, seen, columns, bool(frames))
            frames.append(np.zeros(total))
            check_capture_size(name, len(frames), len(asf.names))
            seen = set()
            continue
        if not frames:
            raise MotionFileError(f"{name}: line {number}: not an AMC motion (no frame number)")
        where = columns.get(words[0])
        if where is None:
            raise MotionFileError(
                f"{name}: line {number}: {words[0][:40]!r} is no bone of {asf.source}; name the "
                "skeleton that this motion was recorded on"
            )
        values = parse_numbers(" ".join(words[1:]))
        if values is None or not np.isfinite(values).all():
            raise MotionFileError(f"{name}: line {number}: {words[0]} must hold finite numbers")
        if len(values) != where.stop - where.start:
            raise MotionFileError(
                f"{name}: line {number}: {words[0]} has {len(values)} numbers where "
                f"{asf.source} gives it {where.stop - where.start} degrees of freedom"
            )
        frames[-1][where] = values
        seen.add(words[0])
    if not frames:
        raise MotionFileError(f"{name}: the motion has no frames")
    _check_complete(name, number, seen, columns, True)
    return np.stack(frames)


def _check_complete(
    name: str, number: int, seen: set[str], columns: dict[str, slice], begun: bool
) -> None:
    """A frame that ends early is what a truncated file looks like."""
    missing = [b for b, where in columns.items() if where.stop > where.start and b not in seen]
    if begun and missing:
        raise MotionFileError(
            f"{name}: line {number}: the frame before it lacks {', '.join(missing[:5])}; "
            "the file is truncated or belongs to another skeleton"
        )


def _motion(asf: AcclaimSkeleton, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations (N, J, 3, 3) and positions (N, J, 3) in metres."""
    count, bones = len(values), len(asf.names)
    rotations = np.broadcast_to(np.eye(3), (count, bones, 3, 3)).copy()
    positions = np.broadcast_to(_offsets(asf), (count, bones, 3)).copy()
    positions[:, 0] += asf.root_position
    column = 0
    for j, dofs in enumerate(asf.dofs):
        turn = np.broadcast_to(np.eye(3), (count, 3, 3))
        move = np.zeros((count, 3))
        for dof in dofs:
            value = values[:, column]
            column += 1
            if dof in _MOVES:
                move[:, _MOVES.index(dof)] = value * asf.unit
            elif dof in _TURNS:
                angle = np.deg2rad(value) if asf.degrees else value
                # Turns are about fixed axes, the first channel first: Rz @ Ry @ Rx.
                turn = axis_turns(_TURNS.index(dof), angle) @ turn
        axes = asf.axes[j]
        rotations[:, j] = axes @ turn @ axes.T
        positions[:, j] += move if j == 0 else move @ axes.T
    return rotations, positions


FORMAT = Format(
    name="amc",
    files="Acclaim motion with its `.asf` (beside it, or `--skeleton`)",
    notes="retargeted as BVH is; lengths as in CMU's files, 120 frames a second unless "
    "`--source-fps`",
    endings=(".amc",),
    sniff=sniff,
    read=read,
)
