"""The viewer in a real browser: the served page and the exported file, on a fitted avatar.

Each scenario runs once; the tests read its report, so that a failing step is named. Chromium
draws with software WebGL; no frame rate is asserted.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from browser_runs import (
    Subject,
    command,
    make_subject,
    once,
    poses_of,
    run_node,
    scenario_config,
    subject_in,
    viewing,
)
from PIL import Image
from viewer_people import draw_frame

from benchmarks.viewer import missing_tool

pytestmark = pytest.mark.slow

#: What a visit checks, in its order; the names are those of viewer/e2e/scenario.mjs.
STEPS = (
    "ready",
    "plays",
    "a paused picture is identical",
    "scrubs",
    "every motion plays",
    "every slider changes the picture and comes back",
    "orbits, zooms and pans",
    "a joint is dragged, undone, redone and reset",
    "mesh, skeleton and backgrounds are layers",
    "screenshot",
    "recording",
    "recording as webm",
    "the video is in sync",
    "motion files are dropped",
    "keyboard",
    "the address holds the view",
    "poses and pictures for comparison",
    "desktop, dark and light",
    "console clean",
    "nothing is asked of anybody else",
    "works on a phone",
)
KINDS = ("server", "export")

MAX_VERTEX_GAP = 5e-5  # metres
MIN_PSNR = 35.0  # dB, over what either of both covers
MAX_EXPORT_BYTES = 5e6


@dataclass(frozen=True)
class Visit:
    """What a run of the scenario left behind."""

    folder: Path
    subject: Subject

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        report = self.folder / "report.json"
        if not report.is_file():
            pytest.fail((self.folder / "scenario.mjs.log").read_text("utf-8")[-3000:])
        return {step["name"]: step for step in json.loads(report.read_text("utf-8"))}


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run see."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "browser"


@pytest.fixture(scope="session")
def subject(shared_folder: Path) -> Subject:
    """An avatar fitted from a real clip, or the hand-made one where there is no footage."""
    if reason := missing_tool():
        pytest.skip(reason)
    return subject_in(once(shared_folder, "subject", make_subject))


@pytest.fixture(scope="session")
def visit(shared_folder: Path, subject: Subject) -> Callable[[str], Visit]:
    """The scenario's result on the served page or the exported file."""

    def served(folder: Path) -> None:
        with viewing(subject.folder, "--video", subject.video) as url:
            config = scenario_config(url, "server", subject, folder, folder / "drop")
            run_node("scenario.mjs", config, folder)
            run_node("failures.mjs", {"url": url, "kind": "server", "out": str(folder)}, folder)

    def exported(folder: Path) -> None:
        page = folder / "person.html"
        options = ["--html", page, "--with-video", "--video", subject.video]
        command("export", subject.folder, *options)
        url = page.as_uri()
        config = scenario_config(url, "export", subject, folder, folder / "drop")
        run_node("scenario.mjs", config, folder)
        run_node("failures.mjs", {"url": url, "kind": "export", "out": str(folder)}, folder)

    make = {"server": served, "export": exported}

    def result(kind: str) -> Visit:
        return Visit(once(shared_folder, kind, make[kind]), subject)

    return result


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_visit(visit: Callable[[str], Visit], kind: str, step: str) -> None:
    steps = visit(kind).steps
    assert step in steps
    assert steps[step]["ok"], steps[step]["detail"]


