"""HMR2's cross-attention decoder with the published weight names.

Goel et al., "Humans in 4D", 2023: a token that starts from nothing attends to the image's
tokens layer by layer. This is the readable form; with a single query token most of it collapses
algebraically, which :mod:`pear_avatar.recovery.pear.engine` uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from pear_avatar.recovery.pear.pear_config import DecoderSize


class TransformerDecoder(nn.Module):
    """Image tokens (B, T, context width) -> one token (B, dim)."""

    def __init__(self, size: DecoderSize, context_width: int) -> None:
        super().__init__()
        self.to_token_embedding = nn.Linear(1, size.dim)
        self.pos_embedding = nn.Parameter(torch.zeros(1, 1, size.dim))
        self.transformer = _CrossAttentionStack(size, context_width)

    def forward(self, context: Tensor) -> Tensor:
        """Run the decoder on a zero query."""
        query = self.to_token_embedding(context.new_zeros(context.shape[0], 1, 1))
        token: Tensor = self.transformer(query + self.pos_embedding, context)
        return token.squeeze(1)


class _CrossAttentionStack(nn.Module):
    def __init__(self, size: DecoderSize, context_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    _PreNorm(size.dim, _SelfAttention(size)),
                    _PreNorm(size.dim, _CrossAttention(size, context_width)),
                    _PreNorm(size.dim, _FeedForward(size)),
                )
            )
            for _ in range(size.depth)
        )

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        for attend, cross_attend, feed_forward in cast(Iterable[nn.ModuleList], self.layers):
            x = x + attend(x)
            x = x + cross_attend(x, context)
            x = x + feed_forward(x)
        return x


class _PreNorm(nn.Module):
    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        fn: Callable[..., Tensor] = self.fn
        return fn(self.norm(x), *context)


def _heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, heads * dim) -> (B, heads, T, dim)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class _SelfAttention(nn.Module):
    def __init__(self, size: DecoderSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.to_qkv = nn.Linear(size.dim, 3 * size.inner, bias=False)
        # An nn.Sequential of one, because the published weights are called to_out.0.
        self.to_out = nn.Sequential(nn.Linear(size.inner, size.dim))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (_heads(t, self.heads) for t in self.to_qkv(x).chunk(3, dim=-1))
        attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.to_out(attended)
        return out


class _CrossAttention(nn.Module):
    def __init__(self, size: DecoderSize, context_width: int) -> None:
        super().__init__()
        self.heads = size.heads
        self.to_q = nn.Linear(size.dim, size.inner, bias=False)
        self.to_kv = nn.Linear(context_width, 2 * size.inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(size.inner, size.dim))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q = _heads(self.to_q(x), self.heads)
        k, v = (_heads(t, self.heads) for t in self.to_kv(context).chunk(2, dim=-1))
        attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.to_out(attended)
        return out


class _FeedForward(nn.Module):
    def __init__(self, size: DecoderSize) -> None:
        super().__init__()
        # The two dropouts of the published network hold places 2 and 4; its weights are net.0
        # and net.3.
        self.net = nn.Sequential(
            nn.Linear(size.dim, size.mlp_dim),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(size.mlp_dim, size.dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out
