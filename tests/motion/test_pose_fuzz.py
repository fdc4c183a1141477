"""Damaged, cut, noisy and hostile files: one line of complaint each, no traceback, no hang."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.registry import (
    ReadOptions,
    read_motion,
)

GOLDEN = Path(__file__).parent / "golden"
FILES = (
    "amass_smplx.npz",
    "smplx_names.npz",
    "gvhmr.pt",
    "ehm_tracker.pkl",
    "flame_only.npz",
    "body.bvh",
    "studio.bvh",
    "walker.amc",
    "poselib.npy",
)
CONTENT = {name: (GOLDEN / name).read_bytes() for name in FILES}
ASF = (GOLDEN / "walker.asf").read_bytes()
FUZZ = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_whatever(folder, name, data, asf=ASF):
    """Reads, or complains in one line; anything else is a fault."""
    path = folder / name
    path.write_bytes(data)
    (folder / "walker.asf").write_bytes(asf)
    begin, complaint = time.perf_counter(), None
    try:
        params = read_motion(path, ReadOptions(skeleton=folder / "walker.asf")).motion.params
        assert bool(params.rotations.isfinite().all())
        assert bool(params.transl.isfinite().all())
    except MotionFileError as error:
        complaint = str(error)
    assert complaint is None or complaint.startswith((name, "walker.asf"))
    assert "\n" not in (complaint or "")
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("name", FILES)
def test_cut_anywhere(tmp_path, name):
    data = CONTENT[name]
    for cut in np.linspace(0, len(data) - 1, 25).astype(int):
        read_whatever(tmp_path, name, data[:cut])


@FUZZ
@given(data=st.data(), name=st.sampled_from(FILES))
def test_bytes_turned_over(tmp_path, data, name):
    content = bytearray(CONTENT[name])
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read_whatever(tmp_path, name, bytes(content))


@FUZZ
@given(data=st.data(), name=st.sampled_from(["body.bvh", "studio.bvh", "walker.amc", "walker.asf"]))
def test_words_exchanged(tmp_path, data, name):
    source = ASF if name == "walker.asf" else CONTENT[name]
    words = source.split(b" ")
    hostile = st.sampled_from(
        [b"", b"nan", b"-inf", b"1e400", b"1e30", b"-1", b"0", b"99999999999999999999", b"{", b"}",
         b"\n", b"MOTION", b":hierarchy", b"end", b"\xff\xfe", b"\xc2\xb2", b"root", b"x" * 4000]
    )  # fmt: skip
    for _ in range(data.draw(st.integers(1, 6))):
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(hostile)
    if name == "walker.asf":
        read_whatever(tmp_path, "walker.amc", CONTENT["walker.amc"], b" ".join(words))
    else:
        read_whatever(tmp_path, name, b" ".join(words))


@FUZZ
@given(
    noise=st.binary(max_size=400),
    head=st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04", b"HIERARCHY\n"]),
    ending=st.sampled_from(["npz", "npy", "pt", "pkl", "bvh", "amc", "asf", "dat", ""]),
)
def test_noise(tmp_path, noise, head, ending):
    read_whatever(tmp_path, f"noise.{ending}" if ending else "noise", head + noise)


@pytest.mark.parametrize(
    "count", ["1000000000000", "9" * 30, "9" * 5000, "-5", "1e9", "\u00b2", "216001"]
)
def test_hostile_frame_counts_are_refused_before_memory_is_asked_for(tmp_path, count):
    text = CONTENT["body.bvh"].decode().replace("Frames: 4", f"Frames: {count}")
    path = tmp_path / "body.bvh"
    path.write_text(text)
    with pytest.raises(MotionFileError, match=r"body\.bvh: line \d+"):
        read_motion(path)


def test_many_joints_times_many_frames_are_refused(tmp_path):
    joints = 900 * "JOINT a {\nOFFSET 0 0 1\n"
    text = f"HIERARCHY\nROOT r {{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n{joints}"
    text += "}\n" * 901 + "MOTION\nFrames: 200000\nFrame Time: 0.01\n" + "0\n" * 1000
    (tmp_path / "wide.bvh").write_text(text)
    with pytest.raises(MotionFileError, match="200000 frames of 901 joints are more than"):
        read_motion(tmp_path / "wide.bvh")


def test_huge_numbers_do_not_reach_the_motion(tmp_path):
    text = CONTENT["studio.bvh"].decode().replace("3.000", "1e300")
    read_whatever(tmp_path, "studio.bvh", text.encode())
