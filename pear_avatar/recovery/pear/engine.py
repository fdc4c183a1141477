"""Running a PEAR network fast: folded weights, half precision, CUDA graphs.

On a processor with bfloat16 instructions the weights are packed once for oneDNN; on a CUDA GPU
the whole network is captured in one graph a batch size, so that launching it costs nothing. The
residual streams and the last layer stay float32: thirty-two blocks of bfloat16 sums would lose
what the products kept, and the camera's depth is a quotient of the last layer's output.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pear_avatar.recovery.pear.engine_layers import Block, DecoderLayer, Packer, normalised
from pear_avatar.recovery.pear.folding import FoldedPear, fold
from pear_avatar.recovery.pear.output import PearOutput, from_layers
from pear_avatar.recovery.pear.pear_config import (
    CROP_SIZE,
    GRID,
    NUM_TOKENS,
    PATCH_PADDING,
    PATCH_SIZE,
    SIDE_MARGIN,
    PearConfig,
)
from pear_avatar.recovery.pear.pear_network import PearNetwork

__all__ = ["CapturedGraph", "CompiledFunction", "PearEngine", "best_dtype"]

_logger = logging.getLogger(__name__)

_DECODER_EPS = 1e-5


def best_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16 where the device multiplies it faster than float32, else float32."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # oneDNN emulates bfloat16 where the instructions are missing, slower than float32.
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    if device.type == "cpu" and torch.backends.mkldnn.is_available() and has_bf16():
        return torch.bfloat16
    return torch.float32


class PearEngine:
    """Crops -> :class:`PearOutput`, as fast as the device can.

    forward: (B, 3, 256, 256) float32 on the engine's device -> (B, outputs) float32. Nothing is
             copied to or from the device or synchronised, so that this may be part of a larger CUDA
             graph; :meth:`split` names the parts of its result.
    """

    def __init__(
        self,
        network: PearNetwork,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        graphs: bool = True,
        compiled: bool = False,
    ) -> None:
        """Fold a network's weights and pack them; the network itself is not kept.

        Args:
            network: its weights, on any device.
            device: where to run.
            dtype: of the products; None is :func:`best_dtype`. Sums and outputs are float32.
            graphs: on CUDA, capture a graph for each batch size that is asked for.
            compiled: let torch's compiler fuse what lies between the products. It needs a C++
                compiler (on CUDA: triton) and a minute or more for each batch size; where it
                fails the engine runs as without it.
        """
        self.device = torch.device(device)
        self.dtype = dtype or best_dtype(self.device)
        self.config: PearConfig = network.config
        folded = fold(network)
        self._widths = folded.output_widths
        self._graphs: dict[int, CapturedGraph] = {}
        self._use_graphs = graphs and self.device.type == "cuda"
        if compiled:
            plain = _Network(folded, self.device, self.dtype, packed=False)
            self.forward: Callable[[Tensor], Tensor] = CompiledFunction(
                plain, frozen=self.device.type == "cpu"
            )
        else:
            self.forward = _Network(folded, self.device, self.dtype, packed=True)

    @torch.no_grad()
    def __call__(self, crops: Tensor) -> PearOutput:
        """Run the network on (B, 3, 256, 256) crops, RGB in [0, 1], on any device.

        Raises:
            ValueError: crops of another shape.
        """
        if crops.dim() != 4 or crops.shape[1:] != (3, CROP_SIZE, CROP_SIZE):
            raise ValueError(
                f"crops must have shape (B, 3, {CROP_SIZE}, {CROP_SIZE}), got {tuple(crops.shape)}"
            )
        crops = crops.to(self.device, torch.float32, non_blocking=True)
        if not self._use_graphs:
            return self.split(self.forward(crops))
        graph = self._graphs.get(len(crops))
        if graph is None:
            graph = self._graphs[len(crops)] = CapturedGraph(self.forward, crops)
        return self.split(graph(crops).clone())

    def split(self, outputs: Tensor) -> PearOutput:
        """Name the parts of :meth:`forward`'s result."""
        parts = outputs.split(list(self._widths.values()), dim=1)
        return from_layers(dict(zip(self._widths, parts, strict=True)))


