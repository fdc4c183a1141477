"""Shows the field lists of this package's docstrings as tables in the API reference.

A dataclass documents its fields as ``name: (shape) meaning`` lines, without a heading; the
reference generator expects them below ``Attributes:``. Stars of shapes such as ``(*B, 3)`` are
escaped, so that they are not read as emphasis.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_FIELD = re.compile(r"^(\w+(?:, \w+)*):\s+(\S.*)$")
_COLUMN = re.compile(r"^([A-Z]\w+) {2,}", re.MULTILINE)
_SHAPE_STAR = re.compile(r"(?<![\\`\w*])\*(?=[A-Z]\b)")


def with_attributes(text: str) -> str:
    """The docstring with its blocks of fields moved below ``Attributes:``."""
    blocks = re.split(r"\n{2,}", text)
    return "\n\n".join(_as_section(block) for block in blocks)


def _as_section(block: str) -> str:
    lines = block.splitlines()
    if not lines or not _FIELD.match(lines[0]) or lines[0].split(":")[0] in _SECTIONS:
        return block
    fields: list[tuple[str, list[str]]] = []
    for line in lines:
        found = _FIELD.match(line)
        if found:
            fields.append((found[1], [found[2]]))
        elif line.startswith(" "):
            fields[-1][1].append(line.strip())
        else:
            return block
    entries = [
        f"    {name}: {' '.join(words)}" for names, words in fields for name in names.split(", ")
    ]
    return "\n".join(["Attributes:", *entries])


_SECTIONS = ("Args", "Returns", "Raises", "Attributes", "Yields")


def with_list(text: str) -> str:
    """The docstring with its two-column blocks, ``Units   metres``, as lists."""
    return "\n\n".join(_as_list(block) for block in re.split(r"\n{2,}", text))


def _as_list(block: str) -> str:
    head, rule, rest = block.partition("-\n")
    body = rest if rule else block
    if not _COLUMN.match(body):
        return block
    items = re.sub(r"^ +", " ", body, flags=re.MULTILINE).replace("\n ", " ")
    listed = _COLUMN.sub(r"- **\1**: ", items)
    return f"{head}{rule}\n{listed}" if rule else listed


def without_emphasis(text: str) -> str:
    """``(*B, 3)`` with its star escaped, outside of code."""
    pieces = re.split(r"(``[^`]+``|`[^`]+`)", text)
    return "".join(p if p.startswith("`") else _SHAPE_STAR.sub(r"\\*", p) for p in pieces)


class FieldLists(griffe.Extension):
    """Rewrites docstrings as they are collected."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every object that has been read."""
        if obj.docstring is None:
            return
        text = without_emphasis(obj.docstring.value)
        obj.docstring.value = with_attributes(text) if obj.is_class else with_list(text)
