"""A PEAR network rewritten, exactly, into fewer and smaller products.

Nothing here approximates; in exact arithmetic the folded network is the network:

* the scale and shift of every layer norm, the attention's 1 / sqrt(d) and the normalisation of
  the pixels move into the linear layer that follows;
* the decoder has one query token, so its self-attention has nothing to choose from: it is one
  product with W_out W_v;
* with one query a head, q . (W_k c) = (W_k^T q) . c and sum_t p_t (W_v c_t) = W_v (sum_t p_t c_t):
  keys and values of the 192 image tokens are never made, which leaves a matrix-vector product
  where there was a matrix product;
* the shift of the backbone's last norm adds the same to every token's score, which a softmax
  does not see, and the same to every value, which becomes part of a bias;
* the token starts as a constant, so the first layer's self-attention and query are constants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pear_avatar.recovery.pear.pear_config import (
    CAMERA_SCALE_BIAS,
    NUM_MEAN_ROTATIONS,
    PIXEL_MEAN,
    PIXEL_STD,
    PearConfig,
)
from pear_avatar.recovery.pear.pear_network import PearNetwork

__all__ = ["Affine", "FoldedBlock", "FoldedDecoderLayer", "FoldedPear", "fold"]


@dataclass(frozen=True)
class Affine:
    """``x -> weight x + bias``: (out, in) and (out,)."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class FoldedBlock:
    """One transformer block; its inputs are normalised without scale and shift."""

    qkv: Affine
    proj: Affine
    fc1: Affine
    fc2: Affine


@dataclass(frozen=True)
class FoldedDecoderLayer:
    """One decoder layer of H heads of d numbers, on image tokens D wide.

    attend:  self-attention, (dim, dim).
    query:   (H d, dim), with the attention's scale.
    key:     (H, d, D), from a head's query to a direction in token space.
    value:   (H, D, d), from a head's mean token to its value.
    out:     (dim, H d).
    """

    attend: Affine
    query: Affine
    key: Tensor
    value: Tensor
    out: Affine
    fc1: Affine
    fc2: Affine


@dataclass(frozen=True)
class FoldedPear:
    """A whole network.

    patches:      (D, 768) from a patch's raw RGB in [0, 1], channel-major, to its token.
    padding:      (3,) the raw colour that the network sees outside the crop.
    positions:    (192, D).
    blocks:       of the backbone, each made when it is asked for, once: a large network need not
                  fit into memory a second time.
    layers:       of the decoder.
    first_token:  (dim,) the token after the first layer's self-attention.
    first_key:    (H, D) the first layer's directions in token space.
    outputs:      (935 for the released sizes, dim) all linear layers at once, with the mean pose
                  and the camera's bias.
    output_widths: names and widths of its parts.
    """

    config: PearConfig
    patches: Affine
    padding: Tensor
    positions: Tensor
    blocks: Iterator[FoldedBlock]
    layers: tuple[FoldedDecoderLayer, ...]
    first_token: Tensor
    first_key: Tensor
    outputs: Affine
    output_widths: dict[str, int]


@torch.no_grad()
def fold(network: PearNetwork) -> FoldedPear:
    """Rewrite a network; float32 results of products made in float64."""
    # Sub-modules are looked up by their published names, which no type checker knows.
    backbone: Any = network.backbone
    head: Any = network.head
    heads = network.config.backbone.heads
    blocks = (_fold_block(block, heads) for block in backbone.blocks)
    stack = head.transformer.transformer.layers
    layers = tuple(
        _fold_decoder_layer(layer, backbone.last_norm, network.config) for layer in stack
    )
    embedding = head.transformer.to_token_embedding.bias + head.transformer.pos_embedding[0, 0]
    first, key = _first_token(embedding.double(), layers[0])
    patches = _fold_pixels(backbone.patch_embed.proj)
    positions = (backbone.pos_embed[0, 1:] + backbone.pos_embed[0, :1]).detach()
    return FoldedPear(
        config=network.config,
        patches=patches,
        padding=torch.tensor(PIXEL_MEAN),
        positions=positions.float(),
        blocks=blocks,
        layers=layers,
        first_token=first.float(),
        first_key=key.float(),
        outputs=_fold_outputs(network),
        output_widths=dict(head.widths),
    )


def _affine(weight: Tensor, bias: Tensor | None) -> Affine:
    bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
    return Affine(weight.detach().float().contiguous(), bias.detach().float().contiguous())