class _Network(nn.Module):
    """(B, 3, 256, 256) float32 crops -> (B, outputs) float32, with folded weights."""

    def __init__(
        self, folded: FoldedPear, device: torch.device, dtype: torch.dtype, *, packed: bool
    ) -> None:
        super().__init__()
        self._eps, self._dtype = folded.config.backbone.eps, dtype
        heads = folded.config.backbone.heads
        pack = Packer(device, dtype, NUM_TOKENS, packed=packed)
        self._patches = pack(folded.patches)
        self._padding = _constant(folded.padding.view(3, 1, 1), device)
        self._positions = _constant(folded.positions, device)
        self._blocks = nn.ModuleList(Block(pack, b, heads, self._eps) for b in folded.blocks)
        self._layers = nn.ModuleList(
            DecoderLayer(pack, layer, _DECODER_EPS) for layer in folded.layers
        )
        self._first_token = _constant(folded.first_token, device)
        self._first_key = _constant(folded.first_key.to(dtype), device)
        self._outputs = Packer(device, torch.float32, 1, packed=packed)(folded.outputs)

    def forward(self, crops: Tensor) -> Tensor:
        x = self._patches(self._unfold(crops)) + self._positions
        for block in self._blocks:
            x = block(x)
        out: Tensor = self._outputs(self._decode(normalised(x, self._eps, self._dtype)))
        return out

    def _unfold(self, crops: Tensor) -> Tensor:
        """(B, 3, 256, 256) -> (B, 192, 768) raw pixels of the patches."""
        crops = crops[..., SIDE_MARGIN : CROP_SIZE - SIDE_MARGIN]
        # The convolution pads with zeros after normalisation, which is the mean colour before it.
        # Its windows never reach the padding at the right and at the bottom.
        shift = PATCH_PADDING
        raw = functional.pad(crops - self._padding, (shift, -shift, shift, -shift)) + self._padding
        rows, columns = GRID
        patches = raw.to(self._dtype).unflatten(2, (rows, PATCH_SIZE)).unflatten(4, (columns, -1))
        return patches.permute(0, 2, 4, 1, 3, 5).reshape(-1, NUM_TOKENS, 3 * PATCH_SIZE**2)

    def _decode(self, context: Tensor) -> Tensor:
        """(B, 192, D) normalised tokens -> (B, dim) float32."""
        batch = context.shape[0]
        token = self._first_token.expand(batch, -1)
        keys = self._first_key.expand(batch, -1, -1)
        for number, layer in enumerate(cast(Iterable[DecoderLayer], self._layers)):
            if number:
                token = layer.attend(token)
                keys = layer.keys(token)
            token = layer.look(token, keys, context)
        return token


def _constant(value: Tensor, device: torch.device) -> nn.Parameter:
    """A tensor that the compiler may take for a constant."""
    return nn.Parameter(value.to(device).contiguous(), requires_grad=False)


class CompiledFunction:
    """A compiled function that becomes the plain one again if the compiler fails."""

    def __init__(self, function: Callable[[Tensor], Tensor], *, frozen: bool = False) -> None:
        """Nothing is compiled before the first call.

        Args:
            function: to compile.
            frozen: its parameters never change, so that the compiler packs them for the processor.
        """
        self._plain = function
        options: dict[str, Any] | None = {"freezing": True} if frozen else None
        self._run: Callable[[Tensor], Tensor] = torch.compile(
            function, dynamic=False, options=options
        )

    def __call__(self, value: Tensor) -> Tensor:
        """The function's result."""
        try:
            return self._run(value)
        except Exception as error:  # compilers fail in many ways, and none of them matters here
            if self._run is self._plain:
                raise
            first = str(error).partition("\n")[0]
            _logger.warning("torch cannot compile the network (%s); it runs uncompiled", first)
            self._run = self._plain
            return self._run(value)


class CapturedGraph:
    """A function of one tensor as a CUDA graph: recorded once, replayed with a single launch."""

    def __init__(self, function: Callable[[Tensor], Tensor], example: Tensor) -> None:
        """Record ``function`` for inputs of the example's shape, dtype and device."""
        self._input = example.clone()
        # The first runs choose algorithms and allocate workspaces, which a capture must not see.
        stream = torch.cuda.Stream(example.device)
        stream.wait_stream(torch.cuda.current_stream(example.device))
        with torch.cuda.stream(stream), torch.no_grad():
            for _ in range(3):
                function(self._input)
        torch.cuda.current_stream(example.device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph), torch.no_grad():
            self._output = function(self._input)

    def __call__(self, value: Tensor) -> Tensor:
        """The function's result, in a buffer that the next call overwrites."""
        self._input.copy_(value)
        self._graph.replay()
        return self._output
