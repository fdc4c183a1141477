"""Avatars from sides that were not filmed, beside the truth.

Synthetic people who differ are filmed in three ways (``_views_film``), fitted with the ``fast``
preset through the command line, and drawn from all sides beside their true pictures
(``_views_measure`` says what the figures are). ``--against PATH`` fits the same clips with another
source tree too and prints both. Everything is kept under ``--cache``; a second run does only what
has changed. ``--quick`` films three people once each. ``--real`` judges fits of real clips without
truth instead (``_views_real``), where the footage is there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

import pear_avatar
from benchmarks._views_film import WAYS, TrueView, film_clip, true_views
from benchmarks._views_measure import (
    Figures,
    draw_view,
    grouped,
    mean_figures,
    measure_track,
    measure_view,
)
from benchmarks._views_real import (
    CLIPS,
    SECOND_FRAMES,
    contact_sheet,
    data_folder,
    face_figures,
    second_camera_figures,
)
from benchmarks._views_small import BASELINE, load_baseline, run_small
from benchmarks.framework import Options, Result
from pear_avatar.avatar.file_format import load_avatar
from pear_avatar.body import load_body
from pear_avatar.body.sources import load_ehm
from pear_avatar.evaluation.perceptual import load_perceptual
from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.motion.track_file import load_track
from pear_avatar.perception.detectors import load_detectors
from pear_avatar.synthesis import CAST, SceneTruth, dress_person, load_truth
from pear_avatar.synthesis.person import Person
from pear_avatar.types import Proportions

logger = logging.getLogger(__name__)

#: the three who stand in for all with ``--quick``, and how each is filmed
QUICK = (("elif", "front"), ("hugo", "turned40"), ("ada", "whole"))
#: Raised when a change here changes a figure.
PROTOCOL = 2
_REAL_FRAMES = 120
_FIT_SETTINGS = ("output.overlay=false", "output.preview=false", "fitting.refit_frames=2")
_SETTLE = (
    "import sys, runpy; tree = sys.argv.pop(1); sys.path.insert(0, tree); "
    "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in type(f).__module__]; "
    "runpy.run_module('pear_avatar', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True)
class Clip:
    """One person filmed in one way."""

    person: str
    way: str

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.person}-{self.way}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this workload's own."""
    parser.add_argument(
        "--against", type=Path, metavar="TREE", help="a second source tree to fit with"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path(".views"), metavar="DIR", help="where clips and fits lie"
    )
    parser.add_argument(
        "--small", action="store_true", help="measure the small version and store its figures"
    )
    parser.add_argument("--real", action="store_true", help="judge real clips, without truth")
    parser.add_argument("--clips", nargs="*", metavar="NAME", help="only these, such as ada-front")


def run(options: Options) -> list[Result]:
    """Film, fit with each tree, draw and measure."""
    own = options.own
    if getattr(own, "small", False):
        return run_stored()
    if getattr(own, "real", False):
        return run_real(own.cache.resolve(), _trees(own), own.clips)
    clips = chosen_clips(options.quick, getattr(own, "clips", None))
    trees = _trees(own)
    cache = getattr(own, "cache", Path(".views")).resolve()
    measured: dict[str, list[Figures]] = {name: [] for name in trees}
    for clip in clips:
        views = person_views(clip.person, quick=options.quick)
        for name, tree in trees.items():
            measured[name].append(clip_figures(cache, clip, tree, views))
        _write_sheet(cache, clip, list(trees.values()), views)
    return table({name: mean_figures(rows) for name, rows in measured.items()})


def run_stored() -> list[Result]:
    """The small version beside its committed figures, which it replaces."""
    before = load_baseline() if BASELINE.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        figures = run_small(Path(folder))
    rounded = {name: round(value, 4) for name, value in figures.items()}
    write_text_atomic(BASELINE, json.dumps(rounded, indent=1) + "\n")
    return table({"now": rounded, "before": before} if before else {"now": rounded})


