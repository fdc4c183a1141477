"""A real browser whose camera is a clip: the avatar follows, and nothing leaves the page."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from browser_runs import run_node
from footage import DATA

from benchmarks.viewer import missing_tool
from pear_avatar.commands.export import export_web
from pear_avatar.geometry.rotations import quat_wxyz_to_matrix
from pear_avatar.io.video import read_frames
from pear_avatar.perception.assemble import judged_detections
from pear_avatar.perception.detectors import load_detectors
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.raw import raw_frame, stack_frames
from pear_avatar.recovery.lifter.lifter import Lifter
from pear_avatar.viewer.live_files import live_files

CLIP = DATA / "video" / "upper_wave_motionblur.mp4"
WIDTH, HEIGHT = 640, 480
SECONDS, SAMPLES = 20, 12


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test's output stays its own."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, person_file: Path) -> Iterator[str]:
    """The exported folder behind a plain static server."""
    folder = tmp_path_factory.mktemp("web") / "site"
    export_web(person_file, folder)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join(10)


@pytest.fixture(scope="module")
def seen(site: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the browser saw and recovered."""
    if reason := missing_tool():
        pytest.skip(reason)
    if not CLIP.is_file():
        pytest.skip(f"footage is missing: {CLIP}")
    folder = tmp_path_factory.mktemp("live")
    _camera_clip(CLIP, folder / "clip.mjpeg")
    config = {"url": site, "clip": str(folder / "clip.mjpeg"), "seconds": SECONDS, "samples": SAMPLES, "out": str(folder)}
    said = run_node("live.mjs", config, folder)
    result: dict[str, Any] = json.loads((folder / "live.json").read_text("utf-8"))
    assert result["ok"], said
    return result


def _camera_clip(footage: Path, out: Path) -> None:
    """Every second frame, cropped to the camera's shape, as a file of JPEGs."""
    with out.open("wb") as file:
        for _, _, rgb in read_frames(footage, max_frames=60):
            scale = max(WIDTH / rgb.shape[1], HEIGHT / rgb.shape[0])
            size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
            x, y = (size[0] - WIDTH) // 2, (size[1] - HEIGHT) // 2
            cropped = rgb[y : y + HEIGHT, x : x + WIDTH, ::-1]
            file.write(cv2.imencode(".jpg", cropped, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())


def test_joints_are_those_that_python_recovers(seen: dict[str, Any]) -> None:
    """From the very same pictures, within 15 mm in the median, about the pelvis."""
    lifter, detector = Lifter.load(), load_detectors().person(True)
    shaped = lifter.body.shape(None)
    apart = []
    for found in seen["found"]:
        if found is None or found["rotations"] is None:
            continue
        png = np.frombuffer(base64.b64decode(found["picture"]), np.uint8)
        rgb = np.ascontiguousarray(cv2.imdecode(png, cv2.IMREAD_COLOR)[..., ::-1])
        # Both follow the person: the pictures lie apart, so each is seen until that has settled.
        detected = [detector.detect(rgb) for _ in range(3)][-1]
        if detected.pose is None:
            continue
        clip = judged_detections(JudgedClip(stack_frames([raw_frame(0, 0.0, rgb, detected)])))
        own = lifter.lift(clip).params[0].rotations
        pages = quat_wxyz_to_matrix(torch.tensor(found["rotations"]).reshape(55, 4))
        joints = [shaped.pose(R, torch.zeros(3)).joints[:22] for R in (own, pages)]
        apart.append((joints[0] - joints[1]).norm(dim=-1))
    detector.close()
    assert len(apart) >= SAMPLES // 2
    median = 1000 * float(torch.stack(apart).median())
    assert median < 15, f"{median:.1f} mm"


def test_the_page_stays_responsive_and_small(seen: dict[str, Any]) -> None:
    """Gaps of the main thread below 50 ms at the 95th percentile; no growth of memory."""
    assert seen["gaps"]["0.95"] < 50, seen["gaps"]
    heap = np.array(seen["heap"], float)
    half = len(heap) // 2
    assert heap[half:].min() < heap[:half].max() + 12e6


def test_no_foreign_address_is_asked_for_or_named(seen: dict[str, Any], site: str) -> None:
    """Requests were checked in the browser; the detector's program names no host it could ask."""
    assert any(url.endswith("/live/vision.wasm") for url in seen["requests"])
    loader = live_files(bytes).files["vision.js"].read_text("utf-8")
    code = re.sub(r"/\*.*?\*/|^\s*//.*$", "", loader, flags=re.S | re.M)
    assert not re.findall(r"""["'`]https?://[^"'`\s]+""", code)
