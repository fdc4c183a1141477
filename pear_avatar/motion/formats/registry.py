"""The formats of pose files, and reading any file of one of them.

Every module of :mod:`pear_avatar.motion.formats.layouts` defines one ``FORMAT`` and is found
here by itself; messages, help texts, the documentation and the viewer list what is found. A file
is opened and decoded once (:mod:`.content`), every format looks at the result (``sniff``), and
the one that knows it makes a motion of it (``read``) in this package's world: metres, y up,
``transl`` the position of the pelvis on a body whose rest pelvis lies at the origin.
"""

from __future__ import annotations

import functools
import importlib
import logging
import pkgutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats import layouts
from pear_avatar.motion.formats.axes import UpAxis
from pear_avatar.motion.formats.content import BARE, Content, open_content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.types import Motion

__all__ = [
    "Format",
    "MotionFile",
    "ReadOptions",
    "documented",
    "endings",
    "formats",
    "help_lines",
    "load_motion",
    "markdown_table",
    "read_motion",
    "summary",
]

logger = logging.getLogger(__name__)

#: Around the table in docs/formats.md.
_TABLE_BEGINS = (
    "<!-- formats: made by `python -m pear_avatar.motion.formats.registry`, do not edit -->\n"
)
_TABLE_ENDS = "<!-- end -->\n"
_DOCUMENTATION = Path(__file__).parents[3] / "docs" / "formats.md"

#: Metres from the origin beyond which no motion lies.
_FAR = 1e5


@functools.cache
def formats() -> tuple[Format, ...]:
    """Every known format, in the order in which they are asked."""
    names = sorted(module.name for module in pkgutil.iter_modules(layouts.__path__))
    found = [importlib.import_module(f"{layouts.__name__}.{name}").FORMAT for name in names]
    return tuple(sorted(found, key=lambda f: (f.rank, f.name)))


def endings() -> tuple[str, ...]:
    """The usual endings of all formats' files, with the dot."""
    return tuple(dict.fromkeys(ending for f in formats() for ending in f.endings))


def summary() -> str:
    """Names of all formats in one line."""
    return ", ".join(f.name for f in sorted(formats(), key=lambda f: f.name))


def help_lines() -> list[str]:
    """One line for each format: its name and which files have it, for help texts."""
    found = sorted(formats(), key=lambda f: f.name)
    width = max(len(f.name) for f in found)
    return [f"{f.name:<{width}}  {f.files.replace('`', '')}" for f in found]


def markdown_table() -> str:
    """The table of formats in docs/formats.md, which a test compares with this."""
    rows = ["| layout | files | how they are understood |", "|---|---|---|"]
    rows += [
        f"| `{f.name}` | {f.files} | {f.notes} |" for f in sorted(formats(), key=lambda f: f.name)
    ]
    return "\n".join(rows) + "\n"


def documented(text: str) -> str:
    """A page of the documentation with its table of formats made anew."""
    begin, rest = text.split(_TABLE_BEGINS)
    return begin + _TABLE_BEGINS + markdown_table() + _TABLE_ENDS + rest.split(_TABLE_ENDS, 1)[1]


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
    """Read a file of any format, with everything that it holds beside the motion.

    Raises:
        FileNotFoundError: there is no such file.
        MotionFileError: the file cannot be used; one line says why and what to do.
    """
    views = open_content(Path(path))
    content, layout = _recognised(views)
    try:
        found = layout.read(content, options or ReadOptions())
    except MemoryError as error:
        raise content.error("needs more memory than there is; cut the motion") from error
    params = found.motion.params
    sane = bool(params.rotations.isfinite().all()) and bool((params.transl.abs() < _FAR).all())
    if not sane:
        raise MotionFileError(
            f"{found.motion.name}: its numbers lead to positions beyond {_FAR / 1000:.0f} km or "
            "to none at all; the file is damaged or not in the units it should be"
        )
    noticed = (*content.arrays.warnings, *found.warnings)
    return replace(found, warnings=tuple(dict.fromkeys(noticed)))


def _recognised(views: list[Content]) -> tuple[Content, Format]:
    """The outermost view that a format knows; of people side by side the one seen longest."""
    for content in views:
        layout = next((f for f in formats() if f.sniff(content)), None)
        if layout is None:
            continue
        beside = [content]
        if content.arrays.group >= 0:
            beside = [
                v for v in views if v.arrays.group == content.arrays.group and layout.sniff(v)
            ]
        chosen = max(beside, key=lambda v: v.arrays.longest())
        if len(beside) > 1:
            chosen.arrays.warn(
                f"holds {len(beside)} people or clips; read is the longest, {chosen.arrays.key!r}"
            )
        return chosen, layout
    raise _unknown(views)


def _unknown(views: list[Content]) -> MotionFileError:
    first = next((v for v in views if v.arrays.arrays), None)
    if first is None:
        return views[0].error(
            "not an npz file, nor any other that poses are read from: "
            f"{', '.join(endings())} ({summary()})"
        )
    names = sorted(first.arrays.arrays)
    if names == [BARE]:
        return first.error(
            f"one array without names, of shape {first.arrays.shape(BARE)}, which no format has; "
            "save it as npz under the name of what it holds"
        )
    held = ", ".join(f"{n} {first.arrays.shape(n)}" for n in names[:12])
    return first.error(f"no poses found: expected the arrays of {summary()}; got {held}")


if __name__ == "__main__":
    page = _DOCUMENTATION.read_text("utf-8")
    _DOCUMENTATION.write_text(documented(page), "utf-8")
