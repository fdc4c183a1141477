"""The OSC stream: every packet is valid OSC, and frames leave when their time has come."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch

from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.geometry.rotations import axis_angle_to_matrix, quat_wxyz_to_matrix
from pear_avatar.motion.osc import OscTarget, frame_bundles, osc_message, stream_motion
from pear_avatar.types import BodyParams, Motion


def motion(frames=3, face=True, fps=50.0):
    g = torch.Generator().manual_seed(0)
    params = BodyParams(
        torch.zeros(10),
        torch.rand(frames, 52, generator=g) if face else torch.zeros(frames, 52),
        axis_angle_to_matrix(torch.randn(frames, 55, 3, generator=g)),
        torch.randn(frames, 3, generator=g),
    )
    return Motion(params, 2.0 + np.arange(frames) / fps, "wave")


def parsed(packets):
    """(address, values) of every message, by an independent reader of the protocol."""
    osc_bundle = pytest.importorskip("pythonosc.osc_bundle", reason="python-osc is not installed")
    out = []
    for packet in packets:
        assert len(packet) <= 1400
        assert osc_bundle.OscBundle.dgram_is_bundle(packet)
        out += [(m.address, m.params) for m in osc_bundle.OscBundle(packet)]
    return out


def test_every_frame_is_valid_osc():
    source = motion()
    for n, packets in enumerate(frame_bundles(source)):
        messages = parsed(packets)
        assert messages[0][0] == "/pear/frame"
        assert messages[0][1][0] == n
        assert messages[0][1][1] == pytest.approx(n / 50, abs=1e-6)
        assert messages[-1] == ("/pear/end", [n])
        values = dict(messages)
        assert np.allclose(values["/pear/root"], source.params.transl[n].numpy(), atol=1e-6)
        assert np.allclose(values["/pear/expression"], source.params.expression[n].numpy())
        quats = torch.tensor([values[f"/pear/joint/{name}"] for name in JOINT_NAMES]).double()
        found = quat_wxyz_to_matrix(quats.roll(1, -1))  # x y z w -> w x y z
        # Numbers travel as float32.
        assert torch.allclose(found, source.params.rotations[n].double(), atol=1e-6)


def test_a_still_face_sends_none():
    packets = next(frame_bundles(motion(face=False)))
    assert "/pear/expression" not in [address for address, _ in parsed(packets)]


def test_messages_are_padded_to_four_bytes():
    # OSC 1.0: address, type tags and values each on a multiple of four, big-endian.
    assert osc_message("/abc", 1) == b"/abc\0\0\0\0,i\0\0\0\0\0\x01"
    assert osc_message("/ab", 1.0) == b"/ab\0,f\0\0\x3f\x80\0\0"


def test_frames_leave_in_real_time_and_late_ones_are_left_out():
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(5)
    now, slept = [100.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    def on_frame(sent):
        now[0] += 0.05 if sent == 2 else 0.0  # the second frame takes 2.5 frames' time

    with receiver:
        target = OscTarget("127.0.0.1", receiver.getsockname()[1])
        sent = stream_motion(
            motion(6), target, on_frame=on_frame, clock=lambda: now[0], sleep=sleep
        )
        assert sent == 5  # frames 0, 1, 3, 4, 5: frame 2 was overdue by more than a frame
        first = parsed([receiver.recv(2000)])
    assert first[0][0] == "/pear/frame"
    assert now[0] - 100 == pytest.approx(0.1, abs=0.011)  # five intervals of 20 ms
    assert all(s >= 0 for s in slept)


def test_a_loop_goes_on_until_interrupted():
    count = []

    def stop(sent):
        count.append(sent)
        if sent == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream_motion(
            motion(3), OscTarget("127.0.0.1", 9), loop=True, on_frame=stop, sleep=lambda s: None
        )
    assert count == list(range(1, 8))


@pytest.mark.parametrize(
    ("url", "host", "port", "loopback"),
    [
        ("osc://127.0.0.1:9000", "127.0.0.1", 9000, True),
        ("osc://localhost", "localhost", 9000, True),
        ("osc://[::1]:7", "::1", 7, True),
        ("osc://:8000", "127.0.0.1", 8000, True),
        ("osc://192.168.0.7:39539", "192.168.0.7", 39539, False),
        ("osc://game-pc:1", "game-pc", 1, False),
    ],
)
def test_addresses(url, host, port, loopback):
    target = OscTarget.parse(url)
    assert (target.host, target.port, target.is_loopback) == (host, port, loopback)


@pytest.mark.parametrize(
    "url", ["osc://a:0", "osc://a:x", "osc://a:99999", "udp://a:1", "osc://a/b"]
)
def test_bad_addresses(url):
    with pytest.raises(ValueError, match="is no OSC address"):
        OscTarget.parse(url)
