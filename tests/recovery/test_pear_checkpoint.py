"""Weight files: every layout round-trips, and what is wrong with a bad one is said."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pear_weights import (
    WIDTH_DEPTH,
    backbone_shapes,
    light,
    random_weights,
    released_weights,
    tiny_weights,
    transformer_shapes,
)
from torch import Tensor

from pear_avatar.errors import CheckpointError
from pear_avatar.recovery.pear.checkpoint import (
    CHECKPOINT_VARIABLE,
    find_checkpoint,
    load_checkpoint,
    network_from_backbone,
    save_checkpoint,
)
from pear_avatar.recovery.pear.checkpoint_layouts import (
    VITPOSE_PLUS_EXPERTS,
    merge_experts,
    resize_positions,
)
from pear_avatar.recovery.pear.pear_config import BACKBONES, OutputSizes


def assert_same_weights(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value.to(found[name].dtype)), name


@pytest.mark.parametrize("size", ["vit-h", "vit-b"])
def test_released_layout_round_trips_strictly(size: str, tmp_path: Path) -> None:
    # Weights that repeat one number keep 2.7 GB out of the file and out of memory.
    weights = released_weights(size)
    torch.save(weights, tmp_path / "pear_model.pt")
    network = load_checkpoint(tmp_path / "pear_model.pt", dtype=None)
    assert network.config.name == size
    assert network.config.backbone == BACKBONES[size]
    assert network.config.outputs == OutputSizes(200, 50, 300, 50)
    assert_same_weights(dict(network.backbone.state_dict()), weights["backbone"])
    assert_same_weights(dict(network.head.state_dict()), weights["head"])


@pytest.mark.parametrize("size", WIDTH_DEPTH)
def test_a_state_dict_alone_decides_the_size(size: str, tmp_path: Path) -> None:
    torch.save(released_weights(size), tmp_path / "any_name.pt")
    assert load_checkpoint(tmp_path / "any_name.pt", dtype=None).config.name == size


def test_our_own_file_round_trips(tmp_path: Path) -> None:
    torch.save(tiny_weights(), tmp_path / "tiny.pt")
    network = load_checkpoint(tmp_path / "tiny.pt")
    save_checkpoint(tmp_path / "tiny.safetensors", network)
    again = load_checkpoint(tmp_path / "tiny.safetensors")
    assert again.config == network.config
    assert not again.training
    assert_same_weights(dict(again.state_dict()), dict(network.state_dict()))


def test_dtype_is_chosen_at_loading(tmp_path: Path) -> None:
    weights = tiny_weights()
    half = {part: {k: v.half() for k, v in w.items()} for part, w in weights.items()}
    torch.save(half, tmp_path / "half.pt")
    assert load_checkpoint(tmp_path / "half.pt").head.init_body_pose.dtype == torch.float32
    kept = load_checkpoint(tmp_path / "half.pt", dtype=None)
    assert {p.dtype for p in kept.parameters()} == {torch.float16}


def test_missing_unknown_and_misshapen_weights_are_listed(tmp_path: Path) -> None:
    weights = tiny_weights()
    weights["head"]["surprise.weight"] = torch.zeros(3)
    del weights["head"]["smplx_joint_decoder.bias"]
    del weights["backbone"]["blocks.1.norm2.weight"]
    weights["head"]["init_cam"] = torch.zeros(1, 4)
    torch.save(weights, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "bad.pt")
    message = str(caught.value)
    assert "bad.pt" in message
    assert "2 missing: backbone.blocks.1.norm2.weight, head.smplx_joint_decoder.bias" in message
    assert "1 unknown: head.surprise.weight" in message
    assert "head.init_cam is (1, 4) instead of (1, 3)" in message


def test_many_problems_are_counted_not_poured_out(tmp_path: Path) -> None:
    weights = tiny_weights()
    for key in [k for k in weights["head"] if ".1.fn." in k]:
        if "layers.0" not in key:
            del weights["head"][key]
    torch.save(weights, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="8 missing"):
        load_checkpoint(tmp_path / "bad.pt")


def test_positions_of_another_grid_are_interpolated(tmp_path: Path) -> None:
    weights = tiny_weights()
    ramp = torch.linspace(0, 1, 24)[:, None, None].expand(24, 18, 128).reshape(1, 432, 128)
    token = torch.full((1, 1, 128), 9.0)
    weights["backbone"]["pos_embed"] = torch.cat([token, ramp], dim=1)
    torch.save(weights, tmp_path / "large.pt")
    positions = load_checkpoint(tmp_path / "large.pt").backbone.pos_embed
    assert positions.shape == (1, 193, 128)
    assert torch.equal(positions[0, 0], token[0, 0])
    grid = positions[0, 1:, 0].reshape(16, 12)
    torch.testing.assert_close(grid, grid[:, :1].expand(16, 12))
    centres = (torch.arange(16) + 0.5) / 16 * 24 - 0.5
    # Cubic convolution is exact for constants and nearly so for ramps.
    torch.testing.assert_close(grid[2:-2, 0], (centres / 23)[2:-2], rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("count", "token"), [(197, True), (196, False), (192, False), (144, False)]
)
def test_grids_are_recognised(count: int, token: bool) -> None:
    resized = resize_positions({"pos_embed": torch.ones(1, count, 4)})["pos_embed"]
    assert resized.shape == (1, 193, 4)
    assert float(resized[0, 0, 0]) == float(token)
    torch.testing.assert_close(resized[:, 1:], torch.ones(1, 192, 4))


def test_a_grid_of_no_known_shape() -> None:
    with pytest.raises(CheckpointError, match="190 positions"):
        resize_positions({"pos_embed": torch.ones(1, 190, 4)})


def small_backbone(seed: int = 3) -> dict[str, Tensor]:
    return random_weights(backbone_shapes(192, 12), seed)


def test_vitpose_starts_a_backbone(tmp_path: Path) -> None:
    backbone = small_backbone()
    state = {f"backbone.{k}": v for k, v in backbone.items()}
    state["keypoint_head.final_layer.weight"] = torch.zeros(17, 4, 1, 1)
    torch.save({"state_dict": state, "meta": {"epoch": 210}}, tmp_path / "vitpose.pth")
    network = network_from_backbone(tmp_path / "vitpose.pth", outputs=OutputSizes(10, 5, 10, 5))
    assert network.config.name == "vit-ti"
    assert network.head.smplx_shape_decoder.out_features == 10
    assert_same_weights(dict(network.backbone.state_dict()), backbone)


def test_the_old_torch_format_is_read_too(tmp_path: Path) -> None:
    backbone = small_backbone()
    path = tmp_path / "old.pth"
    torch.save({"state_dict": backbone}, path, _use_new_zipfile_serialization=False)
    found = network_from_backbone(path).backbone.state_dict()
    assert_same_weights(dict(found), backbone)


def with_experts(backbone: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
    """A backbone as ViTPose+ stores it; expert k's rows are k."""
    state = {}
    for key, value in backbone.items():
        if ".mlp.fc2." in key:
            state[key] = value[:-rows]
            for k in range(len(VITPOSE_PLUS_EXPERTS)):
                part = key.replace("fc2", f"experts.{k}")
                state[part] = torch.full_like(value[-rows:], float(k))
        else:
            state[key] = value
    return state


