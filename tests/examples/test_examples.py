"""Each script of examples/ runs, in small, and leaves what it promises."""

from __future__ import annotations

import ast
import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_fit import EXAMPLES, QUICK, SmallFit, run_example

import pear_avatar as pear

GOLDEN = Path(__file__).parents[1] / "motion" / "golden"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        found = []
        for k in range(getattr(image, "n_frames", 1)):
            image.seek(k)
            found.append(np.asarray(image.convert("RGB")).astype(float))
    return found


def test_there_are_at_least_eight_and_they_are_numbered_without_gaps() -> None:
    assert len(SCRIPTS) >= 8
    assert [name[:2] for name in SCRIPTS] == [f"{k:02d}" for k in range(1, len(SCRIPTS) + 1)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_is_short_and_shows_its_command(name: str) -> None:
    text = (EXAMPLES / name).read_text("utf-8")
    doc = ast.get_docstring(ast.parse(text))
    assert doc is not None
    assert f"python examples/{name}" in doc
    assert len(text.splitlines()) <= 80


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_is_run_by_a_test(name: str) -> None:
    support = Path(__file__).parents[1] / "support" / "small_fit.py"
    assert f'"{name}"' in Path(__file__).read_text("utf-8") + support.read_text("utf-8")


def test_fit_and_repose(small_fit: SmallFit) -> None:
    """``01_fit_and_repose.py`` made the fit itself: the new pose differs from the tracked one."""
    (reposed,) = frames_of(small_fit.result / "reposed.png")
    avatar = pear.load_avatar(small_fit.result / "avatar.safetensors")
    track = pear.load_track(small_fit.result / "track.npz")
    with torch.no_grad():
        splats = avatar.gaussians(track.motion.params[0])
        tracked = splats.render(track.camera[0], torch.ones(3)).color.numpy() * 255
    assert reposed.shape == tracked.shape
    assert (reposed < 200).any(-1).mean() > 0.03
    assert np.abs(reposed - tracked).max() > 100


def test_recover_a_folder(
    small_fit: SmallFit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example("02_recover_a_folder.py", small_fit.pictures, "-o", tmp_path / "out")
    printed = capsys.readouterr().out
    assert "3 people in 3 pictures" in printed
    assert printed.count("m from toe to eyes") == 3
    assert {"0.npz", "1.glb", "2_overlay.jpg", "contact_sheet.jpg"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize("motion", ["amass_smplh.npz", "studio.bvh"])
def test_drive_with_motion(small_fit: SmallFit, tmp_path: Path, motion: str) -> None:
    avatar, out = small_fit.result / "avatar.safetensors", tmp_path / "driven.mp4"
    run_example(
        "03_drive_with_motion.py",
        avatar,
        GOLDEN / motion,
        "-o",
        out,
        "--max-frames",
        3,
        "--size",
        96,
        128,
    )
    assert out.stat().st_size > 1000


def test_turntable(small_fit: SmallFit, tmp_path: Path) -> None:
    avatar, out = small_fit.result / "avatar.safetensors", tmp_path / "turn.webp"
    run_example("04_turntable.py", avatar, "-o", out, "--frames", 4, "--size", 96, 128)
    frames = frames_of(out)
    assert [f.shape for f in frames] == [(128, 96, 3)] * 4
    assert all(np.abs(frames[0] - other).max() > 50 for other in frames[1:])


def test_export_for_engines(small_fit: SmallFit, tmp_path: Path) -> None:
    run_example("05_export_for_engines.py", small_fit.result, GOLDEN / "body.bvh", "-o", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "avatar.glb",
        "avatar.html",
        "motion.bvh",
        "motion.npz",
        "pose.ply",
        "pose.spz",
    }
    again = pear.load_motion(tmp_path / "motion.npz")
    first = pear.load_motion(GOLDEN / "body.bvh")
    assert again.params.num_frames == first.params.num_frames


def test_splats_on_your_camera(small_fit: SmallFit, tmp_path: Path) -> None:
    avatar, out = small_fit.result / "avatar.safetensors", tmp_path / "head.png"
    run_example("06_splats_on_your_camera.py", avatar, "-o", out, "--size", 96, 128)
    (picture,) = frames_of(out)
    assert picture.shape == (128, 96, 3)
    assert picture.std() > 10


def test_batch_continues_after_a_video_that_cannot_be_used(
    small_fit: SmallFit, tmp_path: Path
) -> None:
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    (videos / "broken.mp4").write_bytes(b"no video at all")
    (videos / "clip.mp4").write_bytes(small_fit.clip.read_bytes())
    out.mkdir()
    (out / "clip").symlink_to(small_fit.result)  # fitted already: continues where it stopped
    run_example("07_batch.py", videos, "-o", out, "--set", *QUICK)
    with open(out / "figures.csv", encoding="utf-8", newline="") as file:
        broken, good = csv.DictReader(file)
    assert "broken.mp4" in broken["problem"]
    assert float(good["psnr"]) > 10
    assert int(good["splats"]) > 1000


def test_pose_like_a_photo(small_fit: SmallFit, tmp_path: Path) -> None:
    avatar, photo = small_fit.result / "avatar.safetensors", small_fit.pictures / "1.png"
    out = tmp_path / "posed"
    run_example("08_pose_like_a_photo.py", avatar, photo, "-o", out, "--size", 96, 128)
    with Image.open(out / "frame_00000.png") as image:
        assert image.mode == "RGBA"
        assert image.size == (96, 128)
        assert np.asarray(image)[..., 3].max() == 255
    assert pear.load_motion(tmp_path / "posed.npz").params.num_frames == 1


def test_own_detector(
    small_fit: SmallFit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bright = np.asarray(Image.open(small_fit.pictures / "1.png").convert("RGB"))
    Image.fromarray((bright * 0.25).astype(np.uint8)).save(tmp_path / "night.png")
    run_example("09_own_detector.py", tmp_path / "night.png")
    printed = capsys.readouterr().out
    assert "people found: 1" in printed
    box = [float(v) for v in printed.split("box ")[1].split(", confidence")[0].split(", ")]
    assert box[3] - box[1] > 0.5 * bright.shape[0]


def test_own_loss(small_fit: SmallFit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    # Perception and tracking are the same with and without the term: taken from the other fit.
    shutil.copytree(small_fit.result, out)
    run_example("10_own_loss.py", small_fit.clip, "-o", out, "--weight", 2.0, "--set", *QUICK)
    printed = capsys.readouterr().out
    assert "splats are half transparent" in printed
    plain = pear.load_avatar(small_fit.result / "avatar.safetensors").splats.logit_opacities
    weighted = pear.load_avatar(out / "avatar.safetensors").splats.logit_opacities
    measure = [float((4 * p * (1 - p)).mean()) for p in (plain.sigmoid(), weighted.sigmoid())]
    assert measure[1] < 0.9 * measure[0]
    assert "half transparent" in (out / "report.html").read_text("utf-8")
