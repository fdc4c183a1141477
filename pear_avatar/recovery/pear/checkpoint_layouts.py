"""What the public weight files of this family look like, and how each becomes a PEAR network's.

Pure functions on state dicts; nothing here touches a file.

===================  ==========================================================================
layout               keys
===================  ==========================================================================
released PEAR        two state dicts, ``backbone`` and ``head``
our own              ``backbone.*`` and ``head.*``
ViTPose              ``backbone.*``, ``keypoint_head.*``, in ``state_dict``
ViTPose+             as ViTPose; ``fc2`` is cut short and ``mlp.experts.{0-5}`` complete it;
                     ``associate_keypoint_heads.*``
4D-Humans backbone   the backbone's keys without a prefix, in ``state_dict``
HMR2                 ``backbone.*``, ``smpl_head.*`` and losses, in ``state_dict``
===================  ==========================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pear_avatar.errors import CheckpointError, PearError
from pear_avatar.recovery.pear.checkpoint_files import (
    StateDict,
    listed,
    tensors_of,
)
from pear_avatar.recovery.pear.pear_config import (
    GRID,
    NUM_TOKENS,
    BackboneSize,
    DecoderSize,
    OutputSizes,
    PearConfig,
    backbone_heads,
)

__all__ = [
    "VITPOSE_PLUS_EXPERTS",
    "backbone_weights",
    "config_of",
    "decoder_weights",
    "merge_experts",
    "network_weights",
    "resize_positions",
]

#: The data sets whose experts ViTPose+ files hold, in the order of their numbers.
VITPOSE_PLUS_EXPERTS = ("coco", "aic", "mpii", "ap10k", "apt36k", "wholebody")

_BACKBONE = "backbone."
_HEAD = "head."
_OTHER_HEADS = ("keypoint_head.", "associate_keypoint_heads.")
_HMR2_DECODER = "smpl_head.transformer."
_EXPERT = re.compile(r"\.mlp\.experts\.(\d+)\.")
_DIM_HEAD = 64


def network_weights(content: Mapping[str, Any]) -> StateDict:
    """``backbone.*`` and ``head.*`` from the released layout or our own.

    Raises:
        CheckpointError: any other layout.
    """
    parts = {name: content.get(name) for name in ("backbone", "head")}
    if all(isinstance(part, Mapping) for part in parts.values()):
        weights: StateDict = {}
        for name, part in parts.items():
            assert isinstance(part, Mapping)
            weights |= {f"{name}.{key}": value for key, value in tensors_of(part).items()}
        return weights
    weights = tensors_of(content)
    if any(k.startswith(_BACKBONE) for k in weights) and any(k.startswith(_HEAD) for k in weights):
        return weights
    if _has_backbone(content):
        raise CheckpointError(
            "it holds a backbone without PEAR's head; it can start a network for training, "
            "but recovers no person"
        )
    raise CheckpointError(
        "it is no PEAR network (a 'backbone' and a 'head' were expected, found: "
        f"{listed(map(str, content)) or 'nothing'})"
    )


def backbone_weights(content: Mapping[str, Any], *, expert: str = "wholebody") -> StateDict:
    """A backbone's weights from any of the layouts, without their prefix.

    Args:
        content: what the file holds.
        expert: of a ViTPose+ file, which data set's part to take.

    Raises:
        CheckpointError: no backbone in it.
    """
    if isinstance(content.get("backbone"), Mapping):
        return tensors_of(content["backbone"])
    weights = _unwrap(content)
    prefixed = {k.removeprefix(_BACKBONE): v for k, v in weights.items() if k.startswith(_BACKBONE)}
    if not prefixed:
        prefixed = weights
    if "pos_embed" not in prefixed or "patch_embed.proj.weight" not in prefixed:
        raise CheckpointError(
            "it holds no ViTPose-style backbone (pos_embed and patch_embed.proj.weight were "
            f"expected, found: {listed(weights) or 'no weights'})"
        )
    kept = {k: v for k, v in prefixed.items() if not k.startswith(_OTHER_HEADS)}
    return merge_experts(kept, expert)


def decoder_weights(content: Mapping[str, Any]) -> StateDict | None:
    """HMR2's decoder (the keys of ``head.transformer``), None where there is none."""
    weights = _unwrap(content)
    found = {
        k.removeprefix(_HMR2_DECODER): v for k, v in weights.items() if k.startswith(_HMR2_DECODER)
    }
    return found or None


