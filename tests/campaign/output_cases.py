"""Outputs that are inputs, foreign files, folders, devices, or lie in impossible places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from .case import Case, nothing

OWN = b"the user's own"
_SMALL = ("--size", "64x64")

#: Ending, command line with OUT in the place of the output, and the base files that it names.
_FILES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "convert": ("npz", ("convert", "m.npz", "OUT"), ("m.npz",)),
    "convert to bvh": ("bvh", ("convert", "m.bvh", "OUT"), ("m.bvh",)),
    "render": (
        "mp4",
        ("render", "a.safetensors", "--pose", "m.npz", "-o", "OUT", *_SMALL),
        ("a.safetensors", "m.npz"),
    ),
    "export ply": ("ply", ("export", "a.safetensors", "--ply", "OUT"), ("a.safetensors",)),
    "export html": ("html", ("export", "a.safetensors", "--html", "OUT"), ("a.safetensors",)),
    "export glb": ("glb", ("export", "a.safetensors", "--glb", "OUT"), ("a.safetensors",)),
    "bench": ("json", ("bench", "hmr", "--dataset", "stills", "--root", ".", "--json", "OUT"), ()),
    "synth": ("jpg", ("synth", "--count", "1", "-o", "out", "--sheet", "OUT"), ()),
}
#: Commands that write folders: the line before the folder, and names of their results.
_FOLDERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fit": (("fit", "v.mp4", "-o"), ("config.yaml", "overlay.mp4", "report.html")),
    "recover": (("recover", "p.png", "-o"), ("p.npz",)),
    "synthetic": (("synthetic", "--frames", "2", "-o"), ("clip.mp4", "truth.npz")),
}


def output_cases() -> Iterator[Case]:
    """All of them."""
    yield from _output_files()
    yield from _output_folders()
    for name in ("overlay.mp4", "preview.mp4"):
        words = ("fit", f"oo/{name}", "-o", "oo", "--force")
        what = f"fit: {name} is its own input"
        yield _case(what, words, ("v.mp4",), _moved("v.mp4", f"oo/{name}"))


def _output_files() -> Iterator[Case]:
    for command, (ending, words, inputs) in _FILES.items():
        places: list[tuple[str, str, Callable[[Path], None]]] = [
            ("a file of the user", f"f.{ending}", _own_file(f"f.{ending}")),
            ("a folder", f"d.{ending}", _own_file(f"d.{ending}/inside")),
            ("below a file", f"mine.txt/o.{ending}", _own_file("mine.txt")),
            ("/proc", f"/proc/nothing/o.{ending}", nothing),
            ("a name too long", f"{'n' * 300}.{ending}", nothing),
            ("a device", "/dev/full", nothing),
        ]
        if f"m.{ending}" in inputs:
            places.append(("its input", f"m.{ending}", nothing))
        for what, target, prepare in places:
            argv = tuple(target if word == "OUT" else word for word in words)
            yield _case(f"{command}: {what}", argv, inputs, prepare)


def _output_folders() -> Iterator[Case]:
    inputs = ("v.mp4", "p.png")
    for command, (words, names) in _FOLDERS.items():
        for name in names:
            what = f"{command}: {name} of the user"
            yield _case(what, (*words, "own"), inputs, _own_file(f"own/{name}"))
        into = _own_file("mine.txt")
        yield _case(f"{command}: into a file", (*words, "mine.txt"), inputs, into)


def _case(
    name: str, argv: tuple[str, ...], inputs: tuple[str, ...], prepare: Callable[[Path], None]
) -> Case:
    return Case("outputs", name, argv, inputs=inputs, prepare=prepare, writes=())


def _own_file(name: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(OWN)

    return prepare


def _moved(name: str, target: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / target).parent.mkdir(exist_ok=True)
        (folder / name).rename(folder / target)

    return prepare
