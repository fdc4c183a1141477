"""Bad input inside a command: one clear line, exit code 2, nothing half-written.

These run in this process, which has torch loaded already; ``test_commands`` starts real ones.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pear_avatar.cli.main import main
from pear_avatar.io.video import VideoWriter

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that must fail for the user's mistake; gives its last line on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("PEAR_AVATAR_DEBUG", raising=False)

    def call(*args: str | Path) -> str:
        assert main([str(a) for a in args]) == 2
        told = capsys.readouterr().err
        assert "Traceback" not in told
        last = told.strip().splitlines()[-1]
        assert last.startswith("pear-avatar: error: ")
        return last

    return call


@pytest.fixture(scope="module")
def grey_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames without a person."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    with VideoWriter(path, 12.0) as writer:
        for shade in range(12):
            writer.write(np.full((96, 128, 3), 100 + shade, np.uint8))
    return path


def test_a_video_without_a_person(run: Run, grey_video: Path) -> None:
    assert "person" in run("fit", grey_video, "-o", "out")


def test_an_output_that_is_a_file(run: Run, grey_video: Path) -> None:
    Path("taken").write_text("mine")
    assert "taken" in run("fit", grey_video, "-o", "taken")
    assert Path("taken").read_text() == "mine"


def test_an_unknown_preset(run: Run, grey_video: Path) -> None:
    assert "nearest: high" in run("fit", grey_video, "--preset", "hihg")


@pytest.mark.parametrize("name", ["middle", ""])
def test_a_camera_that_is_not_in_the_file(run: Run, grey_video: Path, name: str) -> None:
    K = [[100.0, 0.0, 64.0], [0.0, 100.0, 48.0], [0.0, 0.0, 1.0]]
    entry = {"K": K, "R": np.eye(3).tolist(), "t": [0, 0, 0], "image_wh": [128, 96]}
    Path("cameras.json").write_text(json.dumps({"left": entry, "right": entry}))
    assert "left, right" in run("fit", grey_video, "--camera", f"cameras.json:{name}")


def test_a_camera_file_that_is_not_there(run: Run, grey_video: Path) -> None:
    assert "no such camera file: c.json" in run("fit", grey_video, "--camera", "c.json:cam01")


def bad_pose(kind: str) -> dict[str, Any]:
    return {
        "pickle": {"poses": np.array([{"evil": pickle.dumps(print)}], dtype=object)},
        "nan": {"poses": np.full((3, 165), np.nan), "trans": np.zeros((3, 3))},
        "shape": {"poses": np.zeros((3, 7)), "trans": np.zeros((3, 3))},
        "unknown": {"weather": np.zeros(3)},
    }[kind]


@pytest.mark.parametrize("kind", ["pickle", "nan", "shape", "unknown"])
def test_bad_pose_files(run: Run, avatar_path: Path, kind: str) -> None:
    np.savez("pose.npz", **bad_pose(kind))
    assert "pose.npz" in run("render", avatar_path, "--pose", "pose.npz", "-o", "o.mp4")
    assert not Path("o.mp4").exists()


def test_a_pose_file_that_is_text(run: Run, avatar_path: Path) -> None:
    Path("pose.npz").write_text("not a pose")
    assert "pose.npz" in run("render", avatar_path, "--pose", "pose.npz", "-o", "o.mp4")


def test_an_avatar_that_is_something_else(run: Run) -> None:
    np.savez("pose.npz", poses=np.zeros((2, 165)), trans=np.zeros((2, 3)))
    Path("avatar.safetensors").write_bytes(b"not an avatar")
    assert "avatar.safetensors" in run("render", "--pose", "pose.npz", "-o", "o.mp4")


def test_a_background_that_is_nothing(run: Run, avatar_path: Path) -> None:
    np.savez("pose.npz", poses=np.zeros((2, 165)), trans=np.zeros((2, 3)))
    where = ["--pose", "pose.npz", "-o", "o.mp4"]
    told = run("render", avatar_path, *where, "--background", "#12345")
    assert "#12345" in told
