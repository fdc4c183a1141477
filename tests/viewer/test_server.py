"""What the server gives, and what it refuses."""

from __future__ import annotations

import gzip
import io
import json
import logging
import pickle
import random
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from live_server import PAGES, TOKEN, LiveServer, running
from PIL import Image
from viewer_people import WALK_BVH

from pear_avatar.commands.avatar_library import open_library
from pear_avatar.viewer import app as app_module
from pear_avatar.viewer.app import read_pages
from pear_avatar.viewer.guard import HostPolicy
from pear_avatar.viewer.library import Lazy
from pear_avatar.viewer.server import host_policy, is_loopback, page_url
from pear_avatar.viewer.tensor_file import unpack


@pytest.fixture(scope="module")
def server(person_file: Path) -> Iterator[LiveServer]:
    with running(open_library(person_file.parent)) as live:
        yield live


def npz_bytes(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


# --- what it gives -----------------------------------------------------------------------------


def test_the_session_lists_what_can_be_fetched(server: LiveServer) -> None:
    session = server.get("api/session").json
    (avatar,) = session["avatars"]
    assert session["kind"] == "server"
    assert avatar["name"] == "ann"
    assert avatar["splats"] == 6000
    assert avatar["motions"][0]["has_camera"]
    assert avatar["video"]["frames"] == 12
    for url in (avatar["payload"], avatar["thumbnail"], avatar["video"]["url"]):
        assert server.get(url).status == 200
    assert [m["id"] for m in avatar["motions"]] == ["clip", "idle", "wave", "walk", "faces"]
    for motion in avatar["motions"]:
        tensors, meta = unpack(server.get(motion["url"]).body)
        assert len(tensors["time"]) == motion["frames"]
        assert meta["fps"] == pytest.approx(motion["fps"], rel=1e-3)


def test_files_come_compressed_where_the_browser_takes_it(server: LiveServer) -> None:
    plain = server.get("api/avatar/ann/payload")
    small = server.get("api/avatar/ann/payload", Accept_Encoding="br, gzip")
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(small.body) == plain.body
    assert int(small.headers["x-uncompressed-length"]) == len(plain.body)
    assert "content-encoding" not in plain.headers


def test_the_video_is_served_in_ranges(server: LiveServer, person_file: Path) -> None:
    whole = (person_file.parent / "clip.mp4").read_bytes()
    answer = server.get("api/avatar/ann/video", Range="bytes=100-299")
    assert answer.status == 206
    assert answer.headers["content-range"] == f"bytes 100-299/{len(whole)}"
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.body == whole[100:300]
    assert server.get("api/avatar/ann/video", Range="bytes=99999999-").status == 416


def test_the_portrait_is_a_picture_with_alpha(server: LiveServer) -> None:
    answer = server.get("api/avatar/ann/thumbnail")
    picture = Image.open(io.BytesIO(answer.body))
    assert answer.headers["content-type"] == "image/webp"
    assert (picture.format, picture.mode, picture.size) == ("WEBP", "RGBA", (360, 480))
    alpha = np.asarray(picture)[..., 3]
    assert 0.15 < (alpha > 128).mean() < 0.8
    assert (alpha[0] == 0).all()


def test_pages_have_their_types(server: LiveServer) -> None:
    kinds = {
        "": "text/html; charset=utf-8",
        "assets/app.js": "text/javascript; charset=utf-8",
        "assets/kernel.wasm": "application/wasm",
    }
    for path, kind in kinds.items():
        answer = server.get(path)
        assert (answer.status, answer.headers["content-type"]) == (200, kind)


def test_every_answer_is_locked_down(server: LiveServer) -> None:
    answers = [
        server.get(""),
        server.get("api/session"),
        server.get("api/avatar/ann/payload"),
        server.get("api/avatar/nobody/payload"),
        server.get("api/avatar/ann/video"),
        server.ask("GET / HTTP/1.1"),
        server.ask("GET /wrong/ HTTP/1.1"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")
        assert "*" not in policy
        assert "worker-src 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers


# --- tokens, hosts, origins --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/session",
        "/index.html",
        "/assets/app.js",
        "//api/session",
        f"/{TOKEN[:-1]}/api/session",
        f"/{TOKEN}x/api/session",
        f"/{TOKEN.upper()}/api/session",
        f"/api/session?token={TOKEN}",
        f"/x/{TOKEN}/api/session",
        "/%00/api/session",
        "/../api/session",
        "/é/api/session",
        "/" + "a" * 5000,
    ],
)
def test_without_the_token_nothing_is_told(server: LiveServer, path: str) -> None:
    answer = server.ask(f"GET {path} HTTP/1.1")
    assert answer.status in (400, 403)  # 400: not even a URL
    assert b"ann" not in answer.body


def test_the_bare_address_says_what_is_missing(server: LiveServer) -> None:
    answer = server.ask("GET / HTTP/1.1")
    assert answer.status == 403
    assert b"pear-avatar view" in answer.body


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port}.evil.example",
        "127.0.0.1.evil.example:{port}",
        "10.0.0.1:{port}",
        "",
        "127.0.0.1:{port}, evil.example",
        "[::1",
    ],
)
def test_another_host_name_is_refused(server: LiveServer, host: str) -> None:
    headers = {"Host": host.format(port=server.port)}
    answer = server.ask(f"GET /{TOKEN}/api/session HTTP/1.1", headers)
    assert answer.status in (400, 403)
    assert b"ann" not in answer.body


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}"])
def test_our_own_names_are_answered(server: LiveServer, host: str) -> None:
    headers = {"Host": host.format(port=server.port)}
    assert server.ask(f"GET /{TOKEN}/api/session HTTP/1.1", headers).status == 200


