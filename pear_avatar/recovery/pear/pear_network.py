"""The PEAR network in its readable form, with the published weight names.

``PearNetwork(config)`` holds a ``backbone`` and a ``head`` whose state dicts are those of the
released checkpoint. For speed see :mod:`pear_avatar.recovery.pear.engine`.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pear_avatar.recovery.pear.decoder import TransformerDecoder
from pear_avatar.recovery.pear.output import PearOutput, from_layers, layer_widths
from pear_avatar.recovery.pear.pear_config import (
    CAMERA_SCALE_BIAS,
    CROP_SIZE,
    NUM_MEAN_ROTATIONS,
    PIXEL_MEAN,
    PIXEL_STD,
    SIDE_MARGIN,
    PearConfig,
)
from pear_avatar.recovery.pear.vit import ViT

__all__ = ["PearHead", "PearNetwork"]

#: Buffers of the released head and their widths. Only the first is read: HMR2's mean parameters
#: come along with its decoder.
INIT_BUFFERS = {
    "init_body_pose": 318,
    "init_betas": 10,
    "init_betas_kid": 11,
    "init_cam": 3,
    "init_expression": 10,
}
#: A linear layer of the released head that its forward pass never calls.
UNUSED_LAYERS = {"smplx_joint_decoder": 165}

#: A body in T-pose, upright in a camera with y down and facing it: the mean pose of a network
#: that was not given another.
_UPRIGHT_6D = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
_IDENTITY_6D = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class PearNetwork(nn.Module):
    """Crops of people -> :class:`PearOutput`."""

    def __init__(self, config: PearConfig, *, recompute: bool = False) -> None:
        """Make a network with fresh weights.

        Args:
            config: its sizes.
            recompute: in training, compute the backbone's activations again for the gradient
                instead of keeping them; slower, with far less memory.
        """
        super().__init__()
        self.config = config
        self.backbone = ViT(config.backbone, recompute=recompute)
        self.head = PearHead(config)
        self._reset()

    def forward(self, crops: Tensor) -> PearOutput:
        """Run the network on (B, 3, 256, 256) crops, RGB in [0, 1].

        Raises:
            ValueError: crops of another shape.
        """
        output: PearOutput = self.head(self.backbone(normalise_crops(crops)))
        return output

    def _reset(self) -> None:
        """Weights to start training from: small, so that the first output is the mean pose."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.backbone.pos_embed, std=0.02)
        nn.init.normal_(self.head.transformer.pos_embedding, std=0.02)
        for name in layer_widths(self.config.outputs):
            layer = self.head.readout(name)
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
            # Scales are read as they are, so they start at one rather than at nothing.
            nn.init.constant_(layer.bias, 1.0 if name == "smplx_scale_decoder" else 0.0)


class PearHead(nn.Module):
    """Image tokens (B, 192, width) -> :class:`PearOutput`."""

    def __init__(self, config: PearConfig) -> None:
        super().__init__()
        dim = config.decoder.dim
        self.widths = layer_widths(config.outputs)
        self.transformer = TransformerDecoder(config.decoder, config.backbone.width)
        for name, width in (self.widths | UNUSED_LAYERS).items():
            self.add_module(name, nn.Linear(dim, width))
        for name, width in INIT_BUFFERS.items():
            self.register_buffer(name, torch.zeros(1, width))
        self.init_body_pose: Tensor
        pose = torch.tensor(_UPRIGHT_6D + 52 * _IDENTITY_6D)
        self.init_body_pose.copy_(pose[None])

    def readout(self, name: str) -> nn.Linear:
        """One of the linear layers that read the decoder's token."""
        return cast(nn.Linear, self.get_submodule(name))

    def forward(self, tokens: Tensor) -> PearOutput:
        """Decode the image's tokens."""
        token = self.transformer(tokens)
        layers = {name: self.readout(name)(token) for name in self.widths}
        mean = 6 * NUM_MEAN_ROTATIONS
        pose, camera = layers["smplx_poses_decoder"], layers["cam_decoder"]
        layers["smplx_poses_decoder"] = torch.cat(
            [pose[:, :mean] + self.init_body_pose[:, :mean], pose[:, mean:]], dim=1
        )
        layers["cam_decoder"] = torch.cat([camera[:, :2], camera[:, 2:] + CAMERA_SCALE_BIAS], dim=1)
        return from_layers(layers)


def normalise_crops(crops: Tensor) -> Tensor:
    """(B, 3, 256, 256) RGB in [0, 1] -> (B, 3, 256, 192), ImageNet-normalised, sides dropped."""
    if crops.dim() != 4 or crops.shape[1:] != (3, CROP_SIZE, CROP_SIZE):
        raise ValueError(
            f"crops must have shape (B, 3, {CROP_SIZE}, {CROP_SIZE}), got {tuple(crops.shape)}"
        )
    mean, std = (crops.new_tensor(v).view(3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    return (crops[..., SIDE_MARGIN:-SIDE_MARGIN] - mean) / std
