"""Where a live pose goes besides the page: OSC, VMC, WebSocket clients, a virtual camera.

Each sender takes the poses of the first avatar as they are drawn. One that fails (a host that is
gone, a camera that was taken away) says so once and is left out; the others go on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.errors import PearError
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.motion.osc import OscTarget, frame_packets
from pear_avatar.motion.vmc import vmc_packets
from pear_avatar.types import BodyParams

__all__ = [
    "OscSender",
    "PoseSender",
    "Senders",
    "SentPose",
    "VirtualCamera",
    "VmcSender",
    "WebSocketSender",
    "open_sender",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SentPose:
    """What senders get for one picture.

    params:      of the first avatar, without batch axes. rest_joints: (55, 3) m, its T-pose.
    actions:     ARKit's facial actions by name, in [0, 1].
    number:      of the picture. time: seconds of the source.
    picture:     (H, W, 3) uint8, None where nothing is drawn.
    """

    params: BodyParams
    rest_joints: Tensor
    actions: dict[str, float]
    number: int
    time: float
    picture: np.ndarray | None = None


class PoseSender(Protocol):
    """One output."""

    @property
    def description(self) -> str:
        """What is sent where, for the terminal."""

    def send(self, pose: SentPose) -> None:
        """Send one frame; OSError where that fails."""

    def close(self) -> None:
        """Free what was opened."""


class _Udp:
    """A UDP socket with a fixed target."""

    def __init__(self, target: OscTarget) -> None:
        try:
            family, kind, protocol, _, self._address = socket.getaddrinfo(
                target.host, target.port, type=socket.SOCK_DGRAM
            )[0]
        except OSError as error:
            raise PearError(f"{target.host}:{target.port} cannot be reached ({error})") from error
        self._socket = socket.socket(family, kind, protocol)
        self.target = target

    def send_all(self, packets: Sequence[bytes]) -> None:
        for packet in packets:
            self._socket.sendto(packet, self._address)

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()


class OscSender(_Udp):
    """The messages of :mod:`pear_avatar.motion.osc`."""

    @property
    def description(self) -> str:
        """What is sent where."""
        return f"OSC to {self.target.host}:{self.target.port}"

    def send(self, pose: SentPose) -> None:
        """Send one frame."""
        self.send_all(frame_packets(pose.params, pose.number, pose.time))


class VmcSender(_Udp):
    """The Virtual Motion Capture protocol; the avatar stands on a floor at height 0."""

    @property
    def description(self) -> str:
        """What is sent where."""
        return f"VMC to {self.target.host}:{self.target.port}"

    def send(self, pose: SentPose) -> None:
        """Send one frame."""
        pelvis = pose.params.transl + pose.rest_joints[0]
        self.send_all(
            vmc_packets(
                pose.params.rotations,
                pose.rest_joints,
                pelvis,
                time=pose.time,
                actions=pose.actions,
            )
        )


class WebSocketSender:
    """JSON to every client of a WebSocket on loopback; the address holds a random token.

    One text message a frame: ``{"frame", "time", "transl": [3], "joints": {name: [x, y, z, w]},
    "actions": {name: strength}}``, in our axes (right-handed, y up).
    """

    def __init__(self, port: int) -> None:
        try:
            from websockets.sync.server import serve
        except ModuleNotFoundError as error:
            raise PearError(
                "websockets is not installed: pip install 'pear-avatar[live]'"
            ) from error
        self._token = secrets.token_urlsafe(16)
        self._clients: set[Any] = set()
        self._lock = threading.Lock()
        try:
            self._server = serve(self._serve, host="127.0.0.1", port=port)
        except OSError as error:
            raise PearError(f"port {port} cannot be used ({error}): choose another") from error
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        number = int(self._server.socket.getsockname()[1])
        self.url = f"ws://127.0.0.1:{number}/{self._token}"

    @property
    def description(self) -> str:
        """What is sent where."""
        return f"WebSocket at {self.url}"

    def _serve(self, client: Any) -> None:
        given = str(client.request.path).strip("/")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            client.close(1008, "wrong token")
            return
        with self._lock:
            self._clients.add(client)
        try:
            for _ in client:  # nothing is read from clients; this waits until they leave
                pass
        finally:
            with self._lock:
                self._clients.discard(client)

    def send(self, pose: SentPose) -> None:
        """Send one frame to every client; clients that are gone are dropped."""
        with self._lock:
            clients = list(self._clients)
        if not clients:
            return
        text = json.dumps(pose_message(pose))
        for client in clients:
            try:
                client.send(text)
            except Exception:  # whatever ended it, the client is gone
                with self._lock:
                    self._clients.discard(client)

    def close(self) -> None:
        """Close every connection."""
        self._server.shutdown()


class VirtualCamera:
    """The drawn picture as a camera of this system, where the system has one."""

    def __init__(self, size: tuple[int, int], fps: float) -> None:
        try:
            import pyvirtualcam
        except ModuleNotFoundError as error:
            raise PearError(
                "pyvirtualcam is not installed: pip install 'pear-avatar[live]'"
            ) from error
        try:
            self._camera = pyvirtualcam.Camera(width=size[0], height=size[1], fps=fps)
        except RuntimeError as error:
            raise PearError(
                f"this system offers no virtual camera ({error}): on Linux load v4l2loopback, "
                "on Windows and macOS install OBS"
            ) from error

    @property
    def description(self) -> str:
        """What is sent where."""
        return f"virtual camera {self._camera.device}"

    def send(self, pose: SentPose) -> None:
        """Show one picture."""
        if pose.picture is not None:
            self._camera.send(pose.picture)

    def close(self) -> None:
        """Release the camera."""
        self._camera.close()


class Senders:
    """Several outputs; a ``with``-less bundle whose members fail one by one."""

    def __init__(self, members: Sequence[PoseSender]) -> None:
        self._members = list(members)

    @property
    def wanted(self) -> bool:
        """Whether anything is left to send to."""
        return bool(self._members)

    def send(self, pose: SentPose) -> None:
        """Send one frame to all; a member that fails is logged and left out."""
        for member in list(self._members):
            try:
                member.send(pose)
            except (OSError, RuntimeError) as error:
                _log.warning("%s stopped: %s", member.description, error)
                self._members.remove(member)
                member.close()

    def close(self) -> None:
        """Close all."""
        for member in self._members:
            with contextlib.suppress(OSError):
                member.close()


def open_sender(url: str) -> PoseSender:
    """``osc://HOST:PORT``, ``vmc://HOST:PORT`` (39539 if left out) or ``ws://PORT``.

    Raises:
        PearError: another address, an unknown host, or a port that is taken.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "ws":
        if not (rest.isascii() and rest.isdigit() and int(rest[:6]) < 65536):
            raise PearError(f"{url!r}: give the port alone, such as ws://8765 (0 takes a free one)")
        return WebSocketSender(int(rest))
    if separator and scheme == "vmc":
        named = rest if ":" in rest else f"{rest or '127.0.0.1'}:39539"
        return VmcSender(OscTarget.parse(f"osc://{named}"))
    return OscSender(OscTarget.parse(url))


def pose_message(pose: SentPose) -> dict[str, Any]:
    """One frame as JSON values; see :class:`WebSocketSender`."""
    xyzw = matrix_to_quat_wxyz(pose.params.rotations).roll(-1, -1).tolist()
    return {
        "frame": pose.number,
        "time": round(pose.time, 4),
        "transl": [round(v, 5) for v in pose.params.transl.tolist()],
        "joints": {
            name: [round(v, 6) for v in quat] for name, quat in zip(JOINT_NAMES, xyzw, strict=True)
        },
        "actions": {name: round(value, 4) for name, value in pose.actions.items() if value},
    }
