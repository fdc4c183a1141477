"""Runs of the browser scenarios: on whom, with what, and once for all workers of a test run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from footage import DATA
import pytest
import torch
from viewer_people import WALK_BVH, make_motion, make_person, save_person

from pear_avatar.avatar.file_format import load_avatar
from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.rendering.camera_paths import resized_path
from pear_avatar.motion.write_poses import save_motion_amass
from pear_avatar.motion.track_file import load_track
from pear_avatar.io.video import probe_video
from pear_avatar.geometry.cameras import orbit_cameras
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.types import BodyParams, Camera, Track
from pear_avatar.viewer.payload import motion_payload

ROOT = Path(__file__).parents[2]
VIEWER = ROOT / "viewer"
REAL_CLIP = DATA / "video" / "upper_hands_plaid_want.mkv"

#: Settings of a fit that takes half a minute: few frames, few splats, coarse pictures.
QUICK_FIT = (
    "fitting.num_splats=12000", "fitting.crop_size=256", "fitting.silhouette_steps=200",
    "fitting.joint_steps=300", "fitting.refit_frames=1", "output.preview=false",
    "output.overlay=false",
)
_PICTURE = 360
_SECONDS = 900


@dataclass(frozen=True)
class Subject:
    """An avatar to look at: its result folder, its input video, and whether a real clip."""

    folder: Path
    video: Path
    real: bool

    @property
    def avatar(self) -> Avatar:
        return load_avatar(self.folder / "avatar.safetensors")

    @property
    def track(self) -> Track:
        return load_track(self.folder / "track.npz")


@dataclass(frozen=True)
class Pose:
    """One frame for comparison: what is posed, and the camera that sees it."""

    params: BodyParams
    camera: Camera


def once(base: Path, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first worker fills while the others wait for it.

    ``base`` is shared by all workers of one test run. Where making it failed, every worker fails.
    """
    folder = base / name
    done, failed = base / f"{name}.done", base / f"{name}.failed"
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        deadline = time.monotonic() + 2 * _SECONDS
        while not done.exists() and time.monotonic() < deadline:
            if failed.exists():
                pytest.fail(f"{name}: {failed.read_text('utf-8')}")
            time.sleep(0.3)
        if not done.exists():
            pytest.fail(f"{name} took too long in another worker")
        return folder
    try:
        make(folder)
    except BaseException as error:
        failed.write_text(str(error)[-4000:], "utf-8")
        raise
    done.touch()
    return folder


def make_subject(folder: Path) -> None:
    """Fit the real clip where it is there; otherwise save the hand-made person."""
    if not REAL_CLIP.is_file():
        save_person(folder / "person-avatar", make_person(12000), num_frames=12)
        return
    options = ["-o", folder / "person-avatar", "--preset", "fast"]
    options += ["--max-frames", "16", "--threads", "1"]
    settings = [x for setting in QUICK_FIT for x in ("--set", setting)]
    command("fit", REAL_CLIP, *options, *settings)


def subject_in(folder: Path) -> Subject:
    """What :func:`make_subject` left."""
    result = folder / "person-avatar"
    own = result / "clip.mp4"
    return Subject(result, own if own.is_file() else REAL_CLIP, not own.is_file())


def command(*args: str | Path) -> str:
    """Run ``pear-avatar`` to its end; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "pear_avatar", *map(str, args)],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, f"pear-avatar {args[0]}: {done.stderr[-3000:]}"
    return done.stdout


@contextlib.contextmanager
def viewing(*args: str | Path) -> Iterator[str]:
    """The address of a running ``pear-avatar view``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pear_avatar", "view", "--no-browser", *map(str, args)],
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, "the server did not start"
        yield url
    finally:
        process.kill()
        process.wait()


