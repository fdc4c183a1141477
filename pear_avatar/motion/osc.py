"""A motion as a stream of OSC messages over UDP, for game engines and avatar programs.

Each frame is sent when its time has come, as OSC 1.0 bundles of these messages:

======================= ======= ================================================================
address                 types   values
======================= ======= ================================================================
``/pear/frame``         if      frame number, seconds since the motion began; first of a frame
``/pear/root``          fff     pelvis position in metres: right-handed, y up
``/pear/joint/NAME``    ffff    local rotation of one of the 55 joints, quaternion x y z w
``/pear/expression``    f...    expression coefficients of the body, where there are any
``/pear/end``           i       frame number; last of a frame
======================= ======= ================================================================

Bundles stay below the size that networks carry in one piece; a receiver collects what lies
between ``/pear/frame`` and ``/pear/end``.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.errors import PearError
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.types import BodyParams, Motion

__all__ = [
    "OscTarget",
    "OscValue",
    "frame_bundles",
    "frame_packets",
    "osc_bundles",
    "osc_message",
    "stream_motion",
]

OscValue = int | float | str

#: Payload that fits an Ethernet frame with room for IP and UDP headers.
_MAX_PACKET = 1400

#: OSC's time tag for "now".
_BUNDLE_HEAD = b"#bundle\x00" + struct.pack(">Q", 1)


@dataclass(frozen=True)
class OscTarget:
    """Where to send: host and UDP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> OscTarget:
        """From ``osc://HOST:PORT``; host 127.0.0.1 and port 9000 where they are left out.

        Raises:
            PearError: anything else.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme != "osc" or port == 0 or parts.path.strip("/") or parts.query:
            raise PearError(f"{url!r} is no OSC address such as osc://127.0.0.1:9000")
        return cls(parts.hostname or "127.0.0.1", port or 9000)

    @property
    def is_loopback(self) -> bool:
        """Whether the packets stay on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def osc_message(address: str, *values: OscValue) -> bytes:
    """One OSC 1.0 message of 32-bit integers, 32-bit floats and ASCII strings."""
    tags = "," + "".join(_tag(v) for v in values)
    body = b"".join(
        _pad(v) if isinstance(v, str) else struct.pack(f">{_tag(v)}", v) for v in values
    )
    return _pad(address) + _pad(tags) + body


def _tag(value: OscValue) -> str:
    return "s" if isinstance(value, str) else "i" if isinstance(value, int) else "f"


def frame_bundles(motion: Motion) -> Iterator[list[bytes]]:
    """For each frame its packets, in the order in which they are to be sent."""
    params = motion.params
    begin = float(motion.time[0])
    face = bool(params.expression.any())
    for n in range(params.num_frames):
        yield frame_packets(params[n], n, float(motion.time[n]) - begin, face=face)


def frame_packets(
    params: BodyParams, number: int, seconds: float, *, face: bool = True
) -> list[bytes]:
    """The packets of one frame.

    Args:
        params: without batch axes.
        number: of the frame.
        seconds: since the motion began.
        face: send the expression coefficients too.
    """
    xyzw = matrix_to_quat_wxyz(params.rotations.detach().double()).roll(-1, -1).cpu().tolist()
    messages = [
        osc_message("/pear/frame", number, seconds),
        osc_message("/pear/root", *params.transl.detach().double().cpu().tolist()),
    ]
    messages += [
        osc_message(f"/pear/joint/{name}", *quat)
        for name, quat in zip(JOINT_NAMES, xyzw, strict=True)
    ]
    if face:
        expression = params.expression.detach().double().cpu().tolist()
        messages.append(osc_message("/pear/expression", *expression))
    messages.append(osc_message("/pear/end", number))
    return osc_bundles(messages)


def stream_motion(
    motion: Motion,
    target: OscTarget,
    *,
    loop: bool = False,
    on_frame: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Send a motion in real time; returns the number of frames sent.

    A frame that is late by more than the next one's time is left out, so that a slow sender
    keeps the motion's speed.

    Args:
        motion: what to send.
        target: where to.
        loop: begin again at the end, until interrupted.
        on_frame: called with the number of frames sent so far.
        clock, sleep: seconds that pass; others than the real ones are for tests.

    Raises OSError where the host is unknown or nothing can be sent.
    """
    packets = list(frame_bundles(motion))
    time_of = np.asarray(motion.time, np.float64) - motion.time[0]
    length = float(time_of[-1]) + 1.0 / motion.fps
    family, kind, protocol, _, address = socket.getaddrinfo(
        target.host, target.port, type=socket.SOCK_DGRAM
    )[0]
    sent, begin = 0, clock()
    with socket.socket(family, kind, protocol) as udp:
        while True:
            for n, frame in enumerate(packets):
                late = clock() - begin - time_of[n]
                if late < 0:
                    sleep(-late)
                elif n + 1 < len(packets) and late > time_of[n + 1] - time_of[n]:
                    continue
                for packet in frame:
                    udp.sendto(packet, address)
                sent += 1
                if on_frame is not None:
                    on_frame(sent)
            if not loop:
                return sent
            begin += length
            sleep(max(0.0, begin - clock()))


def _pad(text: str) -> bytes:
    """ASCII, ended by one to four zero bytes up to a multiple of four."""
    raw = text.encode("ascii")
    return raw + b"\x00" * (4 - len(raw) % 4)


def osc_bundles(messages: list[bytes]) -> list[bytes]:
    """Messages in as few bundles as fit into single packets, in their order."""
    out, current = [], _BUNDLE_HEAD
    for message in messages:
        element = struct.pack(">i", len(message)) + message
        if len(current) + len(element) > _MAX_PACKET and current != _BUNDLE_HEAD:
            out.append(current)
            current = _BUNDLE_HEAD
        current += element
    out.append(current)
    return out
