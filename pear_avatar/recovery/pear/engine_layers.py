"""The layers of :class:`pear_avatar.recovery.pear.engine.PearEngine`."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional

from pear_avatar.recovery.pear.folding import Affine, FoldedBlock, FoldedDecoderLayer

__all__ = ["Block", "DecoderLayer", "Packer", "normalised"]

_logger = logging.getLogger(__name__)


class Packer:
    """Turns weights into layers for one device and dtype."""

    def __init__(
        self, device: torch.device, dtype: torch.dtype, rows: int, *, packed: bool = True
    ) -> None:
        """Choose how products are made.

        Args:
            device: of the layers.
            dtype: of their inputs, weights and outputs.
            rows: how many rows (tokens) of input to pack for; others work too.
            packed: False for layers that torch's compiler can take apart.
        """
        self.device = device
        self.dtype = dtype
        self.rows = rows
        self._onednn = packed and device.type == "cpu" and _can_pack(dtype)

    def __call__(self, affine: Affine, *, rows: int | None = None, gelu: bool = False) -> nn.Module:
        """``x -> weight x + bias``, through a GELU if asked for; x has this packer's dtype."""
        weight, bias = (t.to(self.device, self.dtype) for t in (affine.weight, affine.bias))
        if self._onednn:
            return _OnednnLinear(weight, bias, rows or self.rows, gelu)
        return _Linear(weight, bias, gelu)

    def tensor(self, tensor: Tensor) -> Tensor:
        """A tensor for products, on the device."""
        return tensor.to(self.device, self.dtype).contiguous()


class _Linear(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.gelu = gelu

    def forward(self, x: Tensor) -> Tensor:
        y = functional.linear(x, self.weight, self.bias)
        return functional.gelu(y) if self.gelu else y


class _OnednnLinear(nn.Module):
    """A linear layer whose weights oneDNN has laid out once, instead of at every call.

    These are the operators that torch's own compiler emits for frozen weights.
    """

    def __init__(self, weight: Tensor, bias: Tensor, rows: int, gelu: bool) -> None:
        super().__init__()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        self._bias = bias
        self._name, self._algorithm = ("gelu", "none") if gelu else ("none", "")

    def forward(self, x: Tensor) -> Tensor:
        run = torch.ops.mkldnn._linear_pointwise
        out: Tensor = run(x, self._packed, self._bias, self._name, [], self._algorithm)
        return out


def _can_pack(dtype: torch.dtype) -> bool:
    """Whether torch offers those operators for this dtype and they compute what they should."""
    if dtype != torch.bfloat16 or not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.ones(2, 16), torch.full((16, 16), 0.5), torch.ones(16)
    try:
        layer = _OnednnLinear(weight.to(dtype), bias.to(dtype), 2, False)
        return bool((layer(x.to(dtype)) == 9).all())
    except (AttributeError, RuntimeError, TypeError) as error:
        _logger.info("torch cannot pack weights for oneDNN here (%s); using plain layers", error)
        return False


def normalised(x: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Layer norm without scale and shift, computed in x's dtype and returned in another."""
    return functional.layer_norm(x, x.shape[-1:], eps=eps).to(dtype)


class Block(nn.Module):
    """One transformer block on a residual stream (B, T, D) float32, which it changes."""

    def __init__(self, pack: Packer, block: FoldedBlock, heads: int, eps: float) -> None:
        super().__init__()
        self._heads, self._eps, self._dtype = heads, eps, pack.dtype
        self._qkv, self._proj = pack(block.qkv), pack(block.proj)
        self._fc1, self._fc2 = pack(block.fc1, gelu=True), pack(block.fc2)
        # Flash attention is made for long sequences; at 192 tokens on a processor plain products
        # are up to 1.5 times faster.
        self._attend = _fused_attention if pack.device.type == "cuda" else _plain_attention

    def forward(self, x: Tensor) -> Tensor:
        """The stream after attention and MLP."""
        qkv = self._qkv(normalised(x, self._eps, self._dtype))
        x += self._proj(self._attend(qkv, self._heads))
        x += self._fc2(self._fc1(normalised(x, self._eps, self._dtype)))
        return x


def _fused_attention(qkv: Tensor, heads: int) -> Tensor:
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    attended = functional.scaled_dot_product_attention(q, k, v, scale=1.0)
    return attended.transpose(1, 2).flatten(2)


def _plain_attention(qkv: Tensor, heads: int) -> Tensor:
    batch, tokens, _ = qkv.shape
    q, k, v = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4).flatten(1, 2)
    mixed = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)
    return mixed.view(batch, heads, tokens, -1).transpose(1, 2).reshape(batch, tokens, -1)


class DecoderLayer(nn.Module):
    """One decoder layer for a single query token (B, dim) float32."""

    def __init__(self, pack: Packer, layer: FoldedDecoderLayer, eps: float) -> None:
        super().__init__()
        self._eps, self._dtype = eps, pack.dtype
        self._attend, self._query = pack(layer.attend, rows=1), pack(layer.query, rows=1)
        self._key = nn.Parameter(pack.tensor(layer.key), requires_grad=False)
        self._value = nn.Parameter(pack.tensor(layer.value), requires_grad=False)
        self._out = pack(layer.out, rows=1)
        self._fc1, self._fc2 = pack(layer.fc1, rows=1, gelu=True), pack(layer.fc2, rows=1)

    def attend(self, token: Tensor) -> Tensor:
        """The token after self-attention."""
        change: Tensor = self._attend(normalised(token, self._eps, self._dtype))
        return token + change

    def keys(self, token: Tensor) -> Tensor:
        """(B, H, D) what each head looks for among the image's tokens."""
        query = self._query(normalised(token, self._eps, self._dtype))
        heads = self._key.shape[0]
        by_head = query.unflatten(1, (heads, -1)).transpose(0, 1)
        return torch.bmm(by_head, self._key).transpose(0, 1)

    def look(self, token: Tensor, keys: Tensor, context: Tensor) -> Tensor:
        """The token after it has looked at the image's tokens (B, T, D) and thought about it."""
        weights = torch.bmm(keys, context.transpose(1, 2)).softmax(-1)
        mean_tokens = torch.bmm(weights, context).transpose(0, 1)
        values = torch.bmm(mean_tokens, self._value).transpose(0, 1).flatten(1)
        token = token + self._out(values)
        thought: Tensor = self._fc2(self._fc1(normalised(token, self._eps, self._dtype)))
        return token + thought