def test_vitpose_plus_takes_the_rows_of_one_expert(tmp_path: Path) -> None:
    backbone = small_backbone()
    state = {f"backbone.{k}": v for k, v in with_experts(backbone, 48).items()}
    state["associate_keypoint_heads.0.final_layer.bias"] = torch.zeros(14)
    torch.save({"state_dict": state}, tmp_path / "plus.pth")
    for number, expert in ((5, "wholebody"), (0, "coco")):
        network = network_from_backbone(tmp_path / "plus.pth", expert=expert)
        fc2 = network.backbone.state_dict()["blocks.3.mlp.fc2.weight"]
        assert torch.equal(fc2[:-48], backbone["blocks.3.mlp.fc2.weight"][:-48])
        assert (fc2[-48:] == number).all()


def test_unknown_and_absent_experts() -> None:
    state = with_experts(small_backbone(), 48)
    with pytest.raises(ValueError, match="no expert 'cats'"):
        merge_experts(state, "cats")
    state = {k: v for k, v in state.items() if "experts.5" not in k}
    with pytest.raises(CheckpointError, match=r"none for wholebody: .*experts\.5"):
        merge_experts(state, "wholebody")


@pytest.fixture
def configuration_class() -> Iterator[type]:
    """A class that is importable while the file is written, as yacs is at the authors'."""
    module = types.ModuleType("yacs.config")

    class CfgNode(dict):  # type: ignore[type-arg]
        pass

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    saved = {name: sys.modules.get(name) for name in ("yacs", "yacs.config")}
    sys.modules["yacs"], sys.modules["yacs.config"] = types.ModuleType("yacs"), module
    yield CfgNode
    for name, old in saved.items():
        if old is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = old


