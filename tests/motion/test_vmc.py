"""VMC, read back by an independent OSC parser and put together as Unity would."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pythonosc.osc_bundle import OscBundle
from scipy.spatial.transform import Rotation

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, PARENTS
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.vmc import UNITY_BONES, preset_weights, vmc_packets


def messages(packets: list[bytes]) -> list[tuple[str, list]]:
    found = []
    for packet in packets:
        found += [(m.address, list(m.params)) for m in OscBundle(packet)]
    return found


def test_every_joint_has_one_bone_of_unity() -> None:
    assert set(UNITY_BONES) == set(JOINT_NAMES)
    assert len(set(UNITY_BONES.values())) == len(JOINT_NAMES)


@pytest.mark.parametrize("seed", range(3))
def test_the_skeleton_in_unity_is_our_mirror_image(seed: int) -> None:
    """Forward kinematics in left-handed axes from the messages alone."""
    body = load_body()
    generator = torch.Generator().manual_seed(seed)
    R = axis_angle_to_matrix(0.5 * torch.randn(55, 3, generator=generator))
    t = torch.tensor([0.3, 0.1, -0.2])
    rest = body.joint_template
    packets = vmc_packets(R, rest, t + rest[0], time=1.5, actions={"jawOpen": 0.4})
    assert max(map(len, packets)) <= 1400
    bones = {p[0]: p[1:] for address, p in messages(packets) if address == "/VMC/Ext/Bone/Pos"}
    place: dict[int, np.ndarray] = {}
    turn: dict[int, np.ndarray] = {}
    for joint, name in enumerate(JOINT_NAMES):
        values = bones[UNITY_BONES[name]]
        # A left-handed quaternion in the mirrored space acts as the right-handed one reflected.
        x, y, z, w = values[3:]
        local = Rotation.from_quat([x, y, z, w]).as_matrix()
        offset = np.array(values[:3])
        parent = PARENTS[joint]
        if parent < 0:
            turn[joint], place[joint] = local, offset
        else:
            turn[joint] = turn[parent] @ local
            place[joint] = place[parent] + turn[parent] @ offset
    ours = body.shape(torch.zeros(body.num_betas)).pose(R, t).joints.numpy()
    unity = np.stack([place[k] for k in range(55)])
    assert np.abs(unity * [-1, 1, 1] - ours).max() < 1e-4  # float32 on the wire


def test_the_message_order_and_the_face() -> None:
    body = load_body()
    rest = body.joint_template
    packets = vmc_packets(
        torch.eye(3).repeat(55, 1, 1),
        rest,
        rest[0],
        time=2.0,
        actions={"eyeBlinkLeft": 1.0, "mouthPucker": 0.5},
    )
    found = messages(packets)
    addresses = [a for a, _ in found]
    assert addresses[:3] == ["/VMC/Ext/OK", "/VMC/Ext/T", "/VMC/Ext/Root/Pos"]
    assert addresses[-1] == "/VMC/Ext/Blend/Apply"
    values = {p[0]: p[1] for a, p in found if a == "/VMC/Ext/Blend/Val"}
    assert values["EyeBlinkLeft"] == 1.0
    assert values["Blink_L"] == 1.0
    assert values["Blink"] == pytest.approx(0.5)
    assert values["U"] == pytest.approx(0.5)
    assert bones_at_rest(found)


def bones_at_rest(found: list[tuple[str, list]]) -> bool:
    quats = [p[4:] for a, p in found if a == "/VMC/Ext/Bone/Pos"]
    return all(np.allclose(q, [0, 0, 0, 1]) for q in quats)


def test_presets_stay_in_their_range() -> None:
    assert preset_weights({"jawOpen": 3.0})["A"] == 1.0
    assert preset_weights({"jawOpen": -1.0})["A"] == 0.0
    assert set(preset_weights({}).values()) == {0.0}


def test_the_left_arm_goes_to_unitys_left() -> None:
    rest = load_body().joint_template
    packets = vmc_packets(torch.eye(3).repeat(55, 1, 1), rest, rest[0], time=0.0)
    bones = {p[0]: p[1:] for a, p in messages(packets) if a == "/VMC/Ext/Bone/Pos"}
    # In Unity a character that faces +z has its left at -x.
    assert bones["LeftUpperArm"][0] < 0
    assert JOINT_INDEX["left_shoulder"] == 16
