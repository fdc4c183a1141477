"""gsplat behind the common call; the only file that imports it."""

from __future__ import annotations

from pear_avatar.errors import MissingPackageError
from pear_avatar.splatting.splat_scene import Images, Splats, View


def draw(splats: Splats, view: View) -> Images:
    """Draw with gsplat's CUDA kernels.

    Raises:
        MissingPackageError: gsplat is not installed.
    """
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise MissingPackageError(
            "splats on CUDA are drawn by gsplat, which is not installed: "
            'pip install "pear-avatar[gpu]", or pass backend="torch" (slow)'
        ) from error
    device = splats.means.device
    dtype = splats.means.dtype
    count = view.K.shape[0]
    backgrounds = None
    if view.background is not None:
        backgrounds = view.background.to(device, dtype).expand(count, -1)
    color_depth, alpha, _ = rasterization(
        splats.means,
        splats.quats_wxyz,
        splats.scales,
        splats.opacities,
        splats.colors,
        viewmats=view.T_camera_world.to(device, dtype),
        Ks=view.K.detach().to(device, dtype),
        width=view.width,
        height=view.height,
        near_plane=view.near,
        far_plane=view.far,
        eps2d=view.eps2d,
        packed=False,
        backgrounds=backgrounds,
        render_mode="RGB+D",
    )
    return color_depth[..., :-1], alpha, color_depth[..., -1:]
