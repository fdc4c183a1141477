"""The PEAR network against its description, and the fast engine against the network."""

from __future__ import annotations

from dataclasses import fields

import pear_recomputation
import pytest
import torch
from pear_weights import tiny_weights

from pear_avatar.geometry.rotations import rotation_6d_to_matrix
from pear_avatar.recovery.pear.checkpoint import load_checkpoint
from pear_avatar.recovery.pear.engine import CompiledFunction, PearEngine, best_dtype
from pear_avatar.recovery.pear.engine_layers import Packer
from pear_avatar.recovery.pear.folding import Affine, fold
from pear_avatar.recovery.pear.output import (
    PearOutput,
    body_params,
    crop_cameras,
    local_rotations,
)
from pear_avatar.recovery.pear.pear_config import BACKBONES, PearConfig, backbone_heads
from pear_avatar.recovery.pear.pear_network import PearNetwork

#: The tiny network is 128 wide with heads of 64; its decoder has two heads of 64.
HEADS, DECODER_HEADS = 2, 2


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, torch.Tensor]]:
    return tiny_weights()


@pytest.fixture(scope="module")
def network(
    weights: dict[str, dict[str, torch.Tensor]], tmp_path_factory: pytest.TempPathFactory
) -> PearNetwork:
    path = tmp_path_factory.mktemp("pear") / "tiny.pt"
    torch.save(weights, path)
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    return torch.rand(3, 3, 256, 256, generator=torch.Generator().manual_seed(5))


def assert_same(a: PearOutput, b: PearOutput, tolerance: float) -> None:
    for f in fields(PearOutput):
        difference = (getattr(a, f.name).double() - getattr(b, f.name).double()).abs().max()
        assert difference < tolerance, f"{f.name} differs by {difference:.3g}"


def test_equals_the_published_description(
    network: PearNetwork,
    weights: dict[str, dict[str, torch.Tensor]],
    crops: torch.Tensor,
) -> None:
    # float64 against float64: what is left is the order of summation.
    with torch.no_grad():
        output = load_again_in_double(network)(crops[:1].double())
        expected = pear_recomputation.network(
            crops[0].double(),
            {part: {k: v.double() for k, v in w.items()} for part, w in weights.items()},
            HEADS,
            DECODER_HEADS,
        )
    rotations = rotation_6d_to_matrix(output.rotation_6d[0])
    found = {
        "global_pose": rotations[:1],
        "body_pose": rotations[1:22],
        "left_hand_pose": rotations[22:37],
        "right_hand_pose": rotations[37:],
        "hand_scale": output.hand_scale[0],
        "head_scale": output.head_scale[0],
        "exp": output.expression[0],
        "shape": output.betas[0],
        "eye_pose_params": output.eye_pose[0].flatten(),
        "pose_params": output.head_pose[0],
        "jaw_params": output.jaw_pose[0],
        "eyelid_params": output.eyelids[0],
        "expression_params": output.head_expression[0],
        "shape_params": output.head_betas[0],
        "camera": output.camera[0],
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9, msg=name)


def load_again_in_double(network: PearNetwork) -> PearNetwork:
    copy = PearNetwork(network.config)
    copy.load_state_dict(network.state_dict())
    return copy.double().eval()


def test_float32_stays_within_1e5_of_the_description(
    network: PearNetwork, crops: torch.Tensor
) -> None:
    with torch.no_grad():
        exact = load_again_in_double(network)(crops.double())
        assert_same(network(crops), exact, 1e-4)  # depths of tens of metres among them
        near = network(crops).rotation_6d.double() - exact.rotation_6d
    assert near.abs().max() < 1e-5


