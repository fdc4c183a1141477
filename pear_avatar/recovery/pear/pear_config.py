"""Sizes and constants of the PEAR network, as published and as released.

PEAR (arXiv 2601.22693) is a plain vision transformer with a one-token cross-attention decoder.
The paper trains ViT-B; the released weights are ViT-H. Everything that differs between networks
is in :class:`PearConfig`; what is the same in all of them is a constant here.
"""

from __future__ import annotations

from dataclasses import dataclass

from pear_avatar.errors import CheckpointError, PearError

#: Side of the square crop the network is shown, in pixels.
CROP_SIZE = 256
#: Columns dropped at either side of the crop, which leaves 256 x 192 (height x width).
SIDE_MARGIN = 32
PATCH_SIZE = 16
#: The patch convolution pads by two, as ViTPose's does: patch i starts at pixel 16 i - 2.
PATCH_PADDING = 2
#: Patches down and across; 192 tokens.
GRID = (CROP_SIZE // PATCH_SIZE, (CROP_SIZE - 2 * SIDE_MARGIN) // PATCH_SIZE)
NUM_TOKENS = GRID[0] * GRID[1]

#: ImageNet statistics of RGB in [0, 1].
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)

#: Rotations the network predicts as 6D: root, 21 body joints, 15 joints of each hand.
NUM_ROTATIONS = 52
#: The first of them get the mean pose added: root and body.
NUM_MEAN_ROTATIONS = 22
#: Added to the raw scale of the camera before it becomes a depth.
CAMERA_SCALE_BIAS = 1.5
#: Focal length in units of half the crop's side (half the field of view has tangent 1 / 24).
FOCAL = 24.0

_LAYER_NORM_EPS = 1e-6  # of the backbone; the decoder has torch's default


@dataclass(frozen=True)
class BackboneSize:
    """Width, depth and heads of a vision transformer; its MLPs are four times as wide."""

    width: int
    depth: int
    heads: int

    @property
    def eps(self) -> float:
        """Added to the variance in the backbone's layer norms."""
        return _LAYER_NORM_EPS


#: The published sizes by name; ``vit-b`` is the paper's, ``vit-h`` the released one.
BACKBONES: dict[str, BackboneSize] = {
    "vit-ti": BackboneSize(192, 12, 3),
    "vit-s": BackboneSize(384, 12, 12),
    "vit-b": BackboneSize(768, 12, 12),
    "vit-l": BackboneSize(1024, 24, 16),
    "vit-h": BackboneSize(1280, 32, 16),
}


@dataclass(frozen=True)
class DecoderSize:
    """The cross-attention decoder: HMR2's, with one query token."""

    dim: int = 1024
    depth: int = 6
    heads: int = 8
    dim_head: int = 64
    mlp_dim: int = 1024

    @property
    def inner(self) -> int:
        """Width of all heads together."""
        return self.heads * self.dim_head


@dataclass(frozen=True)
class OutputSizes:
    """Numbers of coefficients; the released network speaks of SMPL-X and FLAME."""

    betas: int = 200
    expression: int = 50
    head_betas: int = 300
    head_expression: int = 50


@dataclass(frozen=True)
class PearConfig:
    """Which PEAR network."""

    backbone: BackboneSize
    decoder: DecoderSize = DecoderSize()
    outputs: OutputSizes = OutputSizes()

    @classmethod
    def named(cls, name: str, outputs: OutputSizes | None = None) -> PearConfig:
        """One of :data:`BACKBONES` with the published decoder.

        Raises:
            CheckpointError: an unknown name.
        """
        if name not in BACKBONES:
            raise PearError(f"no backbone {name!r}; there are: {', '.join(BACKBONES)}")
        return cls(BACKBONES[name], outputs=outputs or OutputSizes())

    @property
    def name(self) -> str:
        """Name of the backbone's size; width and depth where it has none."""
        for name, size in BACKBONES.items():
            if size == self.backbone:
                return name
        return f"vit {self.backbone.width} x {self.backbone.depth}"


def backbone_heads(width: int, depth: int) -> int:
    """Attention heads, which no weight's shape implies: the published number, else width / 64.

    ViTPose's ViT-S has 12 heads of 32, every other size heads of 64 (ViT-H of 80).
    """
    for size in BACKBONES.values():
        if (size.width, size.depth) == (width, depth):
            return size.heads
    if width % 64:
        raise CheckpointError(
            f"a backbone {width} wide and {depth} deep is none of {', '.join(BACKBONES)}, and "
            "its width is no multiple of 64 to guess the attention heads from"
        )
    return width // 64
