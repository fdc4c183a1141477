"""Outputs of a live run, received by others' code."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest
import torch
from pythonosc.osc_bundle import OscBundle

from pear_avatar.body import load_body
from pear_avatar.errors import PearError
from pear_avatar.live.senders import Senders, SentPose, open_sender, pose_message
from pear_avatar.types import BodyParams


def pose(number: int = 0) -> SentPose:
    body = load_body()
    params = BodyParams(
        torch.zeros(2),
        torch.zeros(body.num_expression),
        torch.eye(3).repeat(55, 1, 1),
        torch.tensor([0.1, 0.9, 0.0]),
    )
    return SentPose(params, body.joint_template, {"jawOpen": 0.5}, number, 0.04 * number)


@pytest.mark.parametrize(
    ("scheme", "address"), [("osc", "/pear/joint/left_elbow"), ("vmc", "/VMC/Ext/Bone/Pos")]
)
def test_udp_packets_arrive(scheme: str, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5.0)
        sender = open_sender(f"{scheme}://127.0.0.1:{receiver.getsockname()[1]}")
        sender.send(pose())
        sender.close()
        found = set()
        while address not in found:
            found |= {m.address for m in OscBundle(receiver.recv(2000))}
    assert address in found


def test_websocket_clients_with_the_token_get_json() -> None:
    client_module = pytest.importorskip("websockets.sync.client")
    sender = open_sender("ws://0")
    url = sender.description.split()[-1]
    with client_module.connect(url) as client:
        for number in range(200):  # until the server has taken the client in
            sender.send(pose(number))
            try:
                message = json.loads(client.recv(timeout=0.05))
                break
            except TimeoutError:
                continue
    assert message["joints"]["pelvis"] == [0, 0, 0, 1]
    assert message["actions"] == {"jawOpen": 0.5}
    assert message["transl"] == pytest.approx([0.1, 0.9, 0.0])
    stranger = client_module.connect(url.rsplit("/", 1)[0] + "/guess")
    with pytest.raises(Exception, match="1008"):
        stranger.recv(timeout=5)
    sender.close()


@pytest.mark.parametrize("url", ["ws://0.0.0.0:1", "http://x:1", "osc://", "osc://a:b", "vmc://:x"])
def test_other_addresses_are_refused(url: str) -> None:
    if url == "osc://":
        open_sender(url).close()  # the usual host and port
        return
    with pytest.raises(PearError):
        open_sender(url)


def test_one_output_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        description = "a broken output"
        closed = False

        def send(self, pose: SentPose) -> None:
            raise OSError("gone")

        def close(self) -> None:
            self.closed = True

    class Working(Broken):
        description, sent = "a working one", 0

        def send(self, pose: SentPose) -> None:
            self.sent += 1

    broken, working = Broken(), Working()
    senders = Senders([broken, working])
    senders.send(pose(0))
    senders.send(pose(1))
    assert working.sent == 2
    assert broken.closed
    assert "a broken output stopped: gone" in caplog.text


def test_the_message_is_plain_json() -> None:
    message = json.loads(json.dumps(pose_message(pose(3))))
    assert message["frame"] == 3
    assert len(message["joints"]) == 55
    assert np.allclose(message["joints"]["left_wrist"], [0, 0, 0, 1])
