"""Random scenes and comparisons shared by the splatting tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pear_avatar.splatting import rasterise
from pear_avatar.splatting.reference import pixel_centers, project_splats
from pear_avatar.splatting.splat_scene import (
    ALPHA_MAX,
    ALPHA_MIN,
    TRANSMITTANCE_MIN,
    Splats,
    View,
)
from pear_avatar.types import Camera, RenderOutput

NAMES = ("means", "quats_wxyz", "scales", "opacities", "colors", "T_camera_world", "background")


@dataclass(frozen=True)
class Scene:
    """Inputs of rasterise(), exactly representable in float32."""

    means: Tensor
    quats_wxyz: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    T_camera_world: Tensor
    background: Tensor
    K: Tensor
    width: int
    height: int

    def tensors(self, dtype: torch.dtype) -> list[Tensor]:
        """Fresh leaves of everything that gets a gradient."""
        return [getattr(self, n).to(dtype).clone().requires_grad_() for n in NAMES]


def random_scene(
    count: int = 200, width: int = 70, height: int = 50, channels: int = 3, seed: int = 0
) -> Scene:
    """Splats of many sizes and shapes around the origin, seen by a turned camera."""
    g = torch.Generator().manual_seed(seed)
    focal = 1.2 * max(width, height)
    # A small turn about a skew axis, so that no entry of the camera matrix is special.
    skew = torch.tensor([[0.0, -0.2, 0.1], [0.2, 0.0, -0.15], [-0.1, 0.15, 0.0]])
    pose = torch.eye(4)
    pose[:3, :3] = torch.matrix_exp(skew)
    pose[:3, 3] = torch.tensor([0.05, -0.1, 3.0])
    return Scene(
        means=(torch.rand(count, 3, generator=g) - 0.5) * 2.4,
        quats_wxyz=torch.randn(count, 4, generator=g),
        scales=(0.03 * torch.exp(0.8 * torch.randn(count, 3, generator=g))).clamp(max=0.2),
        opacities=torch.rand(count, generator=g) * 0.97 + 0.02,
        colors=torch.rand(count, channels, generator=g),
        T_camera_world=pose,
        background=torch.rand(channels, generator=g),
        K=torch.tensor(
            [[focal, 0, width / 2 + 3], [0, 1.1 * focal, height / 2 - 2], [0, 0, 1]],
            dtype=torch.float32,
        ),
        width=width,
        height=height,
    )


def draw(scene: Scene, tensors: list[Tensor], backend: str) -> RenderOutput:
    """Draw with the given leaves, ordered as NAMES."""
    *splats, pose, background = tensors
    camera = Camera(scene.K.to(pose.dtype), pose, scene.width, scene.height)
    return rasterise(*splats, camera=camera, background=background, backend=backend)


def loss_weights(scene: Scene, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Random cotangents of color, alpha and depth."""
    g = torch.Generator().manual_seed(seed)
    size = (scene.height, scene.width)
    channels = scene.colors.shape[1]
    return (
        torch.randn(*size, channels, generator=g, dtype=torch.float64),
        torch.randn(*size, 1, generator=g, dtype=torch.float64),
        torch.randn(*size, 1, generator=g, dtype=torch.float64) * 0.3,
    )


def decided_pixels(scene: Scene) -> Tensor:
    """(H, W, 1) pixels where float32 cannot decide a threshold other than float64 does.

    The picture jumps where a splat's alpha crosses 1/255 or the transmittance 1e-4, and the
    gradient where alpha crosses 0.999. Rounding moves an alpha by some 1e-6 of itself.
    """
    f64 = [t.detach() for t in scene.tensors(torch.float64)]
    view = View(
        K=scene.K,
        T_camera_world=f64[5],
        width=scene.width,
        height=scene.height,
        background=None,
        eps2d=0.3,
        near=0.01,
        far=1e10,
    )
    screen = project_splats(Splats(*f64[:5]), scene.K.double(), f64[5], view)
    pixels = pixel_centers(scene.width, 0, scene.height, screen.centers)
    dx, dy = (pixels[:, None] - screen.centers).unbind(2)
    a, b, c = screen.conics.unbind(1)
    raw = screen.opacities * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
    alpha = torch.where(raw >= ALPHA_MIN, raw.clamp(max=ALPHA_MAX), 0.0)
    after = torch.cumprod(1 - alpha, dim=1)
    undecided = (raw / ALPHA_MIN - 1).abs() < 5e-5
    undecided |= (raw / ALPHA_MAX - 1).abs() < 5e-5
    undecided |= (after / TRANSMITTANCE_MIN - 1).abs() < 1e-3
    return ~undecided.any(dim=1).reshape(scene.height, scene.width, 1)


def values_and_gradients(
    scene: Scene, backend: str, dtype: torch.dtype, pixels: Tensor | float = 1.0
) -> tuple[RenderOutput, list[Tensor]]:
    """One forward and backward pass under :func:`loss_weights`, times a mask of pixels."""
    tensors = scene.tensors(dtype)
    output = draw(scene, tensors, backend)
    w_color, w_alpha, w_depth = (w * pixels for w in loss_weights(scene))
    loss = (output.color * w_color).sum() + (output.alpha * w_alpha).sum()
    loss = loss + (output.depth * w_depth).sum()
    return output, list(torch.autograd.grad(loss, tensors))


def relative_error(found: Tensor, truth: Tensor) -> float:
    """L2 norm of the difference over that of the truth."""
    truth = truth.double()
    return float((found.double() - truth).norm() / truth.norm().clamp_min(1e-30))


def with_rows(scene: Scene, name: str, rows: Tensor | list[int], value: float) -> Scene:
    """The scene with some rows of one tensor overwritten."""
    changed = getattr(scene, name).clone()
    changed[rows] = value
    return replace(scene, **{name: changed})