def test_which_hosts_a_server_for_everybody_answers() -> None:
    policy = host_policy("0.0.0.0", 8000)
    assert policy.allows("192.168.1.7:8000")
    assert policy.allows("[fe80::1]:8000")
    assert policy.allows("localhost:8000")
    assert not policy.allows("evil.example:8000")
    assert not policy.allows("192.168.1.7:8001")
    assert HostPolicy(frozenset({"localhost"}), False, 80).allows("localhost")


def test_addresses() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")
    assert page_url("0.0.0.0", 80, "t") == "http://127.0.0.1:80/t/"
    assert page_url("::1", 80, "t") == "http://[::1]:80/t/"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_pages_are_not_answered(server: LiveServer, headers: dict[str, str]) -> None:
    assert server.get("api/session", **headers).status == 403
    assert server.post("api/convert-motion?name=a.npz", b"x", **headers).status == 403


def test_a_websocket_is_not_opened(server: LiveServer) -> None:
    answer = server.get(
        "api/session", Connection="Upgrade, close", Upgrade="websocket", Sec_WebSocket_Version="13"
    )
    assert answer.status != 101


def test_a_forgotten_slash_is_put_right(server: LiveServer) -> None:
    answer = server.ask(f"GET /{TOKEN} HTTP/1.1")
    assert (answer.status, answer.headers["location"]) == (307, f"/{TOKEN}/")
    assert server.ask(f"GET /{TOKEN}?x=1 HTTP/1.1").status == 307
    assert server.ask(f"GET /{TOKEN[:-1]} HTTP/1.1").status == 403


# --- paths --------------------------------------------------------------------------------------

_SECRETS = [
    "..", "../", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd",
    "assets/../../secret", "assets/..%5c..%5csecret", "assets/%00", "%00", "assets/app.js%00.png",
    "/etc/passwd", "//etc/passwd", "assets//app.js", "assets/app.js/", "ASSETS/APP.JS",
    "api/avatar/../ann/payload", "api/avatar/..%2fann/payload", "api/avatar/%2e%2e/payload",
    "api/avatar/ann/motion/../payload2", "api/avatar/ann/motion/..%2f..%2ftrack.npz",
    "api/avatar/ann%00/payload", "api/avatar/ann/video/../avatar.safetensors",
    "api/avatar/ann.safetensors", "avatar.safetensors", "track.npz", "export_template.html",
    "api/avatar/%ff%fe/payload", "api/avatar/" + "a" * 3000 + "/payload", "~root/", "C:\\secret",
]  # fmt: skip


@pytest.mark.parametrize("path", _SECRETS)
def test_no_path_leads_anywhere_else(server: LiveServer, path: str) -> None:
    answer = server.get(path)
    assert answer.status in (400, 403, 404), answer.body[:200]
    assert answer.body not in PAGES.values()