def _trees(own: argparse.Namespace) -> dict[str, Path]:
    trees = {"now": Path(pear_avatar.__file__).parents[1]}
    if getattr(own, "against", None) is not None:
        trees["before"] = own.against.resolve()
    return trees


def run_real(cache: Path, trees: dict[str, Path], names: list[str] | None) -> list[Result]:
    """Faces of every real clip, and the second camera of the clip that has one.

    Raises:
        FileNotFoundError: the footage is not on this machine.
    """
    data = data_folder()
    if data is None:
        raise FileNotFoundError("no footage: set PEAR_AVATAR_DATA to the folder of the real clips")
    rows: dict[str, Figures] = {name: {} for name in trees}
    detector = load_detectors().face()
    for clip in (c for c in CLIPS if not names or Path(c).stem in names):
        avatars = []
        for name, tree in trees.items():
            out = fit_folder(cache, Path(clip).stem, tree)
            fit_with(tree, data / "video" / clip, out, "--max-frames", str(_REAL_FRAMES))
            avatars.append(load_avatar(out / "avatar.safetensors"))
            figures = face_figures(avatars[-1], detector)
            rows[name] |= {f"{Path(clip).stem} {k}": v for k, v in figures.items()}
        _write_picture(cache / "sheets" / f"{Path(clip).stem}.png", contact_sheet(avatars[::-1]))
    calibration = data / "multiview" / "cameras_opencv.json"
    if calibration.is_file() and (not names or "multiview" in names):
        for name, tree in trees.items():
            rows[name] |= _second_camera(cache, tree, calibration)
    return table(rows)


def _second_camera(cache: Path, tree: Path, calibration: Path) -> Figures:
    """Fit the first camera's clip, judge in the second."""
    out = fit_folder(cache, "multiview", tree)
    more = ("--camera", f"{calibration}:cam01", "--max-frames", str(SECOND_FRAMES))
    fit_with(tree, calibration.parent / "cam01.mp4", out, *more)
    avatar, track = load_avatar(out / "avatar.safetensors"), load_track(out / "track.npz")
    video = calibration.parent / "cam03.mp4"
    return second_camera_figures(
        avatar, track, video, calibration, name="cam03", cache=cache / "second"
    )


def chosen_clips(quick: bool, names: list[str] | None = None) -> list[Clip]:
    """Every person in every way; ``quick``: three people, each in one way."""
    clips = [Clip(person, way) for person in CAST for way in WAYS]
    if quick:
        clips = [Clip(person, way) for person, way in QUICK]
    if names:
        clips = [clip for clip in clips if clip.name in names]
    return clips


@lru_cache(maxsize=2)
def _person(name: str) -> Person:
    return dress_person(load_body(), CAST[name])


def person_views(name: str, *, quick: bool) -> list[TrueView]:
    """The true pictures of a person; quick to draw beside a fit, so not kept."""
    return list(true_views(load_body(), _person(name), quick=quick))


def _filmed(cache: Path, clip: Clip) -> tuple[Path, SceneTruth]:
    folder = cache / "clips" / clip.name
    if (folder / "truth.npz").is_file():
        return folder, load_truth(folder / "truth.npz")
    truth = film_clip(folder, load_body(), _person(clip.person), clip.way, CAST[clip.person].seed)
    return folder, truth


def clip_figures(cache: Path, clip: Clip, tree: Path, views: list[TrueView]) -> Figures:
    """Every figure of one clip fitted with one tree, from the cache where it is there."""
    film, truth = _filmed(cache, clip)
    out = fit_folder(cache, clip.name, tree)
    stored = out / f"figures-{PROTOCOL}-{len(views)}.json"
    if stored.is_file():
        figures: Figures = json.loads(stored.read_text("utf-8"))
        return figures
    fit_with(tree, film / "clip.mp4", out)
    avatar, track = load_avatar(out / "avatar.safetensors"), load_track(out / "track.npz")
    perceptual = load_perceptual()
    rows = [(view, measure_view(draw_view(avatar, view), view, perceptual)) for view in views]
    body = load_ehm().person(track.proportions or Proportions.neutral())
    figures = {**grouped(rows), **measure_track(track, body, truth)}
    report = json.loads((out / "report.json").read_text("utf-8"))
    figures["held out psnr"] = float(report["heldout"]["psnr_masked"])
    write_text_atomic(stored, json.dumps(figures, indent=1))
    return figures


