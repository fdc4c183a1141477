"""The schema, its TypeScript, and the files that follow it."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pear_avatar.errors import ViewerFileError
from pear_avatar.viewer import typescript
from pear_avatar.viewer.schema import (
    AVATAR_TENSORS,
    MOTION_FORMAT,
    MOTION_TENSORS,
    SCHEMA_VERSION,
    MotionMeta,
)
from pear_avatar.viewer.tensor_file import (pack, unpack,)

META = MotionMeta(format=MOTION_FORMAT, version=SCHEMA_VERSION, name="a walk", fps=30.0, source="walk.bvh", width=0, height=0)


def still_motion(frames: int = 3) -> dict[str, np.ndarray]:
    rotations = np.zeros((frames, 55, 4), np.float32)
    rotations[..., 0] = 1
    return {
        "rotations": rotations,
        "transl": np.zeros((frames, 3), np.float32),
        "time": np.arange(frames, dtype=np.float32) / 30,
    }


def test_the_typescript_is_up_to_date() -> None:
    assert typescript.SCHEMA_TS.read_text("utf-8") == typescript.typescript_source(), (
        "the schema has changed: run python -m pear_avatar.viewer.typescript and commit"
    )


def test_check_tells_an_old_file_by_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "schema.ts"
    shutil.copy(typescript.SCHEMA_TS, copy)
    monkeypatch.setattr(typescript, "SCHEMA_TS", copy)
    assert typescript.main(["--check"]) == 0
    copy.write_text(copy.read_text("utf-8").replace("fps: number", "fps: string"), "utf-8")
    assert typescript.main(["--check"]) == 1
    assert "fps: string" in copy.read_text("utf-8")
    assert typescript.main([]) == 0
    assert typescript.main(["--check"]) == 0


def test_types_become_typescript() -> None:
    source = typescript.typescript_source()
    assert 'readonly kind: "server" | "export";' in source
    assert "readonly thumbnail: string | null;" in source
    assert "readonly video: SessionVideo | null;" in source
    assert "readonly info: Readonly<Record<string, string>>;" in source
    assert "readonly motions: readonly SessionMotion[];" in source
    assert all(f'name: "{spec.name}"' in source for spec in (*AVATAR_TENSORS, *MOTION_TENSORS))
    with pytest.raises(TypeError, match="does not know"):
        typescript._type_name(set[int])


def test_what_is_packed_comes_back() -> None:
    tensors = still_motion()
    back, meta = unpack(pack(tensors, META))
    assert meta["name"] == "a walk"
    assert set(back) == set(tensors)
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)


def test_the_file_is_as_the_contract_says() -> None:
    """Little-endian length, JSON header, one metadata string, aligned tensors."""
    data = pack(still_motion(), META)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert list(header["__metadata__"]) == ["meta"]
    assert json.loads(header["__metadata__"]["meta"])["format"] == "pear-motion"
    for name, entry in header.items():
        if name != "__metadata__":
            assert (8 + length + entry["data_offsets"][0]) % 4 == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"time": None}, "time is missing"),
        ({"time": np.zeros(3, np.float64)}, "time must be F32"),
        ({"time": np.zeros(4, np.float32)}, r"time must be \(3\)"),
        ({"transl": np.zeros((3, 4), np.float32)}, r"transl must be \(3, 3\)"),
        ({"sound": np.zeros(3, np.float32)}, "no tensor sound"),
    ],
)
def test_tensors_that_the_schema_does_not_have(
    change: dict[str, np.ndarray | None], told: str
) -> None:
    tensors = {k: v for k, v in {**still_motion(), **change}.items() if v is not None}
    with pytest.raises(ViewerFileError, match=told):
        pack(tensors, META)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_read_but_never_crash(data: st.DataObject) -> None:
    good = bytearray(pack(still_motion(), META))
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, min(len(good), 700) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(good)), st.integers(0, len(good))))
    try:
        tensors, _ = unpack(bytes(good[:cut]))
    except ViewerFileError:
        return
    assert {"rotations", "transl", "time"} <= set(tensors)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 8,
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 40) + b'{"a":' * 8,
    ],
)
def test_headers_made_to_hurt(data: bytes) -> None:
    with pytest.raises(ViewerFileError):
        unpack(data)


def test_another_version_is_named() -> None:
    with pytest.raises(ViewerFileError, match="version 9"):
        unpack(pack(still_motion(), MotionMeta(format=MOTION_FORMAT, version=9, name="n", fps=30.0, source="", width=0, height=0)))
