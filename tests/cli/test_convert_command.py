"""``pear-avatar convert`` as a user meets it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from pear_avatar.cli.convert import frame_range, seconds
from pear_avatar.cli.main import main
from pear_avatar.motion.formats.registry import load_motion

GOLDEN = Path(__file__).parents[1] / "motion" / "golden"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("PEAR_AVATAR_DEBUG", "PEAR_AVATAR_BODY_MODELS"):
        monkeypatch.delenv(variable, raising=False)
    for name in ("studio.bvh", "walker.amc", "walker.asf", "amass_smplx.npz"):
        shutil.copy(GOLDEN / name, tmp_path / name)
    return tmp_path


def test_one_file(capsys):
    assert main(["convert", "studio.bvh", "out.npz"]) == 0
    assert load_motion("out.npz").params.num_frames == 4
    told = capsys.readouterr().out
    assert told == "studio.bvh (bvh) -> out.npz: 4 frames at 30 fps\n"


def test_the_report(capsys):
    assert main(["convert", "walker.amc", "out.glb", "--report", "--report-json"]) == 0
    told = capsys.readouterr().out
    assert "left_knee" in told
    assert "<- ltibia" in told
    assert "unused in the source: lhipjoint" in told
    assert Path("out.report.json").is_file()
    assert main(["convert", "amass_smplx.npz", "out.csv", "--report"]) == 0
    assert "taken over as they are" in capsys.readouterr().out


def test_options_reach_the_file():
    args = ["--fps", "50", "--frames", "1:4", "--bvh-order", "xyz", "--bvh-unit", "m"]
    assert main(["convert", "amass_smplx.npz", "-o", "out.bvh", *args]) == 0
    text = Path("out.bvh").read_text()
    assert "Xrotation Yrotation Zrotation" in text
    assert "Frame Time: 0.02" in text
    assert load_motion("out.bvh").params.num_frames == 5  # 80 ms at 50 frames a second
    assert main(["convert", "walker.amc", "slow.npz", "--source-fps", "60"]) == 0
    assert load_motion("slow.npz").fps == pytest.approx(60)
    assert main(["convert", "studio.bvh", "b.npz", "--betas", "1,-1", "--body-height", "1.6"]) == 0
    assert main(["convert", "studio.bvh", "c.npz", "--betas", "b.npz"]) == 0
    assert np.allclose(load_motion("b.npz").params.betas, load_motion("c.npz").params.betas)


def test_many_files_go_on_after_a_bad_one(capsys):
    Path("bad.bvh").write_text("HIERARCHY")
    code = main(["convert", "bad.bvh", "studio.bvh", "walker.amc", "--to", "npz", "-o", "out"])
    assert code == 3
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("skipped bad.bvh: bad.bvh: line 1: the file ends where")
    assert told[-1] == "1 of 3 files were skipped"
    assert sorted(p.name for p in Path("out").iterdir()) == ["studio.npz", "walker.npz"]
    assert main(["convert", "studio.bvh", "walker.amc", "--to", "csv", "-o", "tables"]) == 0
    assert main(["convert", "studio.bvh", "out", "--to", "ply", "--frames", "0:2"]) == 0
    assert len(list(Path("out/studio").glob("*.ply"))) == 2


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["studio.bvh"], "say where studio.bvh shall go"),
        (["studio.bvh", "out.fbx"], "cannot write 'out.fbx'"),
        (["studio.bvh", "walker.amc", "out"], "say what they become: --to npz"),
        (["studio.bvh", "walker.amc", "--to", "npz", "-o", "out.npz"], "looks like a file"),
        (["studio.bvh", "--to", "fbx", "-o", "out"], "cannot write .fbx files"),
        (["none.bvh", "out.npz"], "none.bvh"),
        (["walker.asf", "out.npz"], "a skeleton without a motion"),
        (["studio.bvh", "out.npz", "--start", "9"], "nothing is left"),
        (["studio.bvh", "out.npz", "--betas", "a,b"], "--betas must be numbers"),
        (["studio.bvh", "out.npz", "--betas", "99"], "within 20 standard deviations"),
        (["studio.bvh", "out.npz", "--body-height", "9"], "1.3 to 2.2 m tall"),
        (["studio.bvh", "out.npz", "--layout", "track"], "studio.bvh"),
        (["amass_smplx.npz", "out.npz", "--layout", "track"], "holds a motion but no track"),
        (["studio.bvh", "out.npz", "--body", "smplx", "--body-models", "."], "SMPL-X neutral"),
        (["studio.bvh", "out.npz", "--body", "smplx"], "no folder of body models named"),
        (["studio.bvh", "out.npz", "--body-models", "none"], "no folder of body models at none"),
        (["studio.bvh", "studio.bvh"], "would be overwritten"),
        (["studio.bvh", "osc://127.0.0.1:x"], "is no OSC address"),
        (["studio.bvh", "osc://127.0.0.1", "--report-json"], "no place for a report"),
    ],
)
def test_mistakes_are_one_clear_line(capsys, args, told):
    before = sorted(p.name for p in Path().iterdir())
    assert main(["convert", *args]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    assert told in err
    assert sorted(p.name for p in Path().iterdir()) == before


def test_streaming(capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        url = f"osc://127.0.0.1:{receiver.getsockname()[1]}"
        assert main(["convert", "studio.bvh", url]) == 0
        assert receiver.recv(2000).startswith(b"#bundle\0")
    told = capsys.readouterr().out
    assert "streaming to 127.0.0.1" in told
    assert "warning" not in told


def test_streams_to_other_machines_are_told(capsys, monkeypatch):
    monkeypatch.setattr("pear_avatar.commands.convert.stream_motion", lambda *a, **k: 0)
    assert main(["convert", "studio.bvh", "osc://192.0.2.1:9000"]) == 0
    assert "warning: the motion goes over the network" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "found"), [("1:5", (1, 5)), (":5", (None, 5)), ("2:", (2, None)), (":", (None, None))]
)
def test_frame_ranges(text, found):
    assert frame_range(text) == found


@pytest.mark.parametrize("text", ["5", "5:2", "a:b", "-1:3", "1:2:3"])
def test_bad_frame_ranges(text):
    with pytest.raises(Exception, match="is not a range of frames"):
        frame_range(text)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "x"])
def test_bad_seconds(text):
    with pytest.raises(Exception, match="is not a number of seconds"):
        seconds(text)