def merge_experts(weights: StateDict, expert: str) -> StateDict:
    """Complete the cut-off ``fc2`` of a ViTPose+ backbone with one data set's rows.

    Weights without experts come back as they are.
    """
    if not any(_EXPERT.search(key) for key in weights):
        return weights
    if expert not in VITPOSE_PLUS_EXPERTS:
        raise PearError(f"no expert {expert!r}; there are: {', '.join(VITPOSE_PLUS_EXPERTS)}")
    number = VITPOSE_PLUS_EXPERTS.index(expert)
    merged = {key: value for key, value in weights.items() if not _EXPERT.search(key)}
    for key in [k for k in merged if ".mlp.fc2." in k]:
        part = key.replace(".mlp.fc2.", f".mlp.experts.{number}.")
        if part not in weights:
            raise CheckpointError(f"it has experts, but none for {expert}: {part} is missing")
        merged[key] = torch.cat([merged[key], weights[part]])
    return merged


def resize_positions(weights: StateDict, key: str = "pos_embed") -> StateDict:
    """Bring position embeddings of another grid of patches to this network's, bicubically.

    Grids are 4 : 3 (people) or square (ImageNet), with or without a class token in front.
    """
    positions = weights[key]
    if positions.shape[1] == NUM_TOKENS + 1:
        return weights
    count, width = positions.shape[1:]
    for offset in (1, 0):
        grid = _grid_of(count - offset)
        if grid is not None:
            break
    else:
        raise CheckpointError(
            f"{key} has {count} positions, which is neither a square nor a 4 : 3 grid of patches"
        )
    patches = positions[:, offset:].transpose(1, 2).reshape(1, width, *grid)
    resized = torch.nn.functional.interpolate(
        patches.float(), size=GRID, mode="bicubic", align_corners=False
    )
    token = positions[:, :1] if offset else torch.zeros_like(positions[:, :1])
    moved = resized.flatten(2).transpose(1, 2).to(positions.dtype)
    return weights | {key: torch.cat([token, moved], dim=1)}


def config_of(weights: StateDict) -> PearConfig:
    """The sizes of the network that a full state dict (``backbone.*``, ``head.*``) belongs to."""
    head = f"{_HEAD}transformer.transformer.layers."
    decoder = DecoderSize(
        dim=_rows(weights, f"{_HEAD}transformer.to_token_embedding.weight"),
        depth=_count_layers(weights, head),
        heads=_rows(weights, f"{head}0.1.fn.to_q.weight") // _DIM_HEAD,
        dim_head=_DIM_HEAD,
        mlp_dim=_rows(weights, f"{head}0.2.fn.net.0.weight"),
    )
    outputs = OutputSizes(
        betas=_rows(weights, f"{_HEAD}smplx_shape_decoder.weight"),
        expression=_rows(weights, f"{_HEAD}smplx_expression_decoder.weight"),
        head_betas=_rows(weights, f"{_HEAD}flame_shape_decoder.weight"),
        head_expression=_rows(weights, f"{_HEAD}flame_expression_decoder.weight"),
    )
    return PearConfig(backbone_size(weights, _BACKBONE), decoder, outputs)


def backbone_size(weights: StateDict, prefix: str = "") -> BackboneSize:
    """The size of the backbone that a state dict belongs to."""
    width = _rows(weights, f"{prefix}patch_embed.proj.weight")
    depth = _count_layers(weights, f"{prefix}blocks.")
    return BackboneSize(width, depth, backbone_heads(width, depth))


def _has_backbone(content: Mapping[str, Any]) -> bool:
    try:
        backbone_weights(content)
    except CheckpointError:
        return False
    return True


def _unwrap(content: Mapping[str, Any]) -> StateDict:
    """Weights, taken out of ``state_dict`` and of data-parallel training's ``module.``."""
    inner = content.get("state_dict", content)
    weights = tensors_of(inner if isinstance(inner, Mapping) else content)
    return {key.removeprefix("module."): value for key, value in weights.items()}


def _grid_of(count: int) -> tuple[int, int] | None:
    if count < 1:
        return None
    unit = math.isqrt(count // 12)
    if count == 12 * unit * unit:
        return 4 * unit, 3 * unit
    side = math.isqrt(count)
    return (side, side) if side * side == count else None


def _rows(weights: StateDict, key: str) -> int:
    if key not in weights:
        raise CheckpointError(f"{key} is missing")
    tensor: Tensor = weights[key]
    return int(tensor.shape[0])


def _count_layers(weights: StateDict, prefix: str) -> int:
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    found = {int(m[1]) for m in map(pattern.match, weights) if m is not None}
    if not found:
        raise CheckpointError(f"{prefix}0 is missing")
    return max(found) + 1
