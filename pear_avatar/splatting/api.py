"""One call that draws splats, whatever draws them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor

from pear_avatar.splatting.splat_scene import Backend, Splats, View
from pear_avatar.types import Camera, RenderOutput

BackendName = Literal["auto", "torch", "cpu", "gsplat"]

MAX_IMAGE_SIDE = 32767


def rasterise(
    means: Tensor,
    quats_wxyz: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    *,
    camera: Camera,
    background: Tensor | None = None,
    backend: BackendName = "auto",
    eps2d: float = 0.3,
    near: float = 0.01,
    far: float = 1e10,
) -> RenderOutput:
    """Draw Gaussian splats with gsplat's conventions (EWA projection, sorted compositing).

    Gradients flow to the five splat tensors, to ``camera.T_camera_world`` and to ``background``,
    never to ``camera.K``. Splats that hold a NaN or an infinity, a zero quaternion, or that lie
    behind the camera are culled: they add nothing and get gradient zero.

    Args:
        means: (N, 3) centres in world space, metres.
        quats_wxyz: (N, 4) orientations; normalised on use.
        scales: (N, 3) standard deviations in metres (activated).
        opacities: (N,) in [0, 1] (activated).
        colors: (N, D) any number of channels, at least 1.
        camera: one camera, or a batch with leading axes (*C,); zero skew.
        background: (D,) colour behind the splats; None leaves the result premultiplied on black.
        backend: "cpu" is the C++ kernel: it computes and returns float32 for any dtype.
            "torch" is a slow, readable twin for any device and dtype. "gsplat" needs CUDA and the
            gsplat package. "auto" takes gsplat for CUDA tensors, the C++ kernel for CPU tensors
            and the twin elsewhere.
        eps2d: pixels^2 added to the diagonal of each screen covariance.
        near: nearest camera-space z drawn, metres.
        far: farthest camera-space z drawn, metres.

    Returns:
        RenderOutput with leading axes (*C,). ``color`` may be a strided view on planar memory.

    Raises:
        ValueError: shapes, devices or settings do not fit together.
        ImportError: the back end is not installed; the message names the remedy.
    """
    splats = Splats(means, quats_wxyz, scales, opacities, colors)
    _check_splats(splats)
    _check_camera(camera)
    _check_background(background, colors)
    _check_limits(eps2d, near, far)
    view = View(
        K=camera.K.reshape(-1, 3, 3),
        T_camera_world=camera.T_camera_world.reshape(-1, 4, 4),
        width=camera.width,
        height=camera.height,
        background=background,
        eps2d=eps2d,
        near=near,
        far=far,
    )
    draw = _backend(backend, means)
    return _batched(draw(splats, view), camera.K.shape[:-2])


def _batched(drawn: tuple[Tensor, Tensor, Tensor], batch: Sequence[int]) -> RenderOutput:
    """Colour, alpha and depth of a flat batch of cameras with the cameras' own axes."""
    if not batch:
        return RenderOutput(*(t[0] for t in drawn))
    if len(batch) == 1:
        return RenderOutput(*drawn)
    return RenderOutput(*(t.reshape(*batch, *t.shape[1:]) for t in drawn))


def _backend(name: str, means: Tensor) -> Backend:
    if name not in get_args(BackendName):
        raise ValueError(f"backend must be one of {get_args(BackendName)}, got {name!r}")
    if name == "auto":
        name = {"cuda": "gsplat", "cpu": "cpu"}.get(means.device.type, "torch")
    if name == "cpu" and means.device.type != "cpu":
        raise ValueError(f'backend="cpu" draws CPU tensors, these are on {means.device}')
    if name == "gsplat" and means.device.type != "cuda":
        raise ValueError(f'backend="gsplat" draws CUDA tensors, these are on {means.device}')
    # Imported on demand: each back end brings its own dependencies.
    modules = {"cpu": "cpu", "torch": "reference", "gsplat": "gsplat_backend"}
    draw: Backend = importlib.import_module(f"pear_avatar.splatting.{modules[name]}").draw
    return draw


def _check_splats(splats: Splats) -> None:
    tensors = {
        "means": splats.means,
        "quats_wxyz": splats.quats_wxyz,
        "scales": splats.scales,
        "opacities": splats.opacities,
        "colors": splats.colors,
    }
    expected = {"means": (3,), "quats_wxyz": (4,), "scales": (3,), "opacities": ()}
    count = splats.means.shape[0] if splats.means.dim() else 0
    shapes_fit = splats.colors.dim() == 2 and splats.colors.shape[1] >= 1
    shapes_fit &= splats.colors.shape[:1] == (count,)
    shapes_fit &= all(tensors[k].shape == (count, *rest) for k, rest in expected.items())
    if not shapes_fit:
        found = ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
        raise ValueError(
            "splats must be means (N, 3), quats_wxyz (N, 4), scales (N, 3), opacities (N,), "
            f"colors (N, D) with D >= 1; found {found}"
        )
    if len({t.device for t in tensors.values()}) > 1:
        found = ", ".join(f"{name} on {t.device}" for name, t in tensors.items())
        raise ValueError(f"all splat tensors must be on one device; found {found}")
    if not all(t.is_floating_point() for t in tensors.values()):
        found = ", ".join(f"{name} {t.dtype}" for name, t in tensors.items())
        raise ValueError(f"all splat tensors must be floating point; found {found}")


def _check_camera(camera: Camera) -> None:
    K, T = camera.K, camera.T_camera_world
    if K.shape[-2:] != (3, 3) or T.shape[-2:] != (4, 4) or K.shape[:-2] != T.shape[:-2]:
        raise ValueError(
            "a camera needs K (*C, 3, 3) and T_camera_world (*C, 4, 4) with the same *C; found "
            f"K {tuple(K.shape)} and T_camera_world {tuple(T.shape)}"
        )
    if not (1 <= camera.width <= MAX_IMAGE_SIDE and 1 <= camera.height <= MAX_IMAGE_SIDE):
        raise ValueError(
            f"image sides must lie in [1, {MAX_IMAGE_SIDE}] pixels, got {camera.width} x "
            f"{camera.height}"
        )


def _check_limits(eps2d: float, near: float, far: float) -> None:
    if not 0 < near < far:
        raise ValueError(f"need 0 < near < far, got near={near}, far={far}")
    if not eps2d >= 0:
        raise ValueError(f"eps2d must not be negative, got {eps2d}")


def _check_background(background: Tensor | None, colors: Tensor) -> None:
    if background is not None and background.shape != colors.shape[1:]:
        raise ValueError(
            f"background must be ({colors.shape[1]},) like one row of colors, "
            f"got {tuple(background.shape)}"
        )