def run_node(script: str, config: dict[str, Any], folder: Path) -> str:
    """Run one of the scenarios; its log. Failed steps are told by its report, not here."""
    path = folder / "config.json"
    path.write_text(json.dumps(config), "utf-8")
    log_file = folder / f"{script}.log"
    with log_file.open("w") as log:
        subprocess.run(
            ["node", f"e2e/{script}", str(path)],
            cwd=VIEWER,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
    return log_file.read_text("utf-8")


def scenario_config(
    url: str, kind: str, subject: Subject, folder: Path, scratch: Path
) -> dict[str, Any]:
    """All that ``viewer/e2e/scenario.mjs`` needs; the files to drop are made in ``scratch``."""
    track, avatar = subject.track, subject.avatar
    times = track.motion.time
    drop, refuse = _files_to_drop(avatar, scratch, kind)
    return {
        "url": url,
        "kind": kind,
        "out": str(folder),
        "drop": [str(path) for path in drop],
        "refuse": [str(path) for path in refuse],
        "poses": [_pose_message(pose) for pose in poses_of(subject)],
        "faceCamera": _camera_message(_face_camera(avatar, track.motion.params[0])),
        "motion": {"frames": track.motion.params.num_frames, "video": True},
        "videoStep": 1 / probe_video(subject.video).fps,
        "motionStep": float(max(b - a for a, b in pairwise(times))),
    }


def poses_of(subject: Subject) -> list[Pose]:
    """Frames of the clip in its own camera, and one seen from the side."""
    track = subject.track
    params = track.motion.params
    scale = _PICTURE / max(track.camera.width, track.camera.height)
    size = round(track.camera.width * scale), round(track.camera.height * scale)
    cameras = resized_path(track.camera, *size)
    last = params.num_frames - 1
    middle = subject.avatar.body.shape(None).pose(params.rotations[0], params.transl[0]).joints
    side = orbit_cameras(
        middle[JOINT_INDEX["spine2"]], 2.6, torch.tensor([1.1]), focal=420.0,
        width=300, height=_PICTURE, elevation=0.2,
    )[0]
    return [
        Pose(params[0], cameras[0]),
        Pose(params[last // 2], cameras[last // 2]),
        Pose(params[last], side),
    ]


def _files_to_drop(avatar: Avatar, scratch: Path, kind: str) -> tuple[list[Path], list[Path]]:
    """Motions that the page takes, and files that it refuses with a message."""
    scratch.mkdir(parents=True, exist_ok=True)
    motion = make_motion(avatar, 6)
    (scratch / "wave.pmo").write_bytes(motion_payload(motion, "wave"))
    save_motion_amass(scratch / "dance.npz", motion)
    (scratch / "walk.bvh").write_text(WALK_BVH, "utf-8")
    (scratch / "broken.pmo").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    (scratch / "broken.npz").write_bytes(b"no")
    (scratch / "letter.txt").write_text("hello", "utf-8")
    taken = ["wave.pmo", "dance.npz", "walk.bvh"] if kind == "server" else ["wave.pmo"]
    refused = ["broken.pmo", "broken.npz", "letter.txt"]
    return [scratch / name for name in taken], [scratch / name for name in refused]


def _face_camera(avatar: Avatar, params: BodyParams) -> Camera:
    """The face fills the picture: half the distance between eyes and neck is enough air."""
    posed = avatar.body.shape(None).pose(params.rotations, params.transl)
    eyes = posed.joints[[JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]].mean(0)
    forward = params.rotations[0, :, 2]
    azimuth = torch.atan2(forward[0], forward[2])[None]
    target = eyes - torch.tensor([0.0, 0.03, 0.0])
    return orbit_cameras(target, 0.9, azimuth, focal=900.0, width=256, height=256)[0]


def _pose_message(pose: Pose) -> dict[str, Any]:
    return {
        "rotations": matrix_to_quat_wxyz(pose.params.rotations.double()).flatten().tolist(),
        "transl": pose.params.transl.tolist(),
        "expression": pose.params.expression.tolist(),
        "camera": _camera_message(pose.camera),
    }


def _camera_message(camera: Camera) -> dict[str, Any]:
    K, T = camera.K.double(), camera.T_camera_world.double()
    return {
        "fx": float(K[0, 0]), "fy": float(K[1, 1]), "cx": float(K[0, 2]), "cy": float(K[1, 2]),
        "width": camera.width, "height": camera.height, "T": T[:3].flatten().tolist(),
        "background": None,
    }


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
