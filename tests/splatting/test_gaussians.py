"""Splats before activation draw like their activated values."""

from __future__ import annotations

import torch

from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.splatting import Gaussians, rasterise
from pear_avatar.types import Camera

N = 40


def _cloud() -> Gaussians:
    generator = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    means = draw(N, 3) - torch.tensor([0.5, 0.5, 3.0])
    return Gaussians(means, draw(N, 4), draw(N, 3) - 4, 4 * draw(N) - 2, draw(N, 3))


CAMERA = Camera(intrinsics(60.0, 48, 40), default_world_camera(), 48, 40)


def test_activations_are_applied() -> None:
    splats, behind = _cloud(), torch.tensor([0.2, 0.4, 0.6])
    drawn = splats.render(CAMERA, behind)
    activated = rasterise(
        splats.means,
        splats.quats_wxyz,
        splats.log_scales.exp(),
        splats.logit_opacities.sigmoid(),
        splats.colors,
        camera=CAMERA,
        background=behind,
    )
    assert float(drawn.alpha.max()) > 0.2
    assert torch.equal(drawn.color, activated.color)
    assert torch.equal(drawn.depth, activated.depth)


def test_gradients_reach_all_five_tensors() -> None:
    leaves = [t.clone().requires_grad_() for t in vars(_cloud()).values()]
    Gaussians(*leaves).render(CAMERA).color.square().sum().backward()
    assert all(leaf.grad is not None and bool(leaf.grad.abs().max() > 0) for leaf in leaves)


def test_a_batch_of_cameras_and_another_back_end_agree() -> None:
    both = Camera(CAMERA.K.expand(2, 3, 3), CAMERA.T_camera_world.expand(2, 4, 4), 48, 40)
    splats = _cloud()
    drawn = splats.render(both).color
    assert drawn.shape == (2, 40, 48, 3)
    twin = splats.to(torch.float64).render(CAMERA.to(torch.float64), backend="torch").color
    torch.testing.assert_close(drawn[1].double(), twin, atol=2e-4, rtol=0)
