"""The registry: every list of formats is derived from it, and a file is opened once."""

from __future__ import annotations

import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.cli.main import build_parser
from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats import layouts, registry
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.registry import documented, endings, formats, read_motion
from pear_avatar.motion.formats.smpl import SmplPoses, identity, motion_of_poses
from pear_avatar.motion.track_file import load_track, save_track
from pear_avatar.types import BodyParams, Camera, Motion, Track

ROOT = Path(__file__).parents[2]
LAYOUTS = Path(layouts.__path__[0])


def test_every_module_of_a_layout_has_sniff_and_read_and_nothing_else_lists_them() -> None:
    names = {path.stem for path in LAYOUTS.glob("*.py")} - {"__init__"}
    assert {f.name for f in formats()} == names
    for f in formats():
        assert f.sniff.__module__ == f.read.__module__ == f"{layouts.__name__}.{f.name}"
        assert f.files
        assert f.notes
        assert all(e.startswith(".") for e in f.endings)


def test_the_documentation_lists_what_there_is() -> None:
    page = (ROOT / "docs" / "formats.md").read_text("utf-8")
    assert documented(page) == page, "run python -m pear_avatar.motion.formats.registry"
    for f in formats():
        assert f"| `{f.name}` |" in page


@pytest.mark.parametrize("command", ["convert", "render"])
def test_help_lists_what_there_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    text = capsys.readouterr().out
    assert all(f"  {f.name}" in text for f in formats())
    assert "{motion" not in text


def test_messages_list_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(MotionFileError) as caught:
        read_motion(tmp_path / "text.npz")
    assert all(e in str(caught.value) for e in endings())
    assert all(f.name in str(caught.value) for f in formats())


def test_a_new_format_is_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sniff(content):
        return content.text.startswith("SPIN")

    def read(content, options):
        poses = SmplPoses(identity(int(content.text.split()[1])), rate=10.0)
        return MotionFile(motion_of_poses(content.arrays, poses, options), "spin")

    module = types.ModuleType(f"{layouts.__name__}.spin")
    module.FORMAT = Format("spin", "spins", "none", (".spin",), sniff, read)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "spin.py").write_text("")
    monkeypatch.setattr(layouts, "__path__", [*layouts.__path__, str(tmp_path)])
    formats.cache_clear()
    try:
        (tmp_path / "a.spin").write_text("SPIN 7")
        found = read_motion(tmp_path / "a.spin")
        assert (found.layout, found.motion.params.num_frames) == ("spin", 7)
        assert ".spin" in endings()
        assert "`spin`" in registry.markdown_table()
    finally:
        formats.cache_clear()


def track_of_a_walk() -> Track:
    count = 4
    params = BodyParams(
        torch.randn(10),
        torch.zeros(count, 10),
        torch.eye(3).repeat(count, 55, 1, 1),
        torch.randn(count, 3),
    )
    camera = Camera(torch.eye(3).repeat(count, 1, 1), torch.eye(4).repeat(count, 1, 1), 64, 48)
    motion = Motion(params, np.arange(count) / 30, "clip.mp4")
    return Track(motion, camera, np.arange(count), np.ones(count, bool), np.zeros(count))


def test_a_track_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "track.npz"
    save_track(path, track_of_a_walk(), pelvis_rest=(0.0, 0.0008, 0.0))
    decoded: list[str] = []
    opened = zipfile.ZipFile.open

    def count_entries(self, name, *args, **kwargs):
        decoded.append(getattr(name, "filename", name))
        return opened(self, name, *args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "open", count_entries)
    found = read_motion(path)
    assert found.layout == "track"
    assert found.track is not None
    assert found.track.camera.width == 64
    # Each entry is opened to see whether it holds objects and once more to read it.
    assert max(decoded.count(name) for name in decoded) <= 2


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    """A fit that goes on from its saved track must be the fit that never stopped."""
    track, path = track_of_a_walk(), tmp_path / "track.npz"
    save_track(path, track, pelvis_rest=(0.0001, 0.00079, -0.0002))
    once = load_track(path)
    assert torch.allclose(once.motion.params.transl, track.motion.params.transl, atol=1e-7)
    save_track(tmp_path / "again.npz", once, pelvis_rest=(0.0001, 0.00079, -0.0002))
    twice = load_track(tmp_path / "again.npz")
    for name in ("transl", "rotations", "betas", "expression"):
        assert torch.equal(getattr(once.motion.params, name), getattr(twice.motion.params, name))
    # Other readers get the same path: the open body's translation, not shifted by its pelvis.
    assert torch.equal(read_motion(path).motion.params.transl, once.motion.params.transl)
