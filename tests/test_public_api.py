"""The package's front door: the list of public names, and that looking at it costs nothing."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pear_avatar

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pear_avatar"

#: What users may rely on. A name leaves this list only with a new major version.
VERBS = {
    "export_html",
    "export_mesh",
    "export_splats",
    "fit",
    "intrinsics",
    "load_avatar",
    "load_body",
    "load_camera",
    "load_detectors",
    "load_ehm",
    "load_fit_config",
    "load_motion",
    "load_track",
    "look_at",
    "orbit_cameras",
    "rasterise",
    "recover",
    "recover_files",
    "render",
    "save_avatar",
    "save_motion",
    "save_track",
}
TYPES = {
    "Avatar",
    "BodyModel",
    "BodyParams",
    "BodySource",
    "Camera",
    "ClipDetections",
    "Detectors",
    "EhmModel",
    "FitConfig",
    "FitResult",
    "FrameDetection",
    "Gaussians",
    "Motion",
    "PearError",
    "Proportions",
    "RecoverSummary",
    "RecoveredPeople",
    "RecoveredPerson",
    "Recoverer",
    "RenderOutput",
    "StepView",
    "Term",
    "Track",
}
HEAVY = {"torch", "numpy", "scipy", "ai_edge_litert", "cv2", "av", "omegaconf", "rich", "PIL"}


def test_the_public_names_are_these() -> None:
    assert set(pear_avatar.__all__) == VERBS | TYPES | {"__version__"}


@pytest.mark.parametrize("name", sorted(VERBS | TYPES))
def test_every_name_loads_and_is_documented(name: str) -> None:
    value = getattr(pear_avatar, name)
    assert value.__name__ == name
    assert inspect.isclass(value) == (name in TYPES)
    assert inspect.getdoc(value)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_verbs_are_annotated_and_take_at_most_five_by_position(name: str) -> None:
    signature = inspect.signature(getattr(pear_avatar, name))
    parameters = signature.parameters.values()
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters)
    limit = 5 if name != "rasterise" else 6  # the five tensors of a splat, and the camera
    assert sum(p.kind is not p.KEYWORD_ONLY for p in parameters) <= limit


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    for_checkers = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    at_run_time = {name: f"pear_avatar.{home}" for name, home in pear_avatar._HOME.items()}
    assert for_checkers == at_run_time
    assert (PACKAGE / "py.typed").is_file()


def test_no_public_name_is_also_a_module() -> None:
    """``import pear_avatar.render`` would replace a verb of that name by the module."""
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert not modules & set(pear_avatar.__all__) - {"__init__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        pear_avatar.fitt  # noqa: B018


def test_dir_lists_the_public_names() -> None:
    assert set(pear_avatar.__all__) <= set(dir(pear_avatar))


@pytest.mark.parametrize("name", ["fit", "recover", "recover_files", "render", "save_motion"])
def test_looking_a_verb_up_loads_nothing_heavy(name: str) -> None:
    code = f"import sys, pear_avatar as p; p.{name}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pear_avatar.api" in loaded
    assert not HEAVY & set(loaded)


def test_the_version_is_stated_once() -> None:
    """pyproject.toml reads it from ``pear_avatar/__init__.py``; nothing else repeats it."""
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'dynamic = ["version"]' in project
    assert 'input = "pear_avatar/__init__.py"' in project
    for other in ("pyproject.toml", "CITATION.cff", "viewer/package.json"):
        assert f'"{pear_avatar.__version__}"' not in (ROOT / other).read_text("utf-8"), other
