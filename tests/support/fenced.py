"""The fenced blocks of Markdown pages, with where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language ("" where none is named), text, page and first line."""

    language: str
    text: str
    page: Path
    line: int

    @property
    def label(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """README, the guides at the root and all pages of docs/."""
    guides = [ROOT / f"{n}.md" for n in ("README", "ARCHITECTURE", "CONTRIBUTING", "RELEASING")]
    return [*guides, ROOT / "viewer" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[Block]:
    """All blocks of a language that are written out, rather than included from a file."""
    found = []
    for page in pages():
        text = page.read_text("utf-8")
        for match in _FENCE.finditer(text):
            indent, name, body = match.groups()
            lines = [line.removeprefix(indent) for line in body.splitlines()]
            if name == language and not body.lstrip().startswith("--8<--"):
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(name, "\n".join(lines) + "\n", page, line))
    return found
