"""Commands beside the user's own files: inputs and foreign files stay as they are."""

from __future__ import annotations

import contextvars
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pear_avatar.cli.main import main
from pear_avatar.io.npz import save_npz
from pear_avatar.io.video import VideoWriter

MINE = b"my own work"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert contextvars.copy_context().run(main, [str(a) for a in args]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


def motion(path: Path) -> Path:
    arrays = {"poses": np.zeros((4, 165)), "trans": np.zeros((4, 3))}
    save_npz(path, arrays | {"mocap_framerate": np.array(30.0)})
    return path


def clip(path: Path) -> Path:
    with VideoWriter(path, 12.0) as writer:
        for shade in range(6):
            writer.write(np.full((96, 128, 3), 100 + shade, np.uint8))
    return path


@pytest.mark.parametrize("name", ["overlay.mp4", "preview.mp4"])
def test_a_fit_into_the_folder_of_its_video(here: Path, capsys, name: str) -> None:
    (here / "oo").mkdir()
    video = clip(here / "oo" / name)
    before = video.read_bytes()
    assert "is an input" in refused(capsys, "fit", video, "-o", "oo", "--force")
    assert video.read_bytes() == before


@pytest.mark.parametrize("name", ["config.yaml", "report.html", "track.npz", "avatar.safetensors"])
def test_a_fit_beside_files_of_the_user(here: Path, capsys, name: str) -> None:
    (here / "oo").mkdir()
    (here / "oo" / name).write_bytes(MINE)
    assert "--force" in refused(capsys, "fit", clip(here / "c.mp4"), "-o", "oo")
    assert (here / "oo" / name).read_bytes() == MINE


def test_a_failing_fit_leaves_the_settings(here: Path, capsys) -> None:
    (here / "oo").mkdir()
    settings = here / "oo" / "config.yaml"
    settings.write_text("# pear-avatar\nclip: {max_frames: 3}\n")
    refused(capsys, "fit", clip(here / "c.mp4"), "-o", "oo")
    assert "max_frames: 3" in settings.read_text()


@pytest.mark.parametrize("out", ["a.npz", "a.bvh", "a.csv", "a.glb"])
def test_convert_keeps_files_of_the_user(here: Path, capsys, out: str) -> None:
    source = motion(here / "in.npz")
    (here / out).write_bytes(MINE)
    assert "--force" in refused(capsys, "convert", source, out)
    assert (here / out).read_bytes() == MINE
    assert main(["convert", str(source), out, "--force"]) == 0
    assert main(["convert", str(source), out]) == 0  # and now it is ours


def test_convert_of_many_keeps_files_of_the_user(here: Path, capsys) -> None:
    sources = [motion(here / "a.npz"), motion(here / "b.npz")]
    (here / "out").mkdir()
    (here / "out" / "a.bvh").write_bytes(MINE)
    assert main(["convert", *map(str, sources), "--to", "bvh", "-o", "out"]) == 3
    assert (here / "out" / "a.bvh").read_bytes() == MINE


@pytest.mark.parametrize("name", ["clip.mp4", "truth.npz"])
def test_a_synthetic_clip_beside_files_of_the_user(here: Path, capsys, name: str) -> None:
    (here / name).write_bytes(MINE)
    assert "--force" in refused(capsys, "synthetic", "-o", ".", "--frames", "2")
    assert (here / name).read_bytes() == MINE


def test_recover_into_the_folder_of_the_pictures(here: Path, capsys) -> None:
    Image.new("RGB", (64, 64)).save(here / "a.png")
    assert "another folder" in refused(capsys, "recover", here, "-o", ".")
    (here / "a.npz").write_bytes(MINE)
    assert "--force" in refused(capsys, "recover", "a.png", "-o", ".")
    assert (here / "a.npz").read_bytes() == MINE


def test_render_keeps_files_of_the_user(here: Path, capsys, avatar_path: Path) -> None:
    source = motion(here / "in.npz")
    for out in ("o.mp4", "frames/frame_00000.png"):
        (here / out).parent.mkdir(exist_ok=True)
        (here / out).write_bytes(MINE)
        target = here / out if out.endswith("mp4") else (here / out).parent
        assert "--force" in refused(capsys, "render", avatar_path, "--pose", source, "-o", target)
        assert (here / out).read_bytes() == MINE


def test_export_keeps_files_of_the_user(here: Path, capsys, avatar_path: Path) -> None:
    (here / "a.html").write_bytes(MINE)
    assert "--force" in refused(capsys, "export", avatar_path, "--html", "a.html")
    assert (here / "a.html").read_bytes() == MINE
