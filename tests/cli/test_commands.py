"""The command as a user meets it: help at once, one line for a mistake, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pear_avatar.cli import fit, main
from pear_avatar.commands.find_avatars import find_avatar
from pear_avatar.errors import PearError
from pear_avatar.io.video import VideoWriter

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "fit", "render", "recover", "live", "view", "export", "convert", "bench", "demo", "doctor",
    "assets",
    "synthetic",
)  # fmt: skip


def pear_avatar(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }
    environment.pop("PEAR_AVATAR_DEBUG", None)
    return subprocess.run(
        [sys.executable, "-m", "pear_avatar", *args],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_one_clear_line(result: subprocess.CompletedProcess[str], *told: str) -> None:
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("pear-avatar: error: ")
    assert all(words in lines[0] for words in told), lines[0]


@pytest.fixture(scope="module")
def grey_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames without a person."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    with VideoWriter(path, 12.0) as writer:
        for shade in range(12):
            writer.write(np.full((96, 128, 3), 100 + shade, np.uint8))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    result = pear_avatar(command, "--help")
    assert result.returncode == 0
    assert f"examples:\n  pear-avatar {command}" in result.stdout
    assert result.stderr == ""


def test_help_comes_at_once() -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert pear_avatar("--help").returncode == 0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("ft", "x.mp4"), "invalid choice"),
        (("fit",), "VIDEO"),
        (("fit", "x.mp4", "--max-frames", "0"), "at least 1"),
        (("fit", "x.mp4", "--device", "gpu"), "'gpu'"),
        (("render", "--pose", "p.npz", "-o", "o.mp4", "--size", "big"), "720x1280"),
        (("render", "-o", "o.mp4"), "--pose"),
    ],
)
def test_wrong_arguments_are_one_line(args: tuple[str, ...], told: str) -> None:
    assert_one_clear_line(pear_avatar(*args), told, "--help")


def test_a_video_that_is_not_there(tmp_path: Path) -> None:
    assert_one_clear_line(pear_avatar("fit", "no.mp4", cwd=tmp_path), "no such video: no.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_instead_of_a_video(tmp_path: Path) -> None:
    assert_one_clear_line(pear_avatar("fit", str(tmp_path)), "is a directory")


def test_an_empty_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    assert_one_clear_line(pear_avatar("fit", "clip.mp4", cwd=tmp_path), "empty file")


def test_a_text_file_that_calls_itself_a_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("not a video at all\n" * 100)
    assert_one_clear_line(pear_avatar("fit", "clip.mp4", cwd=tmp_path), "clip.mp4")


def test_a_misspelt_setting_names_the_nearest(grey_video: Path, tmp_path: Path) -> None:
    result = pear_avatar("fit", str(grey_video), "--set", "fitting.join_steps=3", cwd=tmp_path)
    assert_one_clear_line(result, "fitting.join_steps", "nearest: fitting.joint_steps")
    assert list(tmp_path.iterdir()) == []


def test_render_without_any_avatar(tmp_path: Path) -> None:
    np.savez(tmp_path / "pose.npz", poses=np.zeros((2, 165)))
    result = pear_avatar("render", "--pose", "pose.npz", "-o", "o.mp4", cwd=tmp_path)
    assert_one_clear_line(result, "avatar.safetensors", "pear-avatar fit")


def test_render_takes_the_newest_avatar(tmp_path: Path) -> None:
    files = [tmp_path / name / "avatar.safetensors" for name in ("old", "new", "other/deep")]
    for age, file in zip((30, 10, 20), files, strict=True):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
        os.utime(file, (1e9 - age, 1e9 - age))
    assert find_avatar(None, tmp_path) == files[1]
    assert find_avatar(tmp_path / "old", tmp_path) == files[0]
    assert find_avatar(files[2], tmp_path) == files[2]
    with pytest.raises(PearError, match="no such avatar"):
        find_avatar(tmp_path / "gone", tmp_path)


def test_results_go_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert fit.default_output(Path("/videos/a holiday.mp4")) == tmp_path / "a holiday-avatar"


def run_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code of a ``fit`` inside which an exception is raised."""

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(fit, "run", fail)
    return main.main(["fit", "clip.mp4"])


def test_a_defect_is_never_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NumPy's own ValueError inside a command, for one input and inside a batch."""
    monkeypatch.setattr(
        "pear_avatar.commands.convert.read_motion", lambda *_: np.zeros(3) + np.zeros(4)
    )
    (tmp_path / "a.npz").touch()
    (tmp_path / "b.npz").touch()
    assert main.main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "a.bvh")]) == 1
    batch = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--to", "bvh", "-o"]
    assert main.main(["convert", *batch, str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "skipped" not in captured.out
    assert captured.err.count("unexpected ValueError") == 2


def test_ctrl_c_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, KeyboardInterrupt()) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_full_disk_is_the_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, OSError(28, "No space left on device")) == 2
    assert "the disk is full" in capsys.readouterr().err


def test_a_fault_of_the_program_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PEAR_AVATAR_DEBUG", raising=False)
    assert run_with(monkeypatch, KeyError("joint")) == 1
    quiet = capsys.readouterr().err
    assert "PEAR_AVATAR_DEBUG=1" in quiet
    assert "Traceback" not in quiet
    monkeypatch.setenv("PEAR_AVATAR_DEBUG", "1")
    assert run_with(monkeypatch, KeyError("joint")) == 1
    assert "Traceback" in capsys.readouterr().err