def test_golden_output(network: PearNetwork, crops: torch.Tensor) -> None:
    """Numbers written down once: a change of conventions must not go unnoticed."""
    with torch.no_grad():
        output = network(crops[:1])
    found = torch.stack(
        [
            output.rotation_6d[0, 0, 0], output.rotation_6d[0, 51, 5], output.hand_scale[0, 0],
            output.head_scale[0, 2], output.betas[0, 6], output.expression[0, 4],
            output.eye_pose[0, 1, 2], output.head_pose[0, 1], output.jaw_pose[0, 0],
            output.eyelids[0, 1], output.head_betas[0, 5], output.head_expression[0, 3],
            output.camera[0, 0], output.camera[0, 2],
        ]
    )  # fmt: skip
    torch.testing.assert_close(found, torch.tensor(GOLDEN), rtol=1e-4, atol=1e-4)


#: From pear_recomputation in float64.
GOLDEN = [
    -3.570273,
    5.165641,
    1.088937,
    -0.082473,
    0.290515,
    4.42681,
    2.505354,
    -5.065116,
    3.631048,
    -4.074789,
    6.103536,
    -4.50182,
    -0.114696,
    2.922644,
]


def test_rotations_are_in_the_package_order(network: PearNetwork, crops: torch.Tensor) -> None:
    with torch.no_grad():
        output = network(crops)
    R = local_rotations(output)
    assert R.shape == (3, 55, 3, 3)
    eye = torch.eye(3).expand_as(R)
    torch.testing.assert_close(R @ R.transpose(-1, -2), eye, rtol=0, atol=1e-5)
    six = rotation_6d_to_matrix(output.rotation_6d)
    torch.testing.assert_close(R[:, :22], six[:, :22])
    torch.testing.assert_close(R[:, 25:], six[:, 22:])


def test_crops_of_another_shape_are_refused(network: PearNetwork) -> None:
    for call in (network, PearEngine(network, dtype=torch.float32)):
        with pytest.raises(ValueError, match=r"\(B, 3, 256, 256\), got \(1, 3, 256, 192\)"):
            call(torch.zeros(1, 3, 256, 192))


def test_columns_outside_the_middle_are_not_seen(network: PearNetwork, crops: torch.Tensor) -> None:
    changed = crops.clone()
    changed[..., :32] = 0
    changed[..., -32:] = 1
    with torch.no_grad():
        assert_same(network(crops), network(changed), 1e-9)


def test_folding_is_exact(network: PearNetwork, crops: torch.Tensor) -> None:
    engine = PearEngine(network, dtype=torch.float32)
    with torch.no_grad():
        assert_same(engine(crops), network(crops), 2e-4)
        assert (engine(crops).rotation_6d - network(crops).rotation_6d).abs().max() < 1e-5


def test_engine_in_bfloat16_stays_near(network: PearNetwork, crops: torch.Tensor) -> None:
    engine = PearEngine(network, dtype=torch.bfloat16)
    with torch.no_grad():
        exact, found = network(crops), engine(crops)
    # The outputs have a standard deviation of about one; bfloat16 has 8 bits.
    for name in ("rotation_6d", "betas", "head_betas", "jaw_pose"):
        assert (getattr(found, name) - getattr(exact, name)).abs().mean() < 0.03
    assert found.camera.dtype == torch.float32


def test_engine_gives_the_same_for_one_and_for_many(
    network: PearNetwork, crops: torch.Tensor
) -> None:
    engine = PearEngine(network, dtype=torch.float32)
    assert_same(engine(crops)[1:2], engine(crops[1:2]), 1e-4)


def test_engine_leaves_its_input_and_the_network_alone(
    network: PearNetwork, crops: torch.Tensor
) -> None:
    before, state = crops.clone(), {k: v.clone() for k, v in network.state_dict().items()}
    PearEngine(network)(crops)
    assert torch.equal(before, crops)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in state.items())


