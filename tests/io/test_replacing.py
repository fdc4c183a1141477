"""What may be replaced: our own files, never an input, never a file of the user's."""

from __future__ import annotations

import contextvars
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pear_avatar.errors import PearError
from pear_avatar.io.atomic import atomic_folder, atomic_path, write_text_atomic
from pear_avatar.io.images import read_image, write_image
from pear_avatar.io.npz import load_npz, save_npz
from pear_avatar.io.replacing import check_outputs, is_ours, rules_for_outputs
from pear_avatar.io.video import VideoWriter, probe_video


def under_rules(work: Callable[[], Any], inputs: tuple[Path, ...] = (), force: bool = False) -> Any:
    """Run ``work`` as a command with these inputs would."""

    def run() -> Any:
        rules_for_outputs(inputs, force=force)
        return work()

    return contextvars.copy_context().run(run)


def write_video(path: Path) -> None:
    with VideoWriter(path, 10.0) as video:
        for shade in range(3):
            video.write(np.full((32, 48, 3), 40 * shade, np.uint8))


def noise(channels: int) -> np.ndarray:
    """A picture that does not compress: its file is longer than what is searched for the mark."""
    return np.random.default_rng(0).integers(0, 255, (400, 400, channels), np.uint8)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.npz": lambda p: save_npz(p, {"x": np.arange(90000)}),
    "a.jpg": lambda p: write_image(p, noise(3)),
    "a.png": lambda p: write_image(p, noise(4)),
    "a.webp": lambda p: write_image(p, noise(3)),
    "a.tiff": lambda p: write_image(p, noise(3)),
    "a.mp4": write_video,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_our_own_files_are_known_and_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    assert is_ours(path)
    under_rules(lambda: WRITERS[name](path))
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_marked_files_still_read(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        write(tmp_path / name)
    assert load_npz(tmp_path / "a.npz")["x"][-1] == 89999
    assert read_image(tmp_path / "a.png").shape == (400, 400, 3)
    assert probe_video(tmp_path / "a.mp4").num_frames == 3
    assert not probe_video(tmp_path / "a.mp4").truncated


@pytest.mark.parametrize("name", WRITERS)
def test_files_of_the_user_stay(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"mine" * 100)
    with pytest.raises(PearError, match="--force"):
        under_rules(lambda: WRITERS[name](path))
    assert path.read_bytes() == b"mine" * 100
    under_rules(lambda: WRITERS[name](path), force=True)
    assert is_ours(path)


@pytest.mark.parametrize("link", [False, True])
def test_inputs_are_never_written_onto(tmp_path: Path, link: bool) -> None:
    source = tmp_path / "in.mp4"
    write_video(source)
    before = source.read_bytes()
    target = tmp_path / "out.mp4" if link else source
    if link:
        os.link(source, target)
    with pytest.raises(PearError, match="is an input"):
        under_rules(lambda: write_video(target), inputs=(source,), force=True)
    assert source.read_bytes() == before


def test_an_output_that_cannot_be_written_is_told_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PearError, match="is a file"):
        under_rules(lambda: check_outputs([tmp_path / "file" / "deeper" / "a.mp4"]))
    with pytest.raises(PearError, match="device or a pipe"):
        under_rules(lambda: check_outputs([os.devnull]))
    with pytest.raises(PearError, match="name"):
        under_rules(lambda: check_outputs([tmp_path / ("x" * 300)]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_folders_of_meshes_keep_what_is_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "meshes"
    folder.mkdir()
    (folder / "frame_00000.obj").write_text("mine")
    with pytest.raises(PearError, match="frame_00000"), atomic_folder(folder, is_ours):
        pass
    assert (folder / "frame_00000.obj").read_text() == "mine"


def test_strays_of_killed_processes_are_removed(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    stray = tmp_path / f".clip-{ended}-abcd1234.partial.mp4"
    working = tmp_path / f".clip-{os.getppid()}-abcd1234.partial.mp4"
    other = tmp_path / f".other-{ended}-abcd1234.partial.mp4"
    for path in (stray, working, other):
        path.write_text("half")
    write_video(tmp_path / "clip.mp4")
    assert {p.name for p in tmp_path.iterdir()} == {"clip.mp4", working.name, other.name}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    for name, write in WRITERS.items():
        write(folder / name)
    write_text_atomic(folder / "a.txt", json.dumps({"path": str(folder)}, ensure_ascii=False))
    assert len(list(folder.iterdir())) == len(WRITERS) + 1


def test_the_longest_names(tmp_path: Path) -> None:
    with atomic_path(tmp_path / ("ä" * 120 + ".txt")) as path:
        path.write_text("x")
    assert len(list(tmp_path.iterdir())) == 1