def _after_norm(norm: nn.LayerNorm, linear: nn.Linear) -> Affine:
    """A linear layer that takes a layer norm's scale and shift upon itself."""
    weight = linear.weight.double()
    bias = weight @ norm.bias.double()
    if linear.bias is not None:
        bias = bias + linear.bias.double()
    return _affine(weight * norm.weight.double(), bias)


@torch.no_grad()
def _fold_block(block: Any, heads: int) -> FoldedBlock:
    attention, mlp = block.attn, block.mlp
    qkv = _after_norm(block.norm1, attention.qkv)
    width = attention.proj.weight.shape[0]
    scale = torch.ones(3 * width, device=qkv.weight.device)
    scale[:width] = (width // heads) ** -0.5
    return FoldedBlock(
        qkv=Affine(qkv.weight * scale[:, None], qkv.bias * scale),
        proj=_affine(attention.proj.weight, attention.proj.bias),
        fc1=_after_norm(block.norm2, mlp.fc1),
        fc2=_affine(mlp.fc2.weight, mlp.fc2.bias),
    )


def _fold_decoder_layer(
    layer: Any, context_norm: nn.LayerNorm, config: PearConfig
) -> FoldedDecoderLayer:
    attend, cross, feed = layer
    size = config.decoder
    value_rows = attend.fn.to_qkv.weight.double()[2 * size.inner :]
    out, out_bias = attend.fn.to_out[0].weight.double(), attend.fn.to_out[0].bias
    combined = nn.Linear(size.dim, size.dim, device="meta")
    combined.weight = nn.Parameter(out @ value_rows)
    combined.bias = nn.Parameter(out_bias.double())

    query = _after_norm(cross.norm, cross.fn.to_q)
    scale = size.dim_head**-0.5
    key, value = cross.fn.to_kv.weight.double().chunk(2)
    shift = value @ context_norm.bias.double()
    gain = context_norm.weight.double()
    cross_out = cross.fn.to_out[0]
    return FoldedDecoderLayer(
        attend=_after_norm(attend.norm, combined),
        query=Affine(query.weight * scale, query.bias * scale),
        key=(key * gain).unflatten(0, (size.heads, size.dim_head)).float().contiguous(),
        value=(value * gain)
        .unflatten(0, (size.heads, size.dim_head))
        .transpose(1, 2)
        .float()
        .contiguous(),
        out=_affine(cross_out.weight, cross_out.weight.double() @ shift + cross_out.bias.double()),
        fc1=_after_norm(feed.norm, feed.fn.net[0]),
        fc2=_affine(feed.fn.net[3].weight, feed.fn.net[3].bias),
    )


def _first_token(token: Tensor, layer: FoldedDecoderLayer) -> tuple[Tensor, Tensor]:
    """The token after the first self-attention, and the first layer's keys for it."""

    def apply(affine: Affine, x: Tensor) -> Tensor:
        normal = torch.nn.functional.layer_norm(x, x.shape)
        return affine.weight.double() @ normal + affine.bias.double()

    token = token + apply(layer.attend, token)
    heads, dim_head, _ = layer.key.shape
    query = apply(layer.query, token).view(heads, 1, dim_head)
    return token, (query @ layer.key.double()).squeeze(1)


def _fold_pixels(conv: nn.Conv2d) -> Affine:
    """The patch convolution as a product with raw pixels; see ``padding`` for the border."""
    weight = conv.weight.double()
    mean, std = (weight.new_tensor(v).view(1, 3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    raw = weight / std
    bias = -(raw * mean).sum((1, 2, 3))
    if conv.bias is not None:
        bias = bias + conv.bias.double()
    return _affine(raw.flatten(1), bias)


def _fold_outputs(network: PearNetwork) -> Affine:
    head = network.head
    layers: dict[str, Any] = {name: head.get_submodule(name) for name in head.widths}
    biases = {name: layer.bias.clone() for name, layer in layers.items()}
    mean = 6 * NUM_MEAN_ROTATIONS
    biases["smplx_poses_decoder"][:mean] += head.init_body_pose[0, :mean]
    biases["cam_decoder"][2] += CAMERA_SCALE_BIAS
    weight = torch.cat([layer.weight for layer in layers.values()])
    return _affine(weight, torch.cat(list(biases.values())))