def test_a_compiler_that_fails_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(function: object, **_options: object) -> object:
        def fail(_x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no compiler found\nand a long story")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    function = CompiledFunction(lambda x: x + x.new_ones(2))
    with caplog.at_level("WARNING"):
        assert function(torch.ones(2)).tolist() == [2, 2]
    assert "no compiler found); it runs uncompiled" in caplog.text
    with pytest.raises(RuntimeError, match="must match the size"):
        function(torch.ones(3))


def test_packed_layers_equal_plain_ones() -> None:
    torch.manual_seed(0)
    affine = Affine(torch.randn(40, 64) / 8, torch.randn(40))
    pack = Packer(torch.device("cpu"), torch.bfloat16, 5)
    x = torch.randn(2, 5, 64).bfloat16()
    expected = torch.nn.functional.linear(x.float(), affine.weight, affine.bias)
    torch.testing.assert_close(pack(affine)(x).float(), expected, rtol=0.02, atol=0.05)
    gelu = torch.nn.functional.gelu(expected)
    torch.testing.assert_close(pack(affine, gelu=True)(x).float(), gelu, rtol=0.02, atol=0.05)


def test_best_dtype_is_one_that_engines_take() -> None:
    assert best_dtype("cpu") in (torch.float32, torch.bfloat16)


def test_everything_is_made_on_the_device(network: PearNetwork) -> None:
    """The meta device computes shapes only, and refuses tensors of other devices, as CUDA does."""
    away = PearNetwork(network.config).to("meta")
    output = away(torch.zeros(2, 3, 256, 256, device="meta"))
    engine = PearEngine(away, device="meta", dtype=torch.bfloat16)
    found = engine(torch.zeros(2, 3, 256, 256, device="meta"))
    for f in fields(PearOutput):
        assert getattr(found, f.name).device.type == "meta"
        assert getattr(found, f.name).shape == getattr(output, f.name).shape
        assert getattr(found, f.name).dtype == torch.float32
    assert local_rotations(found).shape == (2, 55, 3, 3)
    assert body_params(found, torch.zeros(2, 3, device="meta")).transl.device.type == "meta"
    assert crop_cameras(torch.ones(2, 3, device="meta"), 9, 9).K.device.type == "meta"


def test_folded_sizes(network: PearNetwork) -> None:
    folded = fold(network)
    assert folded.outputs.weight.shape == (312 + 6 + 7 + 5 + 14 + 6 + 4 + 3, 32)
    assert folded.patches.weight.shape == (128, 768)
    assert len(folded.layers) == 3


def test_a_fresh_network_shows_a_person_standing_upright() -> None:
    torch.manual_seed(0)
    network = PearNetwork(PearConfig.named("vit-ti")).eval()
    with torch.no_grad():
        output = network(torch.rand(1, 3, 256, 256))
    R = local_rotations(output)[0]
    # Upright in a camera with y down, facing it: half a turn about x.
    assert (R[0].diagonal() - torch.tensor([1.0, -1.0, -1.0])).abs().max() < 0.1
    assert (R[1:22].diagonal(dim1=1, dim2=2) - 1).abs().max() < 0.1
    assert (output.head_scale - 1).abs().max() < 0.1
    assert abs(float(output.camera[0, 2]) - 16) < 2


def test_training_recomputes_the_same_gradient(crops: torch.Tensor) -> None:
    torch.manual_seed(0)
    config = PearConfig.named("vit-ti")
    plain, thrifty = PearNetwork(config), PearNetwork(config, recompute=True)
    thrifty.load_state_dict(plain.state_dict())
    for net in (plain, thrifty):
        net.train()(crops[:1]).rotation_6d.square().sum().backward()
    a, b = (n.backbone.blocks[0].attn.qkv.weight.grad for n in (plain, thrifty))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", BACKBONES)
def test_heads_follow_from_width_and_depth(name: str) -> None:
    size = BACKBONES[name]
    assert backbone_heads(size.width, size.depth) == size.heads
    assert PearConfig.named(name).name == name


def test_unknown_sizes() -> None:
    with pytest.raises(ValueError, match="no backbone 'vit-x'"):
        PearConfig.named("vit-x")
    with pytest.raises(ValueError, match="no multiple of 64"):
        backbone_heads(100, 3)
