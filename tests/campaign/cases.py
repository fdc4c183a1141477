"""Every case: files, options, names, outputs, environments, kills."""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from pear_avatar.cli.main import build_parser, subparsers

from .base_files import MOTIONS, PICTURES, VIDEOS, bombs
from .case import Case
from .damage import damaged
from .output_cases import output_cases
from .process_cases import process_cases

#: Values that no option means, or that few programs expect.
ODD_VALUES = (
    "",
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "²",
    "٣",
    "9" * 30,
    "1,2",
    "../../up",
    "x" * 5000,
    "a:b",
    "caf\udce9",
    "\x1b[31mred",
    "--",
    "0x10",
    "1e-320",
    "%s%n",
    "\n",
    "none",
)
#: Options that start what does not end by itself, or use the network.
_LEFT_OUT = frozenset({"--help", "--loop", "--window", "--host", "--port", "--virtual-camera"})
_POSE = ("--pose", "m.npz")
#: A command line of each command that ends soon, and the base files that it names.
_BASE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fit": (("none.mp4", "-o", "out"), ()),
    "render": (
        ("a.safetensors", *_POSE, "-o", "out/r.mp4", "--size", "64x64"),
        ("a.safetensors", "m.npz"),
    ),
    "recover": (("none.png", "-o", "out"), ()),
    "live": (("none.safetensors", "--no-browser", "-o", "out"), ()),
    "view": (("none.safetensors", "--no-browser"), ()),
    "export": (("a.safetensors", "--ply", "out/o.ply"), ("a.safetensors", "m.npz")),
    "convert": (("m.npz", "out/c.npz"), ("m.npz",)),
    "demo": (("--video", "none.mp4", "-o", "out"), ()),
    "doctor": ((), ()),
    "assets": ((), ()),
    "bench": (("hmr", "--dataset", "stills", "--root", "none"), ()),
    "synth": (("--count", "0", "-o", "out"), ()),
    "synthetic": (("-o", "out", "--frames", "1"), ()),
}


def all_cases(base: Path, flips: int = 6) -> Iterator[Case]:
    """Every case; ``base`` holds the base files, ``flips`` scrambled copies are made of each."""
    yield from option_cases()
    yield from damaged_files(base, flips)
    yield from bomb_cases()
    yield from camera_cases()
    yield from avatar_cases(base)
    yield from dataset_cases()
    yield from output_cases()
    yield from name_cases()
    yield from process_cases()


def option_cases() -> Iterator[Case]:
    """Every option of every command with odd values; options are read off the parsers."""
    for command, parser in subparsers(build_parser()).items():
        words, inputs = _BASE[command]
        for action in parser._actions:
            option = next((o for o in action.option_strings if o.startswith("--")), "")
            if not option or option in _LEFT_OUT or action.nargs == 0:
                continue
            for number, value in enumerate(_values_for(command, action)):
                argv = (command, *words, f"{option}={value}")
                yield Case(
                    f"options of {command}",
                    f"{option} {number}",
                    argv,
                    "either",
                    inputs,
                    writes=("out", value.lstrip("./")[:200] or "out"),
                )


def _values_for(command: str, action: argparse.Action) -> tuple[str, ...]:
    slow = command in ("synth", "synthetic", "doctor", "assets")
    return ODD_VALUES[:9] if slow or action.choices else ODD_VALUES


def _put(name: str, data: bytes) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return prepare


