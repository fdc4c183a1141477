"""The built web files that ship with the package."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pear_avatar.viewer.app import TEMPLATE, read_pages
from pear_avatar.viewer.server import static_folder
from pear_avatar.viewer.single_file import MARKER

VIEWER = Path(__file__).parents[2] / "viewer"
_REBUILD = "run `npm ci && npm run build` in viewer/ and commit pear_avatar/viewer/static"


def source_hash() -> str:
    """The same as sourceHash() of viewer/scripts/build.mjs."""
    names = ["index.html", "export_template.html", "package-lock.json", "vite.config.ts"]
    names += [
        path.relative_to(VIEWER).as_posix()
        for path in (VIEWER / "src").rglob("*")
        if path.is_file()
    ]
    found = hashlib.sha256()
    for name in sorted(names):
        found.update(name.encode() + b"\0" + (VIEWER / name).read_bytes() + b"\0")
    return found.hexdigest()


def test_the_build_is_that_of_these_sources() -> None:
    stamp = static_folder() / "source.sha256"
    assert stamp.read_text("utf-8").strip() == source_hash(), f"the build is old: {_REBUILD}"


def test_every_file_that_the_page_names_is_there() -> None:
    pages = read_pages(static_folder())
    named = set(re.findall(r'(?:src|href)="\./([^"]+)"', pages["index.html"].decode()))
    assert named
    assert named <= set(pages)
    assert any(re.fullmatch(r"assets/worker-[\w-]+\.js", name) for name in pages)
    assert sum(map(len, pages.values())) < 400_000


def test_the_template_has_one_place_for_the_data() -> None:
    text = (static_folder() / TEMPLATE).read_text("utf-8")
    assert text.count(MARKER) == 1
    assert "default-src 'none'" in text
    assert len(text) < 400_000


def test_the_page_runs_nothing_from_text() -> None:
    """What the server's policy forbids is not in the page to begin with."""
    index = read_pages(static_folder())["index.html"].decode()
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", index)
    assert not re.findall(r"<style|\bstyle=|\bon\w+=", index)


def test_no_stray_files_are_shipped() -> None:
    """A build leaves no earlier build's files behind."""
    pages = read_pages(static_folder())
    named = b"".join(pages.values()).decode("utf-8", "replace")
    names = {name.rpartition("/")[2] for name in pages} - {"index.html"}
    assert not {name for name in names if name not in named}, _REBUILD
