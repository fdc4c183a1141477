"""What the wheel holds: the package and its presets, and nothing that only development needs."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pear_avatar"

#: Kinds of files that the package needs when it runs; the C++ sources are left out of wheels.
KINDS = {
    ".py", ".typed", ".so", ".npz", ".safetensors", ".yaml", ".html", ".js", ".css", ".txt",
    ".sha256", ".tflite", ".wasm", ".0", ".1",
}  # fmt: skip
SOURCES = {".cpp", ".h"}
WORKSHOP = {"tests", "tools", "standins", "benchmarks", "examples", "docs", "build_body"}
#: Of a compressed wheel; the package index takes up to 100.
#: Half of it is the page's own detector: its program and the bundle of networks that it reads.
MAX_MIB = 56
_BUILT_IN_PLACE = {"CMakeFiles", ".cmake", "__pycache__"}


#: Of the files in training/: what a user needs to train the lifter anew with the documented
#: commands. The open body is built in tools/, which no wheel holds.
TRAINING = {"__init__.py", "lifter", "assets/lifter_noise.npz"}
MAX_TRAINING_MIB = 1.0


def built_wheels() -> list[Path]:
    return sorted((ROOT / "dist").glob("pear_avatar-*.whl"), key=lambda p: p.stat().st_mtime)


def test_the_build_packages_two_folders_and_leaves_the_sources_out() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    packages = project.split("[tool.scikit-build.wheel.packages]\n")[1].split("\n\n")[0]
    assert packages.splitlines() == [
        'pear_avatar = "pear_avatar"',
        '"pear_avatar/configs" = "configs"',
    ]
    assert 'wheel.exclude = ["**/*.cpp", "**/*.h", "**/CMakeLists.txt"]' in project


def test_the_package_holds_no_workshop() -> None:
    paths = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file()]
    paths = [path for path in paths if not _BUILT_IN_PLACE & set(path.parts)]
    assert not [str(path) for path in paths if WORKSHOP & set(path.parts)]
    known = [p for p in paths if p.parts[0] != "_native"]
    assert not [str(path) for path in known if path.suffix not in KINDS]
    native = {p.suffix for p in paths if p.parts[:2] == ("_native", "src")}
    assert native <= SOURCES


def test_training_in_the_package_is_what_the_documented_commands_need() -> None:
    room = PACKAGE / "training"
    files = [p for p in room.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    names = {p.relative_to(room).as_posix() for p in files}
    assert {n for n in names if not n.startswith("lifter/")} == TRAINING - {"lifter"}
    assert sum(p.stat().st_size for p in files) < MAX_TRAINING_MIB * 2**20
    page = (ROOT / "docs" / "lifter.md").read_text("utf-8")
    assert "python -m pear_avatar.training.lifter.train" in page


@pytest.mark.skipif(not built_wheels(), reason="no wheel in dist/: make wheel builds one")
def test_a_built_wheel_holds_what_runs_and_no_more() -> None:
    wheel = built_wheels()[-1]
    with zipfile.ZipFile(wheel) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
    assert wheel.stat().st_size < MAX_MIB * 2**20
    assert {name.parts[0].split("-")[0] for name in names} == {"pear_avatar"}
    inside = [name for name in names if name.parts[0] == "pear_avatar"]
    assert not [str(name) for name in inside if WORKSHOP & set(name.parts)]
    assert not [str(name) for name in inside if name.suffix not in KINDS]
    for needed in (
        "_native/pear_native.so",
        "py.typed",
        "configs/fast.yaml",
        "body/assets/open_body.npz",
        "recovery/assets/lifter.safetensors",
        "viewer/static/index.html",
        "report/report_template.html",
    ):
        assert PurePosixPath("pear_avatar") / needed in inside
