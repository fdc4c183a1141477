"""State dicts of PEAR networks written down from the published key tables, not from our modules."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

WIDTH_DEPTH = {
    "vit-ti": (192, 12),
    "vit-s": (384, 12),
    "vit-b": (768, 12),
    "vit-l": (1024, 24),
    "vit-h": (1280, 32),
}
BUFFERS = {
    "init_body_pose": 318,
    "init_betas": 10,
    "init_betas_kid": 11,
    "init_cam": 3,
    "init_expression": 10,
}


def backbone_shapes(width: int, depth: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "patch_embed.proj.weight", (width, 3, 16, 16)
    yield "patch_embed.proj.bias", (width,)
    yield "pos_embed", (1, 193, width)
    linear = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    linear |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    for i in range(depth):
        for norm in ("norm1", "norm2"):
            yield f"blocks.{i}.{norm}.weight", (width,)
            yield f"blocks.{i}.{norm}.bias", (width,)
        for name, shape in linear.items():
            yield f"blocks.{i}.{name}.weight", shape
            yield f"blocks.{i}.{name}.bias", shape[:1]
    yield "last_norm.weight", (width,)
    yield "last_norm.bias", (width,)


def transformer_shapes(
    width: int, dim: int = 1024, depth: int = 6, inner: int = 512, mlp: int = 1024
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "to_token_embedding.weight", (dim, 1)
    yield "to_token_embedding.bias", (dim,)
    yield "pos_embedding", (1, 1, dim)
    for i in range(depth):
        layer = f"transformer.layers.{i}"
        for part in range(3):
            yield f"{layer}.{part}.norm.weight", (dim,)
            yield f"{layer}.{part}.norm.bias", (dim,)
        yield f"{layer}.0.fn.to_qkv.weight", (3 * inner, dim)
        yield f"{layer}.1.fn.to_q.weight", (inner, dim)
        yield f"{layer}.1.fn.to_kv.weight", (2 * inner, width)
        for part in (0, 1):
            yield f"{layer}.{part}.fn.to_out.0.weight", (dim, inner)
            yield f"{layer}.{part}.fn.to_out.0.bias", (dim,)
        yield f"{layer}.2.fn.net.0.weight", (mlp, dim)
        yield f"{layer}.2.fn.net.0.bias", (mlp,)
        yield f"{layer}.2.fn.net.3.weight", (dim, mlp)
        yield f"{layer}.2.fn.net.3.bias", (dim,)


def head_shapes(
    width: int,
    sizes: tuple[int, int, int, int] = (200, 50, 300, 50),
    dim: int = 1024,
    depth: int = 6,
    inner: int = 512,
    *,
    mlp: int = 1024,
) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, shape in transformer_shapes(width, dim, depth, inner, mlp):
        yield f"transformer.{name}", shape
    betas, expression, head_betas, head_expression = sizes
    layers = {
        "smplx_poses_decoder": 312,
        "smplx_scale_decoder": 6,
        "smplx_shape_decoder": betas,
        "smplx_expression_decoder": expression,
        "smplx_joint_decoder": 165,
        "flame_poses_decoder": 14,
        "flame_shape_decoder": head_betas,
        "flame_expression_decoder": head_expression,
        "cam_decoder": 3,
    }
    for name, out in layers.items():
        yield f"{name}.weight", (out, dim)
        yield f"{name}.bias", (out,)
    for name, count in BUFFERS.items():
        yield name, (1, count)


def light(shape: tuple[int, ...]) -> Tensor:
    """A tensor of any size in the memory of one number; each shape has a value of its own."""
    return torch.full((), 1e-3 * (sum(shape) % 97)).expand(shape)


def random_weights(shapes: Iterator[tuple[str, tuple[int, ...]]], seed: int) -> dict[str, Tensor]:
    """Weights that keep activations near one, norms and biases that are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes:
        noise = torch.randn(shape, generator=generator)
        if len(shape) == 4:
            noise *= (shape[1] * shape[2] * shape[3]) ** -0.5
        elif len(shape) == 2 and not name.startswith("init_"):
            noise *= shape[1] ** -0.5
        elif "norm" in name and name.endswith("weight"):
            noise = 1 + 0.3 * noise
        else:
            noise *= 0.3
        weights[name] = noise
    return weights


def released_weights(size: str) -> dict[str, dict[str, Tensor]]:
    """The released layout at a published size, light in memory."""
    width, depth = WIDTH_DEPTH[size]
    return {
        "backbone": {name: light(shape) for name, shape in backbone_shapes(width, depth)},
        "head": {name: light(shape) for name, shape in head_shapes(width)},
    }


TINY = {"sizes": (7, 5, 6, 4), "dim": 32, "depth": 3, "inner": 128, "mlp": 48}


def tiny_weights(seed: int = 0, width: int = 128, depth: int = 2) -> dict[str, dict[str, Tensor]]:
    """A whole network of the released layout, small and lively."""
    return {
        "backbone": random_weights(backbone_shapes(width, depth), seed),
        "head": random_weights(head_shapes(width, **TINY), seed + 1),
    }
