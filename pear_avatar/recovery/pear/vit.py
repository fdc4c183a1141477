"""The vision transformer of ViTPose, as HMR2 and PEAR use it, with the published weight names.

Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; Xu et al., "ViTPose", 2022. This is
the readable form, for training and for comparison; :mod:`pear_avatar.recovery.pear.engine` runs
the same weights faster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from pear_avatar.recovery.pear.pear_config import (
    NUM_TOKENS,
    PATCH_PADDING,
    PATCH_SIZE,
    BackboneSize,
)


class ViT(nn.Module):
    """Normalised pixels (B, 3, 256, 192) -> tokens (B, 192, width), row by row."""

    def __init__(self, size: BackboneSize, *, recompute: bool = False) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbed(size.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, NUM_TOKENS + 1, size.width))
        self.blocks = nn.ModuleList(_Block(size) for _ in range(size.depth))
        self.last_norm = nn.LayerNorm(size.width, eps=size.eps)
        self.recompute = recompute

    def forward(self, pixels: Tensor) -> Tensor:
        """Run the network."""
        tokens: Tensor = self.patch_embed(pixels)
        # The class token's position is added to every patch: ViTPose has no class token, but
        # keeps what pre-training put there.
        tokens = tokens + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            if self.recompute and self.training:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        normed: Tensor = self.last_norm(tokens)
        return normed


class _PatchEmbed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH_SIZE, PATCH_SIZE, PATCH_PADDING)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens: Tensor = self.proj(pixels)
        return tokens.flatten(2).transpose(1, 2)


class _Block(nn.Module):
    def __init__(self, size: BackboneSize) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width, eps=size.eps)
        self.attn = _Attention(size)
        self.norm2 = nn.LayerNorm(size.width, eps=size.eps)
        self.mlp = _Mlp(size.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class _Attention(nn.Module):
    def __init__(self, size: BackboneSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.qkv = nn.Linear(size.width, 3 * size.width)
        self.proj = nn.Linear(size.width, size.width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.proj(attended)
        return out


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return out
