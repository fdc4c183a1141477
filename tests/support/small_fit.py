"""A small fit of a synthetic clip, made once for a whole test run, whatever the workers."""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from filelock import FileLock
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"

#: Enough for an avatar with the right shape and colours; seconds instead of minutes.
QUICK = [
    "fitting.num_splats=2500", "fitting.crop_size=224", "fitting.silhouette_steps=40",
    "fitting.joint_steps=60", "fitting.refit_steps=2", "fitting.refit_frames=1",
    "fitting.perceptual_every=1000", "fitting.perceptual_frames=1", "output.preview=false",
    "output.overlay=false",
]  # fmt: skip
_SIZE = (256, 320)


@dataclass(frozen=True)
class SmallFit:
    """Where everything lies.

    clip:   the synthetic video. pictures: a folder of three of its frames.
    result: the folder that ``examples/01_fit_and_repose.py`` wrote.
    """

    clip: Path
    pictures: Path
    result: Path


def run_example(name: str, *arguments: object) -> None:
    """Run a script of examples/ in this process, as ``python examples/NAME ARGUMENTS`` would."""
    argv = [name, *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def make_small_fit(folder: Path) -> SmallFit:
    """Film, fit and keep; a second caller waits for the first and takes what it made."""
    fit = SmallFit(folder / "clip.mp4", folder / "pictures", folder / "clip-avatar")
    done = folder / "done"
    with FileLock(f"{folder}.lock"):
        if not done.is_file():
            _film(fit)
            run_example("01_fit_and_repose.py", fit.clip, "-o", fit.result, "--set", *QUICK)
            done.touch()
    return fit


def _film(fit: SmallFit) -> None:
    from pear_avatar.body import load_body
    from pear_avatar.io.video import read_frames
    from pear_avatar.synthesis.synthetic_clip import make_synthetic_clip

    made = make_synthetic_clip(
        fit.clip.parent, load_body(), num_frames=9, num_unseen=2, size=_SIZE, fps=9.0
    )
    fit.pictures.mkdir()
    frames = read_frames(made.video, indices=[0, 4, 8], max_side=max(_SIZE))
    for k, (_, _, rgb) in enumerate(frames):
        Image.fromarray(rgb).save(fit.pictures / f"{k}.png")