def fit_folder(cache: Path, name: str, tree: Path) -> Path:
    """Where the fit of a clip with a tree in its present state lies."""
    return cache / "fits" / f"{name}-{tree_key(tree)}"


def tree_key(tree: Path) -> str:
    """A digest of a tree's package and presets: what decides a fit."""
    digest = hashlib.sha256()
    files = [*(tree / "pear_avatar").rglob("*.py"), *(tree / "configs").glob("*.yaml")]
    for path in sorted(files):
        if "viewer" not in path.parts:
            digest.update(path.relative_to(tree).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def fit_with(tree: Path, video: Path, out: Path, *more: str) -> None:
    """Run ``pear-avatar fit`` of a source tree on a video, in a process of its own.

    Raises:
        RuntimeError: the fit failed; the message ends with what it said last.
    """
    if (out / "report.json").is_file():
        return
    settings = [argument for s in _FIT_SETTINGS for argument in ("--set", s)]
    command = [
        sys.executable,
        "-c",
        _SETTLE,
        str(tree),
        "fit",
        str(video),
        "-o",
        str(out),
        "--preset",
        "fast",
        *settings,
        *more,
    ]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tree)
    if done.returncode != 0:
        raise RuntimeError(f"{tree}: fit of {video} failed:\n{done.stderr[-2000:]}")


def _write_sheet(cache: Path, clip: Clip, trees: list[Path], views: list[TrueView]) -> None:
    """A picture to look at: truth and each tree's avatar below it, a column for each view."""
    shown = [v for v in views if v.name in ("down", "head")]
    rows = [[np.clip(v.color + 1 - v.alpha[..., None], 0, 1) for v in shown]]
    for tree in reversed(trees):
        avatar = load_avatar(fit_folder(cache, clip.name, tree) / "avatar.safetensors")
        drawn = [draw_view(avatar, view) for view in shown]
        rows.append([(o.color + 1 - o.alpha).clamp(0, 1).numpy() for o in drawn])
    for name in ("down", "head"):
        columns = [k for k, view in enumerate(shown) if view.name == name]
        sheet = np.concatenate([np.concatenate([r[k] for k in columns], 1) for r in rows])
        picture = (sheet * 255).astype(np.uint8)
        _write_picture(cache / "sheets" / f"{clip.name}-{name}.png", picture)


def _write_picture(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1])


def table(figures: dict[str, Figures]) -> list[Result]:
    """Rows for the framework: this tree's figures, with the other tree's beside them."""
    now, before = figures["now"], figures.get("before", {})
    results = []
    for name in sorted(now, key=_order):
        unit, direction = _unit(name)
        old = before.get(name)
        ratio = None
        if old is not None and unit not in ("dB", "IoU", "share"):
            ratio = old / now[name] if now[name] > 0 else float("inf")
        peer = None if old is None else "before"
        results.append(
            Result(
                name=name,
                value=now[name],
                unit=unit,
                direction=direction,
                peer=peer,
                peer_value=old,
                ratio=ratio,
            )
        )
    return results


def _unit(name: str) -> tuple[str, Literal["lower", "higher"]]:
    if name.endswith("psnr"):
        return "dB", "higher"
    if name.endswith("iou"):
        return "IoU", "higher"
    if name.startswith("joints"):
        return "mm", "lower"
    if name in ("lean", "knees"):
        return "degrees", "lower"
    if name.startswith("trusted") or name.endswith("found"):
        return "share", "higher"
    return ("% of the head", "lower") if name.endswith("error") else ("distance", "lower")


def _order(name: str) -> tuple[int, str, int]:
    words = name.split()
    if words[0] in ("body", "head") and len(words) == 3:
        return (0, f"{words[0]} {words[2]}", int(words[1]))
    return (1, name, 0)
