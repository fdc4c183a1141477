"""The viewer in a browser: does it pose and draw as Python does, and how fast beside a peer.

Chromium draws with software WebGL here, so the figures are a processor's; the peer, Spark
(three.js), draws the same splats in the same run with the same flags. Needs Node, the packages of
viewer/ and a Chromium: `make viewer-tools` gets them where it can.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.framework import Direction, Options, Result
from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.avatar.file_format import save_avatar
from pear_avatar.body import load_body
from pear_avatar.commands.export import export_html
from pear_avatar.geometry.cameras import orbit_cameras
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.types import BodyParams, Camera
from pear_avatar.viewer.motions import BUILTIN_MOTIONS, builtin_motion
from pear_avatar.viewer.payload import avatar_payload, motion_payload

VIEWER = Path(__file__).parents[1] / "viewer"
_SIZES = (30_000, 100_000)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_REMEDY = "`make viewer-tools` gets what it can"


def missing_tool() -> str | None:
    """Why no browser can be driven here; None where everything is there."""
    if shutil.which("node") is None:
        return f"Node is not installed, so no browser is driven ({_REMEDY})"
    if not (VIEWER / "node_modules" / "playwright-core").is_dir():
        return f"viewer/node_modules is missing: run npm ci in viewer/ ({_REMEDY})"
    if not os.environ.get("PEAR_AVATAR_CHROMIUM") and not any(map(shutil.which, _BROWSERS)):
        return f"no Chromium was found; name one in PEAR_AVATAR_CHROMIUM ({_REMEDY})"
    return None


def run(options: Options) -> list[Result]:
    """Parity, then speed; ``options.quick`` leaves the large avatar out."""
    if reason := missing_tool():
        print(f"skipped: {reason}", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="pear-avatar-bench-") as folder:
        sizes = _SIZES[:1] if options.quick else _SIZES
        avatars = {count: painted_person(count) for count in sizes}
        return [
            *_parity(avatars[sizes[0]], Path(folder)),
            *_speed(avatars, Path(folder), seconds=3 if options.quick else 8),
        ]


def painted_person(num_splats: int) -> Avatar:
    """The open body under splats of the density, sizes and opacities that a fit ends with."""
    body = load_body()
    betas = torch.zeros(body.num_betas)
    own = personalise(body, betas, torch.zeros_like(body.v_template))
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), num_splats, 0)
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    flat = torch.tensor([-0.3, -0.3, -1.4])
    place = binding.rest_points(own.v_template)
    splats = SplatSet(
        0.003 * noise(num_splats, 3),
        torch.tensor([1.0, 0.0, 0.0, 0.0]) + 0.15 * noise(num_splats, 4),
        binding.spacing[:, None].log() + flat + 0.2 * noise(num_splats, 3),
        3.0 + noise(num_splats),
        (0.5 + 0.4 * torch.sin(9 * place + torch.tensor([0.0, 2.0, 4.0]))).clamp(0, 1),
    )
    return Avatar(own, binding, splats, betas)


def _parity(avatar: Avatar, folder: Path) -> list[Result]:
    """The exported page's vertices and pixels against float64 and the C++ rasteriser."""
    save_avatar(folder / "avatar.safetensors", avatar)
    page = export_html(folder / "avatar.safetensors", folder / "page.html")
    poses = _poses(avatar)
    config = {
        "url": page.as_uri(),
        "out": str(folder / "parity"),
        "poses": [_message(params, camera) for params, camera in poses],
    }
    (folder / "parity.json").write_text(json.dumps(config), "utf-8")
    _node("e2e/parity.mjs", folder / "parity.json")
    gaps, psnrs = [], []
    for i, (params, camera) in enumerate(poses):
        gaps.append(_vertex_gap(avatar, params, folder / "parity" / f"vertices_{i}.f32"))
        psnrs.append(_psnr(avatar, params, camera, folder / "parity" / f"render_{i}.rgba"))
    label = f"{avatar.num_splats // 1000}k splats"
    return [
        Result("posed vertices, worst distance to float64", max(gaps) * 1e3, "mm", "lower"),
        Result(f"pixels beside the C++ rasteriser {label}", min(psnrs), "dB", "higher"),
        Result(f"exported page {label}", page.stat().st_size / 1e6, "MB", "lower"),
    ]


