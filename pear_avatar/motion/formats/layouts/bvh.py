"""Reading BVH motion capture files (Biovision hierarchy): a skeleton and its motion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.arrays import parse_numbers
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

__all__ = ["load_bvh"]

_POSITIONS = ("Xposition", "Yposition", "Zposition")
_ROTATIONS = ("Xrotation", "Yrotation", "Zrotation")


@dataclass
class _Joint:
    name: str
    parent: int
    offset: np.ndarray | None = None
    channels: tuple[str, ...] | None = None
    end_offset: np.ndarray | None = None


def load_bvh(path: str | Path) -> CaptureMotion:
    """Read a BVH file as it is, without retargeting.

    Raises:
        FileNotFoundError: there is no such file.
        MotionFileError: not a BVH file or a damaged one; the message names the line.
    """
    content = open_content(Path(path))[0]
    return _Parser(content.name, content.text).parse()


def sniff(content: Content) -> bool:
    """Whether the text begins as BVH does, or its name says that it should."""
    begins = content.text.lstrip()[:9].upper() == "HIERARCHY"
    return begins or (content.path.suffix.lower() == ".bvh" and not content.arrays.arrays)


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The body moved as the file's skeleton moves."""
    return capture_file(_Parser(content.name, content.text).parse(), FORMAT.name, options)


