"""Make a set of labelled synthetic pictures, and a sheet to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pear_avatar.synthesis.contact_sheet import write_sheet
from pear_avatar.synthesis.shards import SynthOptions, read_shard, write_set
from pear_avatar.types import ProgressFn

_MOST_ON_SHEET = 64


@dataclass(frozen=True)
class SynthSummary:
    """What was made: the shards in order, how many pictures, and the sheet if one was wanted."""

    shards: list[Path]
    count: int
    sheet: Path | None


def make_synthetic_set(
    options: SynthOptions,
    folder: Path,
    *,
    processes: int = 1,
    sheet: Path | None = None,
    progress: ProgressFn | None = None,
) -> SynthSummary:
    """Write the shards that are missing, then the sheet of the first pictures.

    Raises:
        PearError: the folder holds a set of other options, or an input cannot be used.
    """

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("pictures", done, total)

    shards = write_set(options, folder, processes, report)
    if sheet is not None:
        write_sheet(sheet, first_pictures(shards, _MOST_ON_SHEET))
    return SynthSummary(shards, options.count, sheet)


def first_pictures(shards: list[Path], most: int) -> list[np.ndarray]:
    """Up to ``most`` pictures (H, W, 3) uint8 from the front of the shards."""
    pictures: list[np.ndarray] = []
    for shard in shards:
        for _, sample in read_shard(shard):
            pictures.append(sample["rgb"])
            if len(pictures) == most:
                return pictures
    return pictures