@pytest.mark.parametrize("kind", KINDS)
def test_posed_vertices_are_pythons(visit: Callable[[str], Visit], kind: str) -> None:
    run = visit(kind)
    body = run.subject.avatar.body.to(dtype=torch.float64)
    for i, pose in enumerate(poses_of(run.subject)):
        p = pose.params
        shaped = body.shape(None, p.expression.double())
        exact = shaped.pose(p.rotations.double(), p.transl.double()).vertices().numpy()
        drawn = np.fromfile(run.folder / f"vertices_{i}.f32", np.float32).reshape(-1, 3)
        assert np.linalg.norm(drawn - exact, axis=1).max() < MAX_VERTEX_GAP


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_the_rasterisers(visit: Callable[[str], Visit], kind: str) -> None:
    """Over black and over white, wherever either of both shows the person."""
    run = visit(kind)
    for i, pose in enumerate(poses_of(run.subject)):
        expected = draw_frame(run.subject.avatar, pose.params, pose.camera).numpy()
        raw = np.fromfile(run.folder / f"render_{i}.rgba", np.uint8)
        drawn = raw.reshape(pose.camera.height, pose.camera.width, 4) / 255
        covered = (expected[..., 3] > 0.5) | (drawn[..., 3] > 0.5)
        assert covered.mean() > 0.02
        for backdrop in (0.0, 1.0):
            gap = _over(drawn, backdrop)[covered] - _over(expected, backdrop)[covered]
            psnr = -10 * np.log10(np.square(gap).mean())
            assert psnr > MIN_PSNR, f"pose {i}: {psnr:.1f} dB"


@pytest.mark.parametrize("kind", KINDS)
def test_the_screenshot_has_alpha(visit: Callable[[str], Visit], kind: str) -> None:
    picture = Image.open(visit(kind).folder / "screenshot.png")
    assert picture.mode == "RGBA"
    alpha = np.asarray(picture)[..., 3]
    assert (alpha == 0).mean() > 0.2
    assert (alpha > 250).mean() > 0.02


@pytest.mark.parametrize("name", ["recording.*", "small.webm"])
@pytest.mark.parametrize("kind", KINDS)
def test_recordings_have_every_frame_once(
    visit: Callable[[str], Visit], kind: str, name: str
) -> None:
    run = visit(kind)
    (path,) = run.folder.glob(name)
    motion = run.subject.track.motion
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        seconds = np.array([float(frame.pts * stream.time_base) for frame in frames])
    assert len(frames) == motion.params.num_frames
    steps = np.diff(seconds)
    assert np.abs(steps - 1 / motion.fps).max() < 2e-3, "uneven steps"
    pictures = [frame.to_ndarray(format="rgb24")[::2, ::2].astype(int) for frame in frames]
    changes = [np.abs(a - b).mean() for a, b in pairwise(pictures)]
    assert np.median(changes) > 0.05, "the pictures do not move"


def test_the_exported_page_is_small_and_alone(visit: Callable[[str], Visit]) -> None:
    page = visit("export").folder / "person.html"
    assert page.stat().st_size < MAX_EXPORT_BYTES
    names = {path.name for path in page.parent.iterdir() if path.suffix == ".html"}
    assert names == {"person.html"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_or_broken_is_told(visit: Callable[[str], Visit], kind: str) -> None:
    report = json.loads((visit(kind).folder / "failures.json").read_text("utf-8"))
    assert report
    assert not [(step["name"], step["detail"]) for step in report if not step["ok"]]


def test_a_folder_is_a_gallery(shared_folder: Path, subject: Subject, person_file: Path) -> None:
    """Two avatars, one of them fitted; cards with portraits, by mouse and by keyboard."""

    def look(folder: Path) -> None:
        people = folder / "people"
        shutil.copytree(subject.folder, people / "fitted-avatar", ignore=_without_cache)
        shutil.copytree(person_file.parent, people / "ann-avatar")
        with viewing(people) as url:
            names = ["ann", "fitted"]
            run_node("gallery.mjs", {"url": url, "names": names, "out": str(folder)}, folder)

    folder = once(shared_folder, "gallery", look)
    result = json.loads((folder / "gallery.json").read_text("utf-8"))
    assert result["ok"], result["detail"]


def _without_cache(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "cache"]


def _over(rgba: np.ndarray, backdrop: float) -> np.ndarray:
    result: np.ndarray = rgba[..., :3] * rgba[..., 3:] + backdrop * (1 - rgba[..., 3:])
    return result
