"""How right the tracked pose is along the line of sight: joints, tilt of the camera, lean, knees.

Synthetic people have their truth; real ones are triangulated from every calibrated view that
``multiview/`` of the shared footage holds. Figures are of the tracker, before the joint fit.
With ``--against DIR`` another checkout tracks the same detections in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from benchmarks._depth_people import SCENES, film_scene
from benchmarks._depth_track import read_detections
from benchmarks._footage import DATA
from benchmarks.framework import Options, Result
from pear_avatar.body import load_body
from pear_avatar.perception.clip import detect_landmarks
from pear_avatar.tracking.calibration import load_camera

_MODULE = Path(__file__).resolve()
#: filmed and detected once, kept for the next run; PEAR_AVATAR_BENCH_CACHE names another place
_CACHE = Path(
    os.environ.get("PEAR_AVATAR_BENCH_CACHE", Path(tempfile.gettempdir()) / "pear-avatar-depth")
)
_FRAMES = 50
#: shoulders, elbows, wrists, hips, knees, ankles of the pose landmarks
LIMBS = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
#: the same of the body's joints
_JOINTS = (16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8)


@dataclass(frozen=True)
class Case:
    """One track to make: detections, the camera it may know, and the truth.

    limbs: (N, 12, 3) world metres in the order of :data:`LIMBS`; T_camera_world (4, 4), z or y
    up by ``up`` (3,); joints: whether limbs are joints or pose landmarks.
    """

    name: str
    detections: Path
    camera: tuple[list[list[float]], list[list[float]], tuple[int, int]] | None
    limbs: np.ndarray
    T_camera_world: np.ndarray
    joints: bool


@dataclass(frozen=True)
class Figures:
    """Means over the trusted frames of one track.

    error, along, across: mm over twelve limb joints, hips aligned: whole, along the line of
    sight, across it. tilt: degrees of the up direction. lean: degrees of the line from ankles to
    shoulders against the truth's, each in its own world. knees: degrees.
    """

    error: float
    along: float
    across: float
    tilt: float
    lean: float
    knees: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The workload's own options."""
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="another checkout, tracked in the same run"
    )


def run(options: Options) -> list[Result]:
    """Track every case, with the other tree too where one is named."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    cases = synthetic_cases(options.quick) + multiview_cases()
    trees = {"this tree": _MODULE.parents[1]}
    against: Path | None = getattr(options.own, "against", None)
    if against is not None:
        trees["other tree"] = against.resolve()
    figures = {name: track_with(tree, cases, options.threads) for name, tree in trees.items()}
    return [row for case in cases for row in _rows(case.name, figures)]


def _rows(name: str, figures: Mapping[str, Mapping[str, Figures]]) -> list[Result]:
    mine = figures["this tree"][name]
    units = {"error": "mm", "along": "mm", "across": "mm"}
    rows = []
    for field in fields(Figures):
        value, unit = getattr(mine, field.name), units.get(field.name, "degrees")
        if not np.isfinite(value):
            continue
        label = f"{name}: {field.name}"
        if "other tree" in figures:
            other = getattr(figures["other tree"][name], field.name)
            rows.append(Result.versus(label, value, unit, "lower", "other tree", peer_value=other))
        else:
            rows.append(Result(label, value, unit, "lower"))
    return rows


def synthetic_cases(quick: bool) -> list[Case]:
    """The filmed scenes, cameras unknown; of a quick run the first two."""
    body = load_body()
    cases = []
    for scene in SCENES[:2] if quick else SCENES:
        found, truth_path = film_scene(body, scene, _CACHE)
        with np.load(truth_path, allow_pickle=False) as truth:
            limbs, T = truth["joints"][:, list(_JOINTS)], truth["T_camera_world"]
        cases.append(Case(scene.name, found, None, limbs, T, True))
    return cases


def multiview_cases() -> list[Case]:
    """cam01 and cam03 with and without their calibration, where the footage is at hand."""
    folder = DATA / "multiview"
    calibration = folder / "cameras_opencv.json"
    if not calibration.is_file():
        return []
    names = sorted(p.stem for p in folder.glob("cam*.mp4"))
    cameras = {name: load_camera(calibration, name) for name in names}
    paths = {name: _detected(folder / f"{name}.mp4") for name in names}
    pixels = [read_detections(paths[n]).pose_px[:, list(LIMBS)] for n in names]
    projections = [(cameras[n].K @ cameras[n].T_camera_world[:3]).double().numpy() for n in names]
    limbs = triangulate(projections, pixels)
    cases = []
    for name in names:
        camera = cameras[name]
        T = camera.T_camera_world
        known = (camera.K.tolist(), T.tolist(), (camera.width, camera.height))
        for label, given in (("calibrated", known), ("uncalibrated", None)):
            case = Case(f"{name} {label}", paths[name], given, limbs, T.numpy(), False)
            cases.append(case)
    return cases


def _detected(video: Path) -> Path:
    """Detections of evenly spread frames of a clip, kept."""
    path = _CACHE / f"{video.stem}-{_FRAMES}.npz"
    if not path.is_file():
        found = detect_landmarks(video, max_frames=_FRAMES)
        np.savez(path, **{f.name: np.asarray(getattr(found, f.name)) for f in fields(found)})
    return path


def triangulate(projections: list[np.ndarray], pixels: list[np.ndarray]) -> np.ndarray:
    """(N, L, 3) metres: each point from its (N, L, 2) pixels in all views (linear)."""
    rows = []
    for P, uv in zip(projections, pixels, strict=True):
        rows += [uv[..., :1] * P[2] - P[0], uv[..., 1:] * P[2] - P[1]]
    _, _, Vt = np.linalg.svd(np.stack(rows, axis=-2).astype(np.float64))
    point = Vt[..., -1, :]
    return point[..., :3] / point[..., 3:]


def track_with(tree: Path, cases: list[Case], threads: int | None) -> dict[str, Figures]:
    """Figures of every case, tracked by a checkout in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{i}.npz" for i in range(len(cases))]
        jobs = [
            {"detections": str(case.detections), "camera": case.camera, "out": str(out)}
            for case, out in zip(cases, outs, strict=True)
        ]
        listed = Path(folder) / "jobs.json"
        listed.write_text(json.dumps(jobs), "utf-8")
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads or 1)}
        script = str(_MODULE.with_name("_depth_track.py"))
        # Run as a file, its folder would come first on the path and hide other packages.
        call = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
        command = [sys.executable, "-c", call, script, str(listed)]
        subprocess.run(command, check=True, env=environment, cwd=tree)
        return {case.name: judge(case, out) for case, out in zip(cases, outs, strict=True)}


