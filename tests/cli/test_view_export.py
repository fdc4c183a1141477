"""``pear-avatar view`` and ``export`` as processes: addresses, Ctrl-C, files, one-line errors."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest
import torch

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.avatar.file_format import save_avatar
from pear_avatar.body import load_body
from pear_avatar.cli.main import main
from pear_avatar.motion.write_poses import save_motion_amass
from pear_avatar.types import BodyParams, Motion
from pear_avatar.viewer.tensor_file import unpack

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def avatar_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small avatar in a result folder."""
    body = load_body()
    betas = torch.zeros(body.num_betas)
    own = personalise(body, betas, torch.zeros_like(body.v_template))
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), 800, 0)
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(800, 1)
    colors = torch.rand(800, 3, generator=torch.Generator().manual_seed(0))
    splats = SplatSet(
        torch.zeros(800, 3), quats, torch.full((800, 3), -4.0), torch.ones(800), colors
    )
    path = tmp_path_factory.mktemp("view") / "ann-avatar" / "avatar.safetensors"
    path.parent.mkdir()
    save_avatar(path, Avatar(own, binding, splats, betas, {"source": "clip.mp4"}))
    return path


@pytest.fixture(scope="module")
def dance(avatar_file: Path) -> Path:
    """Five frames of a rising arm."""
    rotations = torch.eye(3).expand(5, 55, 3, 3).clone()
    params = BodyParams(torch.zeros(100), torch.zeros(5, 52), rotations, torch.zeros(5, 3))
    path = avatar_file.parents[1] / "dance.npz"
    save_motion_amass(path, Motion(params, np.arange(5) / 20, "dance"))
    return path


@contextlib.contextmanager
def viewing(*args: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and the address it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pear_avatar", "view", "--no-browser", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_it_serves_the_printed_address_only_and_stops_at_ctrl_c(
    avatar_file: Path, dance: Path
) -> None:
    with viewing(avatar_file, "--motion", dance) as (process, url):
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/[\w-]{32}/", url)
        assert match, url
        with urllib.request.urlopen(url, timeout=30) as page:
            assert page.headers["content-type"].startswith("text/html")
            text = page.read().decode()
        for asset in re.findall(r'(?:src|href)="(\./[^"]+)"', text):
            assert urllib.request.urlopen(urljoin(url, asset), timeout=30).status == 200
        with urllib.request.urlopen(f"{url}api/session", timeout=30) as answer:
            session = json.load(answer)
        names = [motion["name"] for motion in session["avatars"][0]["motions"]]
        assert names[0] == "dance"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{match[1]}/api/session", timeout=30)
        # Only the loopback address is listened on.
        with contextlib.suppress(OSError):
            others = socket.gethostbyname_ex(socket.gethostname())[2]
            for address in (a for a in others if not a.startswith("127.")):
                with pytest.raises(OSError, match="refused"):
                    socket.create_connection((address, int(match[1])), timeout=5)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors
        assert time.monotonic() - start < 10
        assert "Traceback" not in errors


def test_a_taken_port_is_one_line(avatar_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = main(["view", str(avatar_file), "--no-browser", "--port", str(port)])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert f"port {port} is taken" in line


def test_another_address_is_warned_about(
    avatar_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["view", str(avatar_file), "--no-browser", "--host", "no.such.host.invalid"])
    warning, error = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert warning.startswith("warning: every machine that can reach")
    assert "not an address of this machine" in error


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("view", "nowhere"), "no avatar at nowhere"),
        (("view", "{avatar}", "--motion", "no.npz"), "no such motion"),
        (("view", "{avatar}", "--motion", "{avatar}"), "avatar"),
        (("view", "{avatar}", "--video", "no.mp4"), "no such video"),
        (("export", "{avatar}"), "--html FILE"),
        (("export", "{avatar}", "--ply", "a.txt"), "--ply writes .ply"),
        (("export", "nowhere", "--ply", "a.ply"), "no avatar at"),
        (("export", "{avatar}", "--ply", "a.ply", "--pose", "no.npz"), "no such motion"),
        (("export", "{avatar}", "--ply", "a.ply", "--pose", "{dance}", "--frame", "9"), "0 to 4"),
        (("export", "{avatar}", "--pmo", "a.pmo"), "--pose FILE"),
        (("export", "{avatar}", "--vrm", "a.vrm"), "--author NAME"),
        (("export", "{avatar}", "--glb", "a.glb", "--texture-size", "9000"), "16 to 8192"),
        (("export", "{avatar}", "--html", "a.html", "--with-video"), "--video FILE"),
    ],
)
def test_mistakes_are_one_line(
    args: tuple[str, ...],
    told: str,
    avatar_file: Path,
    dance: Path,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main([a.format(avatar=avatar_file, dance=dance) for a in args])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert told in line
    assert not list(tmp_path.iterdir())


def test_one_page_with_everything_in_it(avatar_file: Path, dance: Path, tmp_path: Path) -> None:
    out = tmp_path / "ann.html"
    assert main(["export", str(avatar_file), "--html", str(out), "--motion", str(dance)]) == 0
    text = out.read_text("utf-8")
    assert "<!--pear:data-->" not in text
    session = json.loads(
        re.search(r'<script type="application/json" id="pear-session">(.*?)</script>', text)[1]  # type: ignore[index]
    )
    (avatar,) = session["avatars"]
    urls = [avatar["payload"], *(motion["url"] for motion in avatar["motions"])]
    for url in urls:
        kind, _, element = url.partition(":")
        assert kind == "embedded"
        assert f'id="{element}" data-encoding="gzip">' in text
    # Nothing is fetched from anywhere, and the page's own policy sees to it.
    page = re.sub(r">[A-Za-z0-9+/=]{200,}<", "><", text)
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//[^"'\s>]+""", page)
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert not re.search(r"https?:|\*", policy[1])
    assert out.stat().st_size < 5e6


def test_a_frame_for_other_programs(avatar_file: Path, dance: Path, tmp_path: Path) -> None:
    names = {"ply": "a.ply", "spz": "a.spz", "gltf": "splats.glb", "pmo": "a.pmo"}
    options = [x for kind, name in names.items() for x in (f"--{kind}", str(tmp_path / name))]
    code = main(["export", str(avatar_file), *options, "--pose", str(dance), "--frame", "-1"])
    assert code == 0
    assert (tmp_path / "a.ply").read_bytes().startswith(b"ply\n")
    assert b"element vertex 800\n" in (tmp_path / "a.ply").read_bytes()[:300]
    assert (tmp_path / "a.spz").read_bytes()[:2] == b"\x1f\x8b"
    assert (tmp_path / "splats.glb").read_bytes()[:4] == b"glTF"
    tensors, meta = unpack((tmp_path / "a.pmo").read_bytes())
    assert (meta["name"], len(tensors["time"])) == ("dance", 5)