def hmr2_state(backbone: dict[str, Tensor]) -> dict[str, Tensor]:
    state = {f"backbone.{k}": v for k, v in backbone.items()}
    decoder = {name: light(shape) for name, shape in transformer_shapes(192)}
    state |= {f"smpl_head.transformer.{k}": v for k, v in decoder.items()}
    state |= {"smpl_head.decpose.weight": light((144, 1024)), "discriminator.w": light((3, 3))}
    return state


def test_hmr2_starts_backbone_and_decoder_whatever_its_configuration_is(
    tmp_path: Path, configuration_class: type
) -> None:
    backbone = small_backbone()
    state = hmr2_state(backbone)
    settings = configuration_class(MODEL=configuration_class(IMAGE_SIZE=256))
    path = tmp_path / "epoch=35-step=1000000.ckpt"
    torch.save({"state_dict": state, "hyper_parameters": {"cfg": settings}, "epoch": 35}, path)
    del sys.modules["yacs.config"]  # the reader has no yacs
    network = network_from_backbone(path)
    assert_same_weights(dict(network.backbone.state_dict()), backbone)
    found = network.head.transformer.state_dict()["transformer.layers.2.1.fn.to_kv.weight"]
    assert torch.equal(found, light((1024, 192)))


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.system, ("echo this must never run > pwned",)


def test_code_in_a_file_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": small_backbone(), "extra": Malicious()}, tmp_path / "evil.ckpt")
    with pytest.raises(CheckpointError, match=r"more than weights \(.*system\)") as caught:
        network_from_backbone(tmp_path / "evil.ckpt")
    assert "state dict alone" in str(caught.value)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"not a weight file", b"PK\x03\x04broken"])
@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_broken_files_are_named(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(tmp_path / name)


def test_other_content_is_told_apart(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="holds a list"):
        load_checkpoint(tmp_path / "list.pt")
    torch.save({"net.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"no PEAR network .*net\.weight"):
        load_checkpoint(tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="no ViTPose-style backbone"):
        network_from_backbone(tmp_path / "other.pt")
    torch.save({"state_dict": small_backbone()}, tmp_path / "backbone.pth")
    with pytest.raises(CheckpointError, match="recovers no person"):
        load_checkpoint(tmp_path / "backbone.pth")


def test_newer_files_are_not_misread(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    metadata = {"format": "pear-avatar PEAR network", "version": "2"}
    save_file({"a": torch.zeros(1)}, tmp_path / "new.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match="version 2"):
        load_checkpoint(tmp_path / "new.safetensors")


def test_nothing_named_says_where_weights_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CHECKPOINT_VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=r"BestWJH/PEAR_models.*licence") as caught:
        find_checkpoint()
    assert CHECKPOINT_VARIABLE in str(caught.value)
    monkeypatch.setenv(CHECKPOINT_VARIABLE, str(tmp_path / "gone.pt"))
    with pytest.raises(FileNotFoundError, match=r"gone\.pt"):
        load_checkpoint()
    torch.save(tiny_weights(), tmp_path / "gone.pt")
    assert load_checkpoint().config.backbone.width == 128
