"""What a benchmark takes and gives back, and how its results are printed and saved."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

Direction = Literal["lower", "higher"]


@dataclass(frozen=True)
class Options:
    """How to run a workload.

    quick:   only the headline cases, within a minute.
    threads: threads for this package and its peers alike; None means every usable core.
    own:     options of one workload's own, from its ``add_options``.
    """

    quick: bool = False
    threads: int | None = None
    own: Namespace = field(default_factory=Namespace)


@dataclass(frozen=True)
class Result:
    """One measured figure, with a peer's figure for the same work where there is one.

    ratio says how many times better this package is than the peer (above 1 is better),
    whichever way ``direction`` points; see :meth:`versus`.
    """

    name: str
    value: float
    unit: str
    direction: Direction
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None

    @classmethod
    def versus(
        cls,
        name: str,
        value: float,
        unit: str,
        direction: Direction,
        peer: str,
        *,
        peer_value: float,
    ) -> Result:
        """A result beside a peer's, with the ratio worked out."""
        better, worse = (peer_value, value) if direction == "lower" else (value, peer_value)
        ratio = better / worse if worse > 0 else float("inf")
        return cls(
            name=name,
            value=value,
            unit=unit,
            direction=direction,
            peer=peer,
            peer_value=peer_value,
            ratio=ratio,
        )


def format_table(results: Sequence[Result]) -> str:
    """The results as an aligned text table."""
    rows = [("name", "value", "unit", "peer", "peer value", "ratio")]
    for r in results:
        peer_value = "" if r.peer_value is None else f"{r.peer_value:.4g}"
        ratio = "" if r.ratio is None else f"{r.ratio:.1f}x"
        rows.append((r.name, f"{r.value:.4g}", r.unit, r.peer or "", peer_value, ratio))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right_aligned = {1, 4, 5}
    lines = []
    for row in rows:
        cells = (
            cell.rjust(width) if column in right_aligned else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def to_json(results: Sequence[Result]) -> str:
    """The results as a JSON list of objects with the fields of :class:`Result`."""
    return json.dumps([asdict(r) for r in results], indent=2) + "\n"
