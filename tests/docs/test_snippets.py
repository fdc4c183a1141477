"""Every snippet of the README and the documentation runs, or at least names what exists."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fenced import ROOT, Block, blocks, pages
from PIL import Image
from small_fit import QUICK, SmallFit

from pear_avatar.cli.main import build_parser, main

GOLDEN = ROOT / "tests" / "motion" / "golden"
#: Commands that are run as well as parsed: they take no long time, open no page and send nothing.
QUICK_COMMANDS = {"convert", "export", "assets"}
#: Those of them that write no file.
NO_OUTPUT = {"assets"}
#: Pages whose Python blocks show pieces to write, not programs to run.
PIECES = {ROOT / "CONTRIBUTING.md"}


def label(block: Block) -> str:
    return block.label


@pytest.fixture(scope="module")
def place(small_fit: SmallFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the documentation's examples name."""
    here = tmp_path_factory.mktemp("documented")
    shutil.copytree(small_fit.result, here / "holiday-avatar")
    shutil.copy(small_fit.clip, here / "holiday.mp4")
    shutil.copytree(small_fit.result, here / "ann-avatar")
    shutil.copy(small_fit.clip, here / "ann.mp4")
    shutil.copy(small_fit.clip, here / "clip.mp4")  # the name in the avatar, for its video
    shutil.copytree(small_fit.pictures, here / "album")
    Image.open(small_fit.pictures / "0.png").convert("RGB").save(here / "photo.jpg")
    for name in ("dance", "walk", "wave", "pose"):
        shutil.copy(GOLDEN / "amass_smplh.npz", here / f"{name}.npz")
        shutil.copy(GOLDEN / "studio.bvh", here / f"{name}.bvh")
    torch.save(longer(torch.load(GOLDEN / "gvhmr.pt")), here / "hmr4d_results.pt")
    shutil.copy(GOLDEN / "walker.amc", here / "01_01.amc")
    shutil.copy(GOLDEN / "walker.asf", here / "01.asf")
    shutil.copy(small_fit.result / "track.npz", here / "track.npz")
    return here


def longer(value: Any) -> Any:
    """Results of four frames, repeated to two seconds and more."""
    if isinstance(value, dict):
        return {key: longer(entry) for key, entry in value.items()}
    return value.repeat(20, *[1] * (value.dim() - 1)) if value.dim() and len(value) == 4 else value


@pytest.fixture
def inside(
    place: Path, monkeypatch: pytest.MonkeyPatch, body_models: Path, pear_checkpoint: Path
) -> Path:
    """The folder, current, with model files where the pages say they are."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place))
    for link, target in (("models", body_models), ("pear_model.pt", pear_checkpoint)):
        if not (place / link).exists():
            (place / link).symlink_to(target)
    if not (place / "SMPLX_NEUTRAL.npz").exists():
        (place / "SMPLX_NEUTRAL.npz").symlink_to(next(body_models.rglob("SMPLX_NEUTRAL.npz")))
    return place


@pytest.fixture(scope="module")
def pear_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the smallest PEAR network."""
    from pear_avatar.recovery.pear.pear_config import PearConfig
    from pear_avatar.recovery.pear.pear_network import PearNetwork

    torch.manual_seed(0)
    network = PearNetwork(PearConfig.named("vit-ti"))
    path = tmp_path_factory.mktemp("weights") / "pear_model.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every fit of a snippet a small one."""
    from pear_avatar.commands import configuration

    whole = configuration.load_fit_config

    def small(preset: str | Path = "default", overrides: object = ()) -> object:
        whole(preset, overrides)  # type: ignore[arg-type]  # what the snippet asks for is valid
        return whole("fast", QUICK)

    monkeypatch.setattr(configuration, "load_fit_config", small)


@pytest.mark.parametrize("block", blocks("python"), ids=label)
def test_python_blocks_run(block: Block, request: pytest.FixtureRequest) -> None:
    code = compile(block.text, block.label, "exec")
    if block.page in PIECES:
        return
    request.getfixturevalue("inside")
    request.getfixturevalue("quick")
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, {"__name__": block.label})


def shell_lines() -> Iterator[tuple[Block, str]]:
    """Each command of each shell block, with continued lines joined."""
    for block in [*blocks("sh"), *blocks("bash"), *blocks("console")]:
        text = block.text.replace("\\\n", " ")
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield block, line.strip()


def check_pear_avatar(words: list[str], run: Callable[[list[str]], None]) -> None:
    if "--help" in words or "--version" in words:
        return
    args = build_parser().parse_args(words)  # leaves with an error where it is no command
    if args.command in QUICK_COMMANDS:
        run(words)


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for word in words:
        assert "=" in word or word in targets, f"no target {word} in the Makefile"


def check_python(words: list[str]) -> None:
    if words[0] != "-m":
        assert (ROOT / words[0]).is_file(), f"no script {words[0]}"
        return
    module = words[1].replace(".", "/")
    if module == "standins":
        module = "tests/support/standins"
    if module == "pytest":
        return
    assert (ROOT / f"{module}.py").is_file() or (ROOT / module / "__main__.py").is_file(), words
    if module == "benchmarks":
        known = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
        assert words[2].removesuffix(",") in known | {"NAME"}, words