def _poses(avatar: Avatar) -> list[tuple[BodyParams, Camera]]:
    """The middle of each built-in motion, from all round."""
    found = []
    for i, builtin in enumerate(BUILTIN_MOTIONS):
        motion = builtin_motion(avatar, builtin)
        azimuth = torch.tensor([2 * math.pi * i / len(BUILTIN_MOTIONS) + 0.3])
        target = torch.tensor([0.0, 0.9, 0.0])
        camera = orbit_cameras(
            target, 3.0, azimuth, focal=900.0, width=512, height=640, elevation=0.1
        )[0]
        found.append((motion.params[builtin.frames * 2 // 5], camera))
    return found


def _vertex_gap(avatar: Avatar, params: BodyParams, path: Path) -> float:
    body = avatar.body.to(dtype=torch.float64)
    shaped = body.shape(None, params.expression.double())
    exact = shaped.pose(params.rotations.double(), params.transl.double()).vertices().numpy()
    drawn = np.fromfile(path, np.float32).reshape(-1, 3)
    return float(np.linalg.norm(drawn - exact, axis=1).max())


def _psnr(avatar: Avatar, params: BodyParams, camera: Camera, path: Path) -> float:
    """Over white, wherever either picture shows the person."""
    with torch.no_grad():
        out = avatar.gaussians(params).render(camera)
    expected = (out.color + 1 - out.alpha).numpy()
    raw = np.fromfile(path, np.uint8).reshape(camera.height, camera.width, 4) / 255
    drawn = raw[..., :3] * raw[..., 3:] + 1 - raw[..., 3:]
    covered = (out.alpha[..., 0].numpy() > 0.5) | (raw[..., 3] > 0.5)
    return float(-10 * np.log10(np.square(drawn - expected)[covered].mean()))


def _message(params: BodyParams, camera: Camera) -> dict[str, Any]:
    K = camera.K.double()
    return {
        "rotations": matrix_to_quat_wxyz(params.rotations.double()).flatten().tolist(),
        "transl": params.transl.tolist(),
        "expression": params.expression.tolist(),
        "camera": {
            "fx": float(K[0, 0]),
            "fy": float(K[1, 1]),
            "cx": float(K[0, 2]),
            "cy": float(K[1, 2]),
            "width": camera.width,
            "height": camera.height,
            "background": None,
            "T": camera.T_camera_world[:3].flatten().tolist(),
        },
    }


def _speed(avatars: dict[int, Avatar], folder: Path, seconds: int) -> list[Result]:
    """Frames a second of the moving avatar beside the peer's, as `npm run bench` measures them."""
    arguments = []
    for count, avatar in avatars.items():
        path = folder / f"{count // 1000}k.pav"
        path.write_bytes(avatar_payload(avatar, f"{count // 1000}k"))
        arguments += ["--avatar", str(path)]
    walk = builtin_motion(next(iter(avatars.values())), BUILTIN_MOTIONS[2])
    (folder / "walk.pmo").write_bytes(motion_payload(walk, "walk"))
    out = folder / "speed.json"
    arguments += ["--motion", str(folder / "walk.pmo"), "--json", str(out)]
    _node("bench/bench.mjs", *arguments, "--seconds", str(seconds))
    results = []
    for row in json.loads(out.read_text("utf-8")):
        better: Direction = "lower" if row["unit"] == "ms" else "higher"
        name, value, unit = row["name"], float(row["value"]), row["unit"]
        if row.get("peer_value") is None:
            results.append(Result(name, value, unit, better, row.get("peer")))
        else:
            peer = float(row["peer_value"])
            results.append(Result.versus(name, value, unit, better, row["peer"], peer_value=peer))
    return results


def _node(script: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        ["node", script, *map(str, arguments)],
        cwd=VIEWER,
        capture_output=True,
        text=True,
        timeout=900,
    )
    if done.returncode:
        raise RuntimeError(f"{script} failed: {done.stderr[-3000:] or done.stdout[-3000:]}")
