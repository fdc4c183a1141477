"""The published PEAR network once more, written straight from its description.

No modules and no shortcuts: loops over heads and layers on a flat dictionary of weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """(T, D), (S, D), (S, D) -> (T, D), one head after the other."""
    size = q.shape[-1] // heads
    out = []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        scores = q[:, part] @ k[:, part].T / math.sqrt(size)
        out.append(torch.softmax(scores, dim=-1) @ v[:, part])
    return torch.cat(out, dim=-1)


def backbone(pixels: Tensor, w: dict[str, Tensor], heads: int) -> Tensor:
    """One normalised (3, 256, 192) crop -> (192, D) tokens."""
    padded = torch.zeros(3, 260, 196, dtype=pixels.dtype)
    padded[:, 2:258, 2:194] = pixels
    tokens = []
    for row in range(16):
        for column in range(12):
            patch = padded[:, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            token = (w["patch_embed.proj.weight"] * patch).sum((1, 2, 3))
            tokens.append(token + w["patch_embed.proj.bias"])
    x = torch.stack(tokens) + w["pos_embed"][0, 1:] + w["pos_embed"][0, :1]
    depth = 1 + max(int(k.split(".")[1]) for k in w if k.startswith("blocks."))
    for i in range(depth):
        b = {k.removeprefix(f"blocks.{i}."): v for k, v in w.items() if f"blocks.{i}." in k}
        y = norm(x, b["norm1.weight"], b["norm1.bias"], 1e-6)
        q, k, v = (y @ b["attn.qkv.weight"].T + b["attn.qkv.bias"]).chunk(3, dim=-1)
        x = x + attention(q, k, v, heads) @ b["attn.proj.weight"].T + b["attn.proj.bias"]
        y = norm(x, b["norm2.weight"], b["norm2.bias"], 1e-6)
        y = gelu(y @ b["mlp.fc1.weight"].T + b["mlp.fc1.bias"])
        x = x + y @ b["mlp.fc2.weight"].T + b["mlp.fc2.bias"]
    return norm(x, w["last_norm.weight"], w["last_norm.bias"], 1e-6)


def decoder(context: Tensor, w: dict[str, Tensor], heads: int) -> Tensor:
    """(192, D) tokens -> the (dim,) token."""
    x = torch.zeros(1, 1, dtype=context.dtype) @ w["transformer.to_token_embedding.weight"].T
    x = x + w["transformer.to_token_embedding.bias"] + w["transformer.pos_embedding"][0]
    i = 0
    while f"transformer.transformer.layers.{i}.0.norm.weight" in w:
        prefix = f"transformer.transformer.layers.{i}."
        b = {k.removeprefix(prefix): v for k, v in w.items() if k.startswith(prefix)}
        y = norm(x, b["0.norm.weight"], b["0.norm.bias"], 1e-5)
        q, k, v = (y @ b["0.fn.to_qkv.weight"].T).chunk(3, dim=-1)
        x = x + attention(q, k, v, heads) @ b["0.fn.to_out.0.weight"].T + b["0.fn.to_out.0.bias"]
        y = norm(x, b["1.norm.weight"], b["1.norm.bias"], 1e-5)
        k, v = (context @ b["1.fn.to_kv.weight"].T).chunk(2, dim=-1)
        mixed = attention(y @ b["1.fn.to_q.weight"].T, k, v, heads)
        x = x + mixed @ b["1.fn.to_out.0.weight"].T + b["1.fn.to_out.0.bias"]
        y = norm(x, b["2.norm.weight"], b["2.norm.bias"], 1e-5)
        y = gelu(y @ b["2.fn.net.0.weight"].T + b["2.fn.net.0.bias"])
        x = x + y @ b["2.fn.net.3.weight"].T + b["2.fn.net.3.bias"]
        i += 1
    return x[0]


def rotation_6d(x: Tensor) -> Tensor:
    """Six numbers -> a rotation, as released: rows of two vectors become columns."""
    a1, a2 = x[:3], x[3:]
    b1 = a1 / a1.norm()
    b2 = a2 - (b1 @ a2) * b1
    b2 = b2 / b2.norm()
    return torch.stack([b1, b2, torch.linalg.cross(b1, b2)], dim=1)


def network(
    crop: Tensor, weights: dict[str, dict[str, Tensor]], heads: int, decoder_heads: int
) -> dict[str, Tensor]:
    """One (3, 256, 256) crop in [0, 1] -> the published outputs by their published names."""
    mean, std = (torch.tensor(v, dtype=crop.dtype)[:, None, None] for v in (MEAN, STD))
    pixels = ((crop - mean) / std)[:, :, 32:-32]
    h = weights["head"]
    token = decoder(backbone(pixels, weights["backbone"], heads), h, decoder_heads)
    read = {
        name: h[f"{name}.weight"] @ token + h[f"{name}.bias"]
        for name in (k.removesuffix(".weight") for k in h if k.endswith("_decoder.weight"))
    }
    pose = read["smplx_poses_decoder"].clone()
    pose[:132] += h["init_body_pose"][0, :132]
    camera = read["cam_decoder"] + torch.tensor([0, 0, 1.5], dtype=crop.dtype)
    camera[2] = 24 / (camera[2] + 1e-9)
    face = read["flame_poses_decoder"]
    rotations = torch.stack([rotation_6d(pose[6 * i : 6 * i + 6]) for i in range(52)])
    return {
        "global_pose": rotations[:1], "body_pose": rotations[1:22],
        "left_hand_pose": rotations[22:37], "right_hand_pose": rotations[37:],
        "hand_scale": read["smplx_scale_decoder"][:3],
        "head_scale": read["smplx_scale_decoder"][3:],
        "exp": read["smplx_expression_decoder"], "shape": read["smplx_shape_decoder"],
        "eye_pose_params": face[:6], "pose_params": face[6:9], "jaw_params": face[9:12],
        "eyelid_params": face[12:], "expression_params": read["flame_expression_decoder"],
        "shape_params": read["flame_shape_decoder"], "camera": camera,
    }  # fmt: skip
