"""A learned perceptual distance, found on this machine and never downloaded.

Two sources, in this order:

``lpips-alex``    LPIPS (Zhang et al., CVPR 2018) from the ``lpips`` package, where it imports and
                  its AlexNet trunk already lies in torch's hub cache.
``stlpips-alex``  Shift-tolerant LPIPS (Ghildyal and Liu, ECCV 2022): the weight file of the
                  ``stlpips_pytorch`` wheel (BSD-2) on our own trunk. The package itself imports
                  torchvision and IPython, so only its weight file is read.

The two do not share a scale, so each figure carries the name of the metric that made it.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from pear_avatar.errors import ModelFileError, PearError

logger = logging.getLogger(__name__)

_STLPIPS_FILE = Path("weights/vST0.0/alex_shift_tolerant.pth")
_ALEXNET_FILE = "alexnet-owt-7be5be79.pth"
#: Convolutions of the trunk in order: key in the weight file, padding.
_CONVOLUTIONS = (
    ("net.slice1.0", 2),
    ("net.slice2.5", 2),
    ("net.slice3.9", 1),
    ("net.slice4.11", 1),
    ("net.slice5.13", 1),
)
_MIN_SIDE = 32  # below this the deepest features have no extent left

NOT_FOUND = (
    "no perceptual metric on this machine: install the weights with "
    "`pip install --no-deps stlpips_pytorch`"
)


@dataclass(frozen=True)
class Perceptual:
    """A perceptual distance under the name that is written beside its figures.

    prepare: the true images (B, 3, H, W) in [0, 1] -> the function that gives the distance (B,)
        of other images of that shape to them.
    """

    name: str
    prepare: Callable[[Tensor], Callable[[Tensor], Tensor]]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean distance of images (*B, H, W, 3) in [0, 1], each side at least 32 px: a scalar.

        0 is identical. Differentiable in ``x``, so it serves as a training loss too.
        """
        if x.shape != y.shape:
            raise ValueError(
                f"the images must have one shape, got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        return self.against(y)(x)

    def against(self, y: Tensor) -> Callable[[Tensor], Tensor]:
        """The distance to one fixed truth; its features are computed once, which halves the work.

        Use it where several predictions, or one that is being optimised, meet the same picture.
        """
        distance = self.prepare(_planar(y))
        return lambda x: distance(_planar(x)).mean()


class ShiftTolerantLpips(torch.nn.Module):
    """Shift-tolerant LPIPS on AlexNet, from a state dict of the published weight file.

    The first convolution has stride 1 and every reduction blurs before it drops samples, so that
    a shift of a pixel hardly changes the distance.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Mapping[str, Tensor]):
        super().__init__()
        expected = [f"{key}.{part}" for key, _ in _CONVOLUTIONS for part in ("weight", "bias")]
        expected += [f"lin{i}.model.1.weight" for i in range(5)]
        missing = [key for key in expected if key not in weights]
        if missing:
            raise ModelFileError(f"not a shift-tolerant LPIPS weight file: {missing[0]} is missing")
        for i, (key, padding) in enumerate(_CONVOLUTIONS):
            weight, bias = (weights[f"{key}.{part}"].float() for part in ("weight", "bias"))
            if i == 0:
                self.first = BlurredConvolution(weight, bias, padding)
            else:
                self.register_buffer(f"weight{i}", weight)
                self.register_buffer(f"bias{i}", bias)
            self.register_buffer(f"linear{i}", weights[f"lin{i}.model.1.weight"].float())
        self.register_buffer("shift", weights["scaling_layer.shift"].float())
        self.register_buffer("scale", weights["scaling_layer.scale"].float())

    def features(self, images: Tensor) -> list[Tensor]:
        """The five feature maps of (B, 3, H, W) in [0, 1], each of unit length per pixel."""
        x = F.relu(self.first((2 * images - 1 - self.shift) / self.scale))
        maps = [x]
        for i, (_, padding) in enumerate(_CONVOLUTIONS[1:], start=1):
            if i <= 2:
                x = blur_halve(max_3x3(x))
            weight, bias = getattr(self, f"weight{i}"), getattr(self, f"bias{i}")
            x = F.relu(F.conv2d(x, weight, bias, padding=padding))
            maps.append(x)
        return [m / (m.square().sum(1, keepdim=True).add(1e-20).sqrt() + 1e-10) for m in maps]

    def prepare(self, y: Tensor) -> Callable[[Tensor], Tensor]:
        """The distance (B,) to ``y`` (B, 3, H, W) in [0, 1], as a function of the other images."""
        with torch.no_grad():
            target = self.features(y)
        return lambda x: self._distance(self.features(x), target)

    def _distance(self, features: list[Tensor], target: list[Tensor]) -> Tensor:
        total = target[0].new_zeros(target[0].shape[0])
        for i, (a, b) in enumerate(zip(features, target, strict=True)):
            weighted = (a - b).square() * getattr(self, f"linear{i}").view(1, -1, 1, 1)
            total = total + weighted.sum(1).mean((1, 2))
        return total


def max_3x3(x: Tensor) -> Tensor:
    """The largest of each 3 x 3 window that lies inside: (B, C, H, W) -> (B, C, H - 2, W - 2).

    By rows and then by columns, which is twenty times faster than torch's max_pool2d on a CPU.
    Where several are largest the gradient is shared among them; after a ReLU most of those are
    zeros, through which none flows anyway.
    """
    x = torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])
    return torch.maximum(torch.maximum(x[..., :-2, :], x[..., 1:-1, :]), x[..., 2:, :])


def blur_halve(x: Tensor) -> Tensor:
    """Reflect-pad (B, C, H, W) by 2, blur with [1 2 1]/4 both ways, keep every second sample."""
    channels, taps = x.shape[1], x.new_tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(taps, taps).expand(channels, 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=channels)


class BlurredConvolution(torch.nn.Module):
    """``blur_halve(conv2d(x))`` as one strided convolution.

    Nothing non-linear stands between the two, so the blur folds into the kernel and three of
    four outputs are never computed: 3.4x faster than the pair. What the reflected border needs:
    the first output repeats the second, since the taps are symmetric about the reflection; so
    does the last for an odd number of samples, while an even one ends on (2 a + 2 b) / 4 of its
    last two samples.
    """

    bias: Tensor
    inner_inner: Tensor
    inner_last: Tensor
    last_inner: Tensor
    last_last: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, padding: int):
        super().__init__()
        self.padding = padding
        self.register_buffer("bias", bias)
        taps = {"inner": torch.tensor([0.25, 0.5, 0.25]), "last": torch.tensor([0.5, 0.5])}
        for rows, row_taps in taps.items():
            for columns, column_taps in taps.items():
                kernel = _compose(_compose(weight, row_taps, 2), column_taps, 3)
                self.register_buffer(f"{rows}_{columns}", kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, about H / 2, about W / 2)."""
        x = F.pad(x, (self.padding,) * 4)
        # Samples before the blur: size - (size of the plain kernel) + 1, of the same parity as
        # size - (size of the folded kernel) + 1, which is two larger.
        odd_rows, odd_columns = (
            (size - self.inner_inner.shape[-1]) % 2 == 0 for size in (x.shape[-2], x.shape[-1])
        )
        y = self._row_band(x, "inner", 2, odd_columns)
        if not odd_rows:
            band = x[..., -self.last_last.shape[-1] :, :]
            y = torch.cat([y, self._row_band(band, "last", 1, odd_columns)], 2)
        y = torch.cat([y[..., :1, :], y] + [y[..., -1:, :]] * odd_rows, 2)
        return torch.cat([y[..., :1], y] + [y[..., -1:]] * odd_columns, 3)

    def _row_band(self, x: Tensor, rows: str, row_stride: int, odd_columns: bool) -> Tensor:
        inner: Tensor = getattr(self, f"{rows}_inner")
        last: Tensor = getattr(self, f"{rows}_last")
        y = F.conv2d(x, inner, self.bias, stride=(row_stride, 2))
        if odd_columns:
            return y
        edge = x[..., -last.shape[-1] :]
        return torch.cat([y, F.conv2d(edge, last, self.bias, stride=(row_stride, 1))], 3)


def _compose(kernel: Tensor, taps: Tensor, dim: int) -> Tensor:
    """The kernel that correlates with ``kernel`` and then with 1D ``taps`` along ``dim``."""
    extra = len(taps) - 1
    pads = [(i, extra - i, 0, 0) if dim == 3 else (0, 0, i, extra - i) for i in range(len(taps))]
    shifted = [tap * F.pad(kernel, pad) for tap, pad in zip(taps.to(kernel), pads, strict=True)]
    return torch.stack(shifted).sum(0)


def load_perceptual(device: torch.device | str = "cpu") -> Perceptual | None:
    """The best perceptual metric this machine has, or None (``NOT_FOUND`` says what to do)."""
    return _load_lpips(device) or _load_shift_tolerant(device)


def _load_lpips(device: torch.device | str) -> Perceptual | None:
    """The ``lpips`` package, if it works here without fetching anything."""
    trunk = Path(torch.hub.get_dir()) / "checkpoints" / _ALEXNET_FILE
    if not trunk.is_file():
        return None
    try:
        import lpips

        network = lpips.LPIPS(net="alex", verbose=False).to(device).eval().requires_grad_(False)
    except (ImportError, RuntimeError, OSError) as error:
        logger.info("the lpips package is not usable here (%s)", error)
        return None
    return Perceptual("lpips-alex", lambda y: lambda x: network(x, y, normalize=True).flatten())


def _load_shift_tolerant(device: torch.device | str) -> Perceptual | None:
    """Our trunk with the weight file of the stlpips_pytorch wheel, where that is installed."""
    path = find_shift_tolerant_weights()
    if path is None:
        return None
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network = ShiftTolerantLpips(weights).to(device).eval()
    return Perceptual("stlpips-alex", network.prepare)


def _planar(images: Tensor) -> Tensor:
    """(*B, H, W, 3) -> (B, 3, H, W), checked."""
    if images.dim() < 3 or images.shape[-1] != 3:
        raise ValueError(f"expected images (*B, H, W, 3), got {tuple(images.shape)}")
    if min(images.shape[-3], images.shape[-2]) < _MIN_SIDE:
        raise PearError(
            f"the perceptual metric needs at least {_MIN_SIDE} px a side, "
            f"got {images.shape[-2]}x{images.shape[-3]}: enlarge the crop"
        )
    return images.reshape(-1, *images.shape[-3:]).movedim(-1, 1)


def find_shift_tolerant_weights() -> Path | None:
    """The weight file inside the installed stlpips_pytorch wheel; the package is not imported."""
    spec = importlib.util.find_spec("stlpips_pytorch")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(folder) / _STLPIPS_FILE
        if path.is_file():
            return path
    return None