def test_random_paths_find_nothing(server: LiveServer) -> None:
    random_source = random.Random(4)
    pieces = ["..", ".", "%2e%2e", "api", "avatar", "ann", "assets", "%00", "etc", "%2f", "\\", ""]
    for _ in range(200):
        path = "/".join(random_source.choice(pieces) for _ in range(random_source.randint(1, 6)))
        answer = server.get(path)
        assert answer.status in (200, 400, 404)
        if answer.status == 200:
            assert answer.body == PAGES["index.html"], path


def test_only_the_methods_that_there_are(server: LiveServer) -> None:
    assert server.ask(f"DELETE /{TOKEN}/api/session HTTP/1.1").status == 405
    assert server.ask(f"POST /{TOKEN}/api/session HTTP/1.1").status == 405
    assert server.get("api/convert-motion?name=a.npz").status in (404, 405)
    assert server.ask(f"TRACE /{TOKEN}/ HTTP/1.1").status == 405


def test_garbage_is_answered_and_the_server_lives_on(server: LiveServer) -> None:
    random_source = random.Random(8)
    for _ in range(30):
        garbage = random_source.randbytes(random_source.randint(1, 3000)) + b"\r\n\r\n"
        assert server.send(garbage).status in (0, 400, 403)
    assert server.send(b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 200_000 + b"\r\n\r\n").status == 400
    assert server.get("api/session").status == 200


# --- uploads ------------------------------------------------------------------------------------


def test_an_npz_becomes_a_motion(server: LiveServer) -> None:
    poses = np.zeros((5, 165))
    poses[:, 3 + 3 * 15 + 2] = np.linspace(0, 1, 5)
    data = npz_bytes(poses=poses, trans=np.zeros((5, 3)), mocap_frame_rate=np.array(25.0))
    answer = server.post("api/convert-motion?name=my%20dance.npz&avatar=ann", data)
    assert answer.status == 200, answer.body
    tensors, meta = unpack(answer.body)
    assert (meta["name"], meta["source"]) == ("my dance", "my dance.npz")
    assert tensors["rotations"].shape == (5, 55, 4)


def test_a_bvh_becomes_a_motion(server: LiveServer) -> None:
    answer = server.post("api/convert-motion?name=walk.bvh", WALK_BVH.encode())
    assert answer.status == 200, answer.body
    tensors, meta = unpack(answer.body)
    assert meta["fps"] == pytest.approx(25.0)
    assert len(tensors["time"]) == 6


@pytest.mark.parametrize(
    ("query", "body", "status", "told"),
    [
        ("name=a.exe", b"MZ", 415, ".npz"),
        ("name=", b"x", 415, ".npz"),
        ("", b"x", 415, ".npz"),
        ("name=a.npz&avatar=nobody", b"x", 404, "avatar"),
        ("name=a.npz", b"", 422, "a.npz"),
        ("name=a.npz", b"not a zip", 422, "a.npz"),
        ("name=a.bvh", b"\x00\xff" * 100, 422, ""),
        ("name=a.bvh", b"HIERARCHY\nROOT x\n{", 422, ""),
        ("name=a.npz", npz_bytes(x=np.zeros(3)), 422, "a.npz"),
        ("name=a.npz", npz_bytes(poses=np.full((2, 165), np.nan)), 422, ""),
        ("name=..%2f..%2fb.npz", b"not a zip", 422, "b.npz"),
        ("name=%00.npz", b"not a zip", 422, ""),
    ],
)
def test_bad_uploads_are_told_in_a_sentence(
    server: LiveServer, query: str, body: bytes, status: int, told: str
) -> None:
    answer = server.post(f"api/convert-motion?{query}", body)
    assert answer.status == status
    assert told in answer.json["error"]
    assert "/tmp" not in answer.json["error"]
    assert "Traceback" not in answer.json["error"]


