"""The layout of the package: who may import whom, how long a file may be, where a backend lives."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "pear_avatar"
MAX_LINES = 500

_BASE = {"types", "errors", "choices"}
_FILES = _BASE | {"io"}
_MATHS = _FILES | {"geometry"}
_BODY = _MATHS | {"body", "splatting", "_native"}
_PERSON = _BODY | {"motion", "avatar", "perception"}
_PICTURES = _PERSON | {"rendering", "export", "synthesis"}
_WORK = _PICTURES | {"recovery", "tracking", "evaluation"}

#: What each room may import, itself aside. Imports go downward only, without exception and
#: without a circle between rooms; ARCHITECTURE.md draws it.
ALLOWED: dict[str, set[str]] = {
    "choices": set(),
    "types": {"choices"},
    "errors": set(),
    "machine": {"_native"},
    "_native": {"errors"},
    "io": _BASE,
    "geometry": _FILES | {"_native"},
    "body": _MATHS | {"_native"},
    "splatting": _MATHS | {"_native"},
    "motion": _MATHS | {"body"},
    "avatar": _BODY,
    "perception": _BODY,
    "recovery": _BODY | {"perception"},
    "tracking": _BODY | {"perception"},
    "synthesis": _BODY | {"motion"},
    "export": _BODY | {"motion", "avatar"},
    "rendering": _BODY | {"motion", "avatar"},
    "evaluation": _PICTURES | {"recovery"},
    "fitting": _BODY | {"avatar", "perception", "tracking", "evaluation"},
    "report": _PERSON | {"rendering", "fitting"},
    "viewer": _PERSON,
    "live": _PERSON | {"rendering", "recovery", "viewer"},
    "training": _WORK,
    "commands": _WORK | {"machine", "fitting", "report", "viewer", "live"},
    "cli": _WORK | {"machine", "fitting", "report", "viewer", "live", "commands", "training"},
    "api": _WORK | {"fitting", "commands"},
    # The public face: it names where each public thing lives and loads it on first use. Modules
    # below read nothing of it but the version and the place of the package.
    "__init__": _WORK | {"fitting", "commands", "api"},
    "__main__": {"cli"},
}

#: Third-party packages that only one place may import.
CONFINED = {"gsplat": "splatting/gsplat_backend.py"}
#: smplx: its licence cannot be carried; anny and roma: only tools/ builds the body with them;
#: tools and tests are not in the wheel.
FORBIDDEN = {"smplx", "anny", "roma", "tools", "tests", "standins"}


def modules() -> list[Path]:
    return sorted((ROOT / PACKAGE).rglob("*.py"))


def imported_names(path: Path, source: str) -> Iterator[str]:
    """Absolute dotted names that a module imports anywhere, functions included."""
    package = (PACKAGE, *path.relative_to(ROOT / PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(source, str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            # `from pear_avatar import body` names a part in its alias.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")


def violations(path: Path, source: str) -> list[str]:
    """Everything in one module's imports that the layout forbids."""
    part = part_of(path)
    where = path.relative_to(ROOT / PACKAGE).as_posix()
    found = []
    for name in imported_names(path, source):
        top, *rest = name.split(".")
        if top == PACKAGE:
            target = rest[0] if rest else "__init__"
            if target in ALLOWED and target not in ALLOWED[part] | {part, "__init__"}:
                found.append(f"{where} imports {name}: {part} must not know {target}")
        elif top in FORBIDDEN:
            found.append(f"{where} imports {name}, which the package must not need")
        elif top in CONFINED and not where.startswith(CONFINED[top]):
            found.append(f"{where} imports {name}: only {CONFINED[top]} may")
    return found


def test_every_part_has_a_place_in_the_layout() -> None:
    unknown = {part_of(path) for path in modules()} - set(ALLOWED)
    assert not unknown, f"say in ALLOWED what {sorted(unknown)} may import"


def test_imports_go_downward_only() -> None:
    found = [line for path in modules() for line in violations(path, path.read_text("utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("geometry/x.py", "from pear_avatar.body import load_body"),
        ("geometry/x.py", "from ..body import load_body"),
        ("tracking/x.py", "from pear_avatar import fitting"),
        ("body/x.py", "import pear_avatar.splatting.api"),
        ("fitting/x.py", "def f():\n    import gsplat.rendering"),
        ("body/x.py", "from smplx import SMPLX"),
        ("perception/x.py", "from pear_avatar.avatar.avatar import Avatar"),
        ("types.py", "from pear_avatar.geometry import cameras"),
        ("body/x.py", "import anny"),
        ("recovery/x.py", "from pear_avatar.training.lifter import train"),
    ],
)
def test_the_check_itself_sees_a_violation(module: str, line: str) -> None:
    assert violations(ROOT / PACKAGE / module, line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("fitting/x.py", "from pear_avatar.evaluation.metrics import psnr"),
        ("splatting/gsplat_backend.py", "import gsplat"),
        ("body/x.py", "from . import skinning\nfrom .joints import PARENTS"),
        ("commands/x.py", "import pear_avatar"),
    ],
)
def test_the_check_itself_accepts_what_is_allowed(module: str, line: str) -> None:
    assert not violations(ROOT / PACKAGE / module, line)


def test_no_circle_between_rooms() -> None:
    """Every room can be given a height above all that it may import."""
    waiting = {room: set(below) for room, below in ALLOWED.items()}
    while ready := {room for room, below in waiting.items() if not below & set(waiting)}:
        for room in ready:
            del waiting[room]
    assert not waiting


def test_no_module_is_a_grab_bag() -> None:
    names = ("util", "utils", "helpers", "misc", "common", "data", "pipeline")
    assert not [str(path) for path in modules() if path.stem in names or path.parent.name in names]


def test_no_file_is_too_long() -> None:
    folders = ("benchmarks", "tests", "tools")
    paths = [*modules(), *(p for f in folders for p in (ROOT / f).rglob("*.py"))]
    paths += [
        p for kind in ("*.cpp", "*.h") for p in (ROOT / PACKAGE / "_native" / "src").rglob(kind)
    ]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in paths}
    assert not {path: n for path, n in lengths.items() if n > MAX_LINES}


def test_print_is_left_to_the_command_line() -> None:
    found = []
    for path in modules():
        if part_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found, f"use logging below cli/: {found}"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, pear_avatar.cli.main; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"torch", "numpy", "ai_edge_litert", "cv2", "av", "omegaconf", "rich"}
    assert not heavy & set(loaded)