#: Programs of others; that a page names them is all there is to check.
OTHERS = {
    "pip",
    "cd",
    "npm",
    "npx",
    "apt-get",
    "sudo",
    "git",
    "cmake",
    "cibuildwheel",
    "pytest",
    "ruff",
    "mypy",
    ".",
}


@pytest.mark.parametrize(
    ("block", "line"), list(shell_lines()), ids=[f"{b.label}-{ln[:40]}" for b, ln in shell_lines()]
)
def test_shell_lines_are_commands_that_exist(
    block: Block, line: str, request: pytest.FixtureRequest
) -> None:
    for command in line.split("&&"):
        words = shlex.split(command, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        program, rest = words[0], words[1:]
        if program == "pear-avatar":
            check_pear_avatar(rest, lambda words: run_here(words, request))
        elif program == "make":
            check_make(rest)
        elif program in ("python", "python3"):
            check_python(rest)
        else:
            assert program in OTHERS, f"{block.label}: {program} is no command that is known here"


def run_here(words: list[str], request: pytest.FixtureRequest) -> None:
    """Run a command where its files are; streams and wildcards for the shell are left out."""
    here: Path = request.getfixturevalue("inside")
    if any("://" in word for word in words):
        return
    files: list[str] = []
    for word in words:
        found = sorted(here.glob(word)) if word.startswith("*") else []
        files += [path.name for path in found] or [word.replace("~", str(here))]
    with contextlib.redirect_stdout(io.StringIO()):
        # Files of every name lie there, some with the name of an output.
        force = [] if files[0] in NO_OUTPUT else ["--force"]
        assert main([*files, *force]) == 0, files


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in pages():
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            if not (page.parent / target.partition("#")[0]).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken, "\n".join(broken)


def test_blocks_name_their_language() -> None:
    unnamed = [b.label for b in blocks("") if "pear-avatar " in b.text or "import " in b.text]
    assert not unnamed, f"name the language of these blocks: {unnamed}"


def test_every_example_is_shown_in_the_documentation() -> None:
    page = (ROOT / "docs" / "examples.md").read_text("utf-8")
    shown = re.findall(r'--8<-- "examples/(\w+\.py)"', page)
    assert shown == sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def test_included_files_exist() -> None:
    for page in pages():
        for name in re.findall(r'^--8<-- "([^"]+)"', page.read_text("utf-8"), re.MULTILINE):
            assert (ROOT / name).is_file(), f"{page}: {name}"


def test_the_drawing_shows_every_room() -> None:
    from test_imports_layout import ALLOWED

    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    drawing = text.split("```")[1]
    missing = {room for room in ALLOWED if not re.search(rf"\b{room}\b", drawing)} - {"__main__"}
    assert not missing, f"draw {sorted(missing)} into ARCHITECTURE.md"


def test_the_reference_shows_every_public_name() -> None:
    import pear_avatar

    text = "\n".join(p.read_text("utf-8") for p in (ROOT / "docs" / "reference").glob("*.md"))
    whole = re.findall(r"^::: (pear_avatar[\w.]+)$", text, re.MULTILINE)
    for name, home in pear_avatar._HOME.items():
        module = f"pear_avatar.{home}"
        assert f"{module}.{name}" in whole or module in whole, f"{module}.{name}"


def test_the_page_of_reference_hooks_reads_field_lists() -> None:
    pytest.importorskip("griffe", reason="pip install -e .[docs]")
    spec = importlib.util.spec_from_file_location("f", ROOT / "docs" / "hooks" / "field_lists.py")
    assert spec is not None and spec.loader is not None  # noqa: PT018
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    text = (
        "A camera.\n\nK: (*B, 3, 3) pixels;\n   zero skew.\nwidth, height: pixels.\n\n"
        "Args:\n    x: y"
    )
    assert hooks.with_attributes(text) == (
        "A camera.\n\nAttributes:\n    K: (*B, 3, 3) pixels; zero skew.\n    width: pixels.\n"
        "    height: pixels.\n\nArgs:\n    x: y"
    )
    assert hooks.without_emphasis("(*B, 3) and ``(*B, 3)``") == "(\\*B, 3) and ``(*B, 3)``"


def test_the_pages_build_without_a_broken_link(tmp_path: Path) -> None:
    """What ``make docs`` does; its configuration is strict: every warning is an error."""
    pytest.importorskip("mkdocs", reason="pip install -e .[docs]")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr[-2000:]
    page = (tmp_path / "reference" / "index.html").read_text("utf-8")
    assert all(f'id="pear_avatar.api.{verb}"' in page for verb in ("fit", "recover", "render"))
    shown = (tmp_path / "examples.html").read_text("utf-8")
    assert "pear_avatar" in shown
    assert "--8&lt;--" not in shown


def test_all_snippets_are_python_that_parses() -> None:
    for block in blocks("python"):
        ast.parse(block.text)
    assert np.array([len(blocks("python")), len(list(shell_lines()))]).min() > 5