def damaged_files(base: Path, flips: int) -> Iterator[Case]:
    """Damaged copies of every file that a command reads."""
    uses: list[tuple[str, tuple[str, ...], tuple[str, ...], int]] = [
        *((name, ("convert", "IN", "out/c.bvh"), (), flips) for name in MOTIONS),
        (
            "a.safetensors",
            ("render", "IN", *_POSE, "-o", "out/r.mp4", "--size", "64x64"),
            ("m.npz",),
            flips,
        ),
        ("a.safetensors", ("export", "IN", "--glb", "out/o.glb"), (), flips // 2),
        (
            "m.bvh",
            ("render", "a.safetensors", "--pose", "IN", "-o", "out/r.mp4", "--size", "64x64"),
            ("a.safetensors",),
            flips // 2,
        ),
        *((name, ("recover", "IN", "-o", "out"), (), flips // 3) for name in PICTURES),
        *((name, ("fit", "IN", "-o", "out"), (), flips // 3) for name in VIDEOS[:1]),
        *((name, ("recover", "IN", "-o", "out"), (), flips // 3) for name in VIDEOS[1:]),
        ("c.json", ("fit", "v.mp4", "-o", "out", "--camera", "IN:left"), ("v.mp4",), flips // 3),
        ("preset.yaml", ("fit", "v.mp4", "-o", "out", "--preset", "IN"), ("v.mp4",), flips // 3),
    ]
    for number, (name, words, inputs, count) in enumerate(uses):
        data = (base / name).read_bytes()
        for what, content in damaged(data, seed=number, flips=count):
            stem, ending = os.path.splitext(name)
            put = f"{stem}_bad{ending}"
            argv = tuple(word.replace("IN", put, 1) if "IN" in word else word for word in words)
            expected = "refused" if content[:3] in (b"", data[:1], b"\0\0\0") else "either"
            yield Case(
                f"damaged {ending[1:]} for {words[0]}",
                what,
                argv,
                expected,
                inputs,
                _put(put, content),
            )


def bomb_cases() -> Iterator[Case]:
    """Small files that would fill the memory or the stack."""
    for name, data in bombs().items():
        for command in (
            ("convert", name, "out/c.bvh"),
            ("render", "a.safetensors", "--pose", name, "-o", "out/r.mp4"),
        ):
            inputs = ("a.safetensors",) if command[0] == "render" else ()
            yield Case(
                "bombs", f"{name} for {command[0]}", command, "refused", inputs, _put(name, data)
            )
    big = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\2\0\0\0" + b"\0" * 64
    yield Case(
        "bombs",
        "a picture of 65535 x 65535",
        ("recover", "b.png", "-o", "out"),
        prepare=_put("b.png", big),
    )
    for argv in (
        ("synthetic", "-o", "out", "--frames", "1000000000"),
        ("synthetic", "-o", "out", "--size", "8192x8192", "--frames", "900"),
    ):
        yield Case("bombs", " ".join(argv[3:]), argv)


def camera_cases() -> Iterator[Case]:
    """Camera files whose values are of other types, shapes and sizes than they should be."""
    good: dict[str, object] = {
        "K": [[100, 0, 64], [0, 100, 48], [0, 0, 1]],
        "R": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "t": [0, 0, 0],
        "image_wh": [128, 96],
    }
    odd: tuple[object, ...] = (
        None,
        {},
        [],
        "x",
        1e400,
        -1,
        0,
        [[1], [2, 3]],
        {"a": 1},
        [[[1]]],
        True,
        [None] * 9,
        ["1"] * 3,
        [1e300] * 9,
        "y" * 3000,
    )
    for key in (*good, "up", "dist", "width"):
        for number, value in enumerate(odd):
            entry = good | {key: value}
            if key == "width":
                del entry["image_wh"]
            needed = key in good and not (key == "t" and value == [1e300] * 9)
            text = json.dumps({"left": entry}).encode()
            expected = "refused" if needed else "either"
            yield Case(
                "camera files",
                f"{key} {number}",
                ("fit", "v.mp4", "-o", "out", "--camera", "c.json:left", "--set", "body.name=none"),
                expected,
                ("v.mp4",),
                _put("c.json", text),
            )


def avatar_cases(base: Path) -> Iterator[Case]:
    """Avatar files with one tensor or one entry of the header changed."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save

    with safe_open(str(base / "a.safetensors"), framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    changes: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "bool": lambda t: t.bool(),
        "int64": lambda t: t.long(),
        "float64": lambda t: t.double(),
        "complex": lambda t: t.to(torch.complex64),
        "no rows": lambda t: t[:0].clone(),
        "one axis more": lambda t: t[None].clone(),
        "huge": lambda t: torch.full_like(t, 120) if t.dtype == torch.uint8 else t + 10_000_000,
    }
    rng = random.Random(0)
    for name, tensor in tensors.items():
        for what in rng.sample(sorted(changes), 3):
            data = save({**tensors, name: changes[what](tensor).contiguous()}, metadata)
            command = rng.choice(
                (
                    ("export", "x.safetensors", "--ply", "out/o.ply"),
                    ("export", "x.safetensors", "--glb", "out/o.glb"),
                    ("render", "x.safetensors", *_POSE, "-o", "out/r.mp4", "--size", "64x64"),
                )
            )
            yield Case(
                "avatar files",
                f"{name} {what} {command[0]}",
                command,
                "either",
                ("m.npz",),
                _put("x.safetensors", data),
            )
    for key in metadata:
        for number, value in enumerate(("", "[", "{}", "[" * 5000, "null", "[[1]]", "9" * 500)):
            data = save(tensors, {**metadata, key: value})
            yield Case(
                "avatar files",
                f"header {key} {number}",
                ("export", "x.safetensors", "--html", "out/o.html"),
                "either",
                (),
                _put("x.safetensors", data),
            )


def dataset_cases() -> Iterator[Case]:
    """Data sets of another structure."""
    odd = (
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b"5",
        b'{"images": 1, "annotations": 2}',
        b'{"images": [{}], "annotations": [{}]}',
        b'{"images": [], "annotations": [{"image_id": 1}]}',
        b'{"images": [{"id": 1}], "annotations": [{"image_id": 1, "id": [], "bbox": "x", '
        b'"is_valid": 1, "keypoints": {}}]}',
        b"\xff" * 100,
        b"[" * 20000,
    )
    files = {
        "coco-wholebody": ("annotations/coco_wholebody_val_v1.0.json", "val2017/x"),
        "agora": ("AGORA_validation.json",),
        "ubody": (
            "annotations/s/keypoint_annotation.json",
            "annotations/s/smplx_annotation.json",
            "images/x",
            "splits/intra_scene_test_list.npy",
        ),
        "ehf": ("01_align.ply", "01_img.jpg", "01_img.png"),
        "3dpw": ("sequenceFiles/test/a.pkl", "imageFiles/x"),
        "stills": ("a.json", "a.jpg"),
    }
    for dataset, names in files.items():
        for number, data in enumerate(odd):

            def prepare(folder: Path, names=names, data=data) -> None:  # type: ignore[no-untyped-def]
                for name in names:
                    (folder / "d" / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / "d" / name).write_bytes(data)

            argv = ("bench", "hmr", "--dataset", dataset, "--root", "d", "--json", "out/b.json")
            yield Case("data sets", f"{dataset} {number}", argv, "either", (), prepare)


def name_cases() -> Iterator[Case]:
    """Names with colons, spaces, dashes, line breaks, escapes, and bytes that are not UTF-8."""
    names = (
        "take:2",
        "2024-05-01T12:30:15",
        "a b",
        " lead",
        "x\ny",
        "\x1b[31m",
        "caf\udce9",
        "日本語",
        "http:",
        "-dash",
        "%s%d",
        "{0}",
        "[red]x",
        "concat:a",
        "pipe:0",
        "a" * 200,
        "$(id)",
    )
    commands: tuple[tuple[str, tuple[str, ...], str], ...] = (
        ("m.npz", ("convert", "./IN", "out/c.bvh"), "done"),
        (
            "m.bvh",
            ("render", "a.safetensors", "--pose", "./IN", "-o", "out/r.mp4", "--size", "64x64"),
            "done",
        ),
        ("v.mp4", ("fit", "./IN", "-o", "out"), "refused"),
        ("p.png", ("recover", "./IN", "-o", "out"), "refused"),
        ("a.safetensors", ("export", "./IN", "--ply", "out/o.ply"), "done"),
    )
    for name in names:
        for base, words, expected in commands:
            put = name + os.path.splitext(base)[1]

            def renamed(folder: Path, base: str = base, put: str = put) -> None:
                (folder / base).rename(folder / put)

            argv = tuple(word.replace("IN", put) for word in words)
            inputs = tuple({base, "a.safetensors"})
            yield Case("names", f"{name!r} for {words[0]}", argv, expected, inputs, renamed)  # type: ignore[arg-type]
        for words in (
            ("convert", "m.npz", f"./{name}.npz"),
            ("export", "a.safetensors", "--ply", f"./{name}.ply"),
        ):
            yield Case(
                "names",
                f"to {name!r} by {words[0]}",
                words,
                "done",
                ("m.npz", "a.safetensors"),
                writes=(f"{name}.npz", f"{name}.ply"),
            )
