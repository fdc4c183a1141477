"""What retargeting made of a source skeleton."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["RetargetReport"]

#: Joints that most captures lack; a table names them together.
_FACE_AND_HANDS = ("jaw", "eye", "index", "middle", "pinky", "ring", "thumb")


@dataclass(frozen=True)
class RetargetReport:
    """What was made of a source skeleton.

    source:       the file.
    mapped:       body joint -> the source joint that drives it.
    corrections:  body joint -> degrees between the body's T-pose and the source's reference pose
                  there; what the constant rotation between the two skeletons takes out.
    interpolated: body joints that lie between driven ones and share their turns.
    undriven:     body joints that keep their rest pose, for the source has none such.
    unmapped:     source joints that drive nothing.
    up_axis:      the source axis that points up, such as "y" or "z".
    scale:        metres per source unit, from the length of the legs.
    reference:    "rest pose" or "local frames", how the frames of both skeletons were matched;
                  "same skeleton" where rotations were copied as they stand.
    warnings:     what the result does not follow as it should, one sentence each.
    """

    source: str
    mapped: dict[str, str]
    corrections: dict[str, float]
    interpolated: tuple[str, ...]
    undriven: tuple[str, ...]
    unmapped: tuple[str, ...]
    up_axis: str
    scale: float
    reference: str
    warnings: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line for a log."""
        rest = f", unused: {', '.join(self.unmapped)}" if self.unmapped else ""
        return (
            f"{len(self.mapped)} joints driven, {self.up_axis} up, {self.scale:.4g} m per unit, "
            f"matched by {self.reference}{rest}"
        )

    def table(self) -> str:
        """Several lines: every driven joint with its driver and its correction."""
        width = max((len(name) for name in self.mapped), default=0)
        there = max((len(name) for name in self.mapped.values()), default=0)
        lines = [self.summary().split(", unused")[0]]
        for name, driver in self.mapped.items():
            degrees = self.corrections.get(name, 0.0)
            lines.append(f"  {name:<{width}}  <- {driver:<{there}}  {degrees:5.1f} deg")
        if self.interpolated:
            lines.append(f"  between their neighbours: {', '.join(self.interpolated)}")
        body = [n for n in self.undriven if not any(part in n for part in _FACE_AND_HANDS)]
        small = len(self.undriven) - len(body)
        if self.undriven:
            also = [f"{small} of face and fingers"] if small else []
            lines.append(f"  at rest: {', '.join(body + also)}")
        if self.unmapped:
            lines.append(f"  unused in the source: {', '.join(self.unmapped)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)