def judge(case: Case, out: Path) -> Figures:
    """A track's file beside the truth."""
    with np.load(out, allow_pickle=False) as found:
        points = found["joints"][:, list(_JOINTS)] if case.joints else found["landmarks"]
        points = points if case.joints else points[:, list(LIMBS)]
        T_found, trusted = found["T_camera_world"], found["trusted"]
    T_true = np.broadcast_to(case.T_camera_world, T_found.shape)
    mine, true = _in_camera(points, T_found), _in_camera(case.limbs, T_true)
    apart = (mine - _hips(mine) - true + _hips(true))[trusted]
    body_lines = [
        _level(_upright_line(x), T)[trusted] for x, T in ((mine, T_found), (true, T_true))
    ]
    knees = [_knees(x)[trusted] for x in (mine, true)]
    # A person who lifts a knee or sits has no straight line from ankles to shoulders.
    up = _angle(T_found[trusted, :3, 1], T_true[trusted, :3, 1])
    return Figures(
        error=1e3 * float(np.linalg.norm(apart, axis=-1).mean()),
        along=1e3 * float(np.abs(apart[..., 2]).mean()),
        across=1e3 * float(np.linalg.norm(apart[..., :2], axis=-1).mean()),
        tilt=float(up.mean()),
        lean=float(_angle(*body_lines).mean()),
        knees=float(np.abs(knees[0] - knees[1]).mean()),
    )


def _in_camera(points: np.ndarray, T: np.ndarray) -> np.ndarray:
    moved: np.ndarray = points @ T[:, :3, :3].transpose(0, 2, 1) + T[:, None, :3, 3]
    return moved


def _hips(points: np.ndarray) -> np.ndarray:
    middle: np.ndarray = points[:, 6:8].mean(1, keepdims=True)
    return middle


def _upright_line(points: np.ndarray) -> np.ndarray:
    """(N, 3) from the middle of the ankles to that of the shoulders."""
    line: np.ndarray = points[:, 0:2].mean(1) - points[:, 10:12].mean(1)
    return line


def _level(v: np.ndarray, T: np.ndarray) -> np.ndarray:
    """(N, 3) camera vectors in axes that the world's up and the camera's heading make."""
    up = T[:, :3, 1] / np.linalg.norm(T[:, :3, 1], axis=-1, keepdims=True)
    forward = np.array([0.0, 0.0, 1.0]) - up[:, 2:] * up
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    axes = np.stack([np.cross(up, forward), up, forward], axis=1)
    turned: np.ndarray = (axes @ v[..., None])[..., 0]
    return turned


def _knees(points: np.ndarray) -> np.ndarray:
    """(N, 2) bend in degrees, 0 where straight."""
    hip, knee, ankle = points[:, 6:8], points[:, 8:10], points[:, 10:12]
    return _angle(knee - hip, ankle - knee)


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cosine = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    angle: np.ndarray = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return angle