class _Trap:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_what_is_pickled_in_an_upload_does_not_run(server: LiveServer, tmp_path: Path) -> None:
    trap = _Trap(tmp_path / "sprung")
    stream, torch_file = io.BytesIO(), io.BytesIO()
    np.savez(stream, poses=np.array([trap], dtype=object))
    torch.save({"poses": trap}, torch_file)
    for data in (stream.getvalue(), pickle.dumps(trap), torch_file.getvalue()):
        for ending in ("npz", "bvh"):
            answer = server.post(f"api/convert-motion?name=a.{ending}", data)
            assert answer.status == 422
    assert not trap.path.exists()


def test_a_zip_bomb_is_seen_before_it_is_unpacked(server: LiveServer) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(9):
            archive.writestr(f"poses{i}.npy", bytes(64 << 20))
    answer = server.post("api/convert-motion?name=a.npz", stream.getvalue())
    assert answer.status == 422
    assert "unpacks to" in answer.json["error"]


def test_too_large_is_told_by_the_header_alone(server: LiveServer) -> None:
    line = f"POST /{TOKEN}/api/convert-motion?name=a.npz HTTP/1.1"
    assert server.ask(line, {"Content-Length": str(10**12)}).status == 413


def test_too_large_is_noticed_while_it_arrives(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunked upload declares no length."""
    monkeypatch.setattr(app_module, "MAX_UPLOAD_BYTES", 1 << 16)
    line = f"POST /{TOKEN}/api/convert-motion?name=a.npz HTTP/1.1"
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    answer = server.ask(line, {"Transfer-Encoding": "chunked"}, chunk * 12 + b"0\r\n\r\n")
    assert answer.status == 413


def test_random_uploads_never_break_it(server: LiveServer) -> None:
    random_source = random.Random(2)
    good = npz_bytes(poses=np.zeros((2, 165)))
    for _ in range(25):
        data = bytearray(good)
        for _ in range(random_source.randint(1, 30)):
            data[random_source.randrange(len(data))] = random_source.randrange(256)
        answer = server.post("api/convert-motion?name=a.npz", bytes(data))
        assert answer.status in (200, 422), answer.body
    lines = WALK_BVH.splitlines()
    for _ in range(25):
        mixed = list(lines)
        for _ in range(random_source.randint(1, 6)):
            mixed[random_source.randrange(len(mixed))] = random_source.choice(lines)
        answer = server.post("api/convert-motion?name=a.bvh", "\n".join(mixed).encode())
        assert answer.status in (200, 422), answer.body


# --- what may go wrong inside -------------------------------------------------------------------


def test_an_avatar_that_vanishes_is_told(person_file: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "avatar.safetensors").write_bytes(person_file.read_bytes())
    library = open_library(tmp_path)
    (tmp_path / "one" / "avatar.safetensors").unlink()
    with running(library) as live:
        answer = live.get("api/avatar/one/payload")
        assert answer.status == 404
        assert "no avatar file" in answer.json["error"]
        assert live.get("api/avatar/two/payload").status == 200


def test_a_defect_is_answered_with_500_and_logged(
    person_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    library = open_library(person_file)

    def fail(*_: object) -> bytes:
        raise ValueError("operands could not be broadcast together")

    with running(replace(library, convert=fail)) as live:
        answer = live.post("api/convert-motion?name=a.bvh", b"x")
    assert answer.status == 500
    assert "broadcast" not in answer.json["error"]
    assert "unexpected ValueError: operands could not be broadcast" in caplog.text


def test_lazy_tries_again_after_a_failure() -> None:
    calls = []

    def make() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("not yet")
        return 7

    lazy = Lazy(make)
    with pytest.raises(OSError, match="not yet"):
        lazy()
    assert (lazy(), lazy(), len(calls)) == (7, 7, 2)


def test_missing_web_files_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="npm ci"):
        read_pages(tmp_path)


def test_the_export_template_is_not_a_page(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "export_template.html").write_text("<!doctype html>")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "app.js").write_text("1")
    assert set(read_pages(tmp_path)) == {"index.html", "assets/app.js"}


def test_nothing_is_logged_as_an_error_for_bad_requests(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        server.get("nothing/here")
        server.post("api/convert-motion?name=a.npz", b"bad")
    assert not caplog.records


def test_the_session_has_no_file_paths(server: LiveServer, person_file: Path) -> None:
    text = json.dumps(server.get("api/session").json)
    assert str(person_file.parent.parent) not in text