class _Parser:
    """One pass over the lines: the hierarchy by hand, the numbers all at once."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = text.splitlines()
        self.at = 0

    def error(self, message: str) -> MotionFileError:
        return MotionFileError(f"{self.name}: line {max(self.at, 1)}: {message}")

    def next_words(self, wanted: str) -> list[str]:
        """The words of the next line that is not empty."""
        while self.at < len(self.lines):
            words = self.lines[self.at].split()
            self.at += 1
            if words:
                return words
        raise self.error(f"the file ends where {wanted} should stand")

    def numbers(self, words: list[str], count: int, what: str) -> np.ndarray:
        try:
            values = np.array([float(w) for w in words])
        except ValueError:
            raise self.error(f"{what} must be numbers, got {' '.join(words)[:60]!r}") from None
        if len(values) != count:
            raise self.error(f"{what} must be {count} numbers, got {len(values)}")
        if not np.isfinite(values).all():
            raise self.error(f"{what} contains NaN or infinity")
        return values

    def parse(self) -> CaptureMotion:
        if not self.lines or self.next_words("HIERARCHY") != ["HIERARCHY"]:
            raise MotionFileError(f"{self.name}: not a BVH file (it must begin with HIERARCHY)")
        joints = self._hierarchy()
        frames, frame_time = self._header(len(joints))
        channels = sum(len(j.channels or ()) for j in joints)
        values = self._values(frames, channels)
        offsets = np.stack([j.offset for j in joints])  # type: ignore[misc]
        rotations, positions = _motion(joints, offsets, values)
        return CaptureMotion(
            names=tuple(j.name for j in joints),
            parents=tuple(j.parent for j in joints),
            offsets=offsets,
            end_offsets=tuple(j.end_offset for j in joints),
            rotations=rotations,
            positions=positions,
            frame_time=frame_time,
            source=self.name,
        )

    def _hierarchy(self) -> list[_Joint]:
        joints: list[_Joint] = []
        open_blocks: list[int] = []  # joint index, or -1 - index for its end site
        while True:
            words = self.next_words("MOTION")
            key = words[0]
            if key == "MOTION" and joints and not open_blocks:
                break
            if key in ("ROOT", "JOINT"):
                self._start_joint(words, joints, open_blocks)
            elif key == "End" and open_blocks and open_blocks[-1] >= 0:
                open_blocks.append(-1 - open_blocks[-1])
                self._brace()
            elif key == "OFFSET" and open_blocks:
                self._offset(words, joints, open_blocks[-1])
            elif key == "CHANNELS" and open_blocks and open_blocks[-1] >= 0:
                joints[open_blocks[-1]].channels = self._channels(words)
            elif key == "}" and open_blocks:
                self._close(joints, open_blocks.pop())
            else:
                raise self.error(f"unexpected {' '.join(words)[:60]!r} in the hierarchy")
        return joints

    def _start_joint(self, words: list[str], joints: list[_Joint], blocks: list[int]) -> None:
        if (words[0] == "ROOT") != (not joints) or (joints and (not blocks or blocks[-1] < 0)):
            raise self.error(
                f"{' '.join(words)[:60]!r}: one skeleton must hang from one ROOT, and JOINTs "
                "inside its braces"
            )
        if len(joints) >= MAX_JOINTS:
            raise self.error(f"more than {MAX_JOINTS} joints")
        name = " ".join(words[1:]).removesuffix("{").strip() or f"joint{len(joints)}"
        joints.append(_Joint(name, blocks[-1] if blocks else -1))
        blocks.append(len(joints) - 1)
        if not words[-1].endswith("{"):
            self._brace()

    def _brace(self) -> None:
        if self.lines[self.at - 1].split()[-1] != "{" and self.next_words("{") != ["{"]:
            raise self.error("expected '{'")

    def _offset(self, words: list[str], joints: list[_Joint], block: int) -> None:
        values = self.numbers(words[1:], 3, "OFFSET")
        if block >= 0:
            joints[block].offset = values
        else:
            joints[-1 - block].end_offset = values

    def _channels(self, words: list[str]) -> tuple[str, ...]:
        names = tuple(word.capitalize() for word in words[2:])  # some write XROTATION
        if len(words) < 2 or words[1] != str(len(names)):
            raise self.error(f"CHANNELS must give their number and names, got {words[1:]}")
        unknown = [n for n in names if n not in _POSITIONS + _ROTATIONS]
        if unknown or len(set(names)) != len(names):
            raise self.error(f"CHANNELS must be each of X/Y/Zposition, X/Y/Zrotation once: {names}")
        return names

    def _close(self, joints: list[_Joint], block: int) -> None:
        if block >= 0 and joints[block].offset is None:
            raise self.error(f"joint {joints[block].name} has no OFFSET")

    def _header(self, joints: int) -> tuple[int, float]:
        line = " ".join(self.next_words("Frames:"))
        count = line.removeprefix("Frames:").strip()
        if not line.startswith("Frames:") or not count.isdecimal():
            raise self.error(f"expected 'Frames: <number>', got {line[:60]!r}")
        if len(count) > 12:
            raise self.error(f"no motion has {count[:20]}... frames")
        frames = int(count)
        check_capture_size(f"{self.name}: line {self.at}", frames, joints)
        line = " ".join(self.next_words("Frame Time:"))
        if not line.startswith("Frame Time:"):
            raise self.error(f"expected 'Frame Time: <seconds>', got {line[:60]!r}")
        seconds = line.removeprefix("Frame Time:").split()
        frame_time = float(self.numbers(seconds, 1, "Frame Time")[0])
        if not 1e-5 < frame_time < 10:
            raise self.error(f"Frame Time must be seconds between frames, got {frame_time}")
        return frames, frame_time

    def _values(self, frames: int, channels: int) -> np.ndarray:
        """(frames, channels) numbers."""
        first = self.at
        rows = [line for line in self.lines[first:] if line and not line.isspace()]
        if len(rows) < frames:
            self.at = len(self.lines)
            raise self.error(f"the header promises {frames} frames, the file holds {len(rows)}")
        values = parse_numbers(" ".join(rows[:frames]))
        if values is None or values.size != frames * channels or not np.isfinite(values).all():
            raise self._bad_row(first, channels)
        return values.reshape(frames, channels)

    def _bad_row(self, first: int, channels: int) -> MotionFileError:
        """Find the line that spoils the numbers, for the message."""
        for number, line in enumerate(self.lines[first:], start=first + 1):
            self.at = number
            if line.strip():
                try:
                    self.numbers(line.split(), channels, "a frame")
                except MotionFileError as error:
                    return error
        return self.error("frames do not fill their lines")


def _motion(
    joints: list[_Joint], offsets: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations (N, J, 3, 3) and positions (N, J, 3); channels apply from left to right."""
    count = len(values)
    rotations = np.broadcast_to(np.eye(3), (count, len(joints), 3, 3)).copy()
    positions = np.broadcast_to(offsets, (count, len(joints), 3)).copy()
    column = 0
    for j, joint in enumerate(joints):
        for channel in joint.channels or ():
            value = values[:, column]
            column += 1
            if channel in _POSITIONS:
                positions[:, j, _POSITIONS.index(channel)] = value
            else:
                turn = axis_turns(_ROTATIONS.index(channel), np.deg2rad(value))
                rotations[:, j] = rotations[:, j] @ turn
    return rotations, positions


FORMAT = Format(
    name="bvh",
    files="BVH of any human skeleton",
    notes="retargeted by names and rest pose; copied where the joints are the 55",
    endings=(".bvh",),
    sniff=sniff,
    read=read,
)
