"""The C++ rasteriser against its torch twin: values, gradients and awkward input."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from splat_scenes import (
    NAMES,
    decided_pixels,
    draw,
    loss_weights,
    random_scene,
    relative_error,
    values_and_gradients,
    with_rows,
)

from pear_avatar import _native
from pear_avatar.splatting import rasterise
from pear_avatar.types import Camera

# float32 arithmetic against float64 truth. The opacity gradient divides by the opacity, and the
# suffix behind a pixel is a difference of large numbers, hence its wider bound.
GRADIENT_BOUNDS = dict.fromkeys(NAMES, 6e-6) | {"opacities": 2.7e-5}


@pytest.fixture
def threads():
    """Restore the thread count after a test changed it."""
    before = _native.num_threads()
    yield
    _native.set_num_threads(before)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 24])
def test_values(channels):
    scene = random_scene(channels=channels)
    truth = draw(scene, scene.tensors(torch.float64), "torch")
    found = draw(scene, scene.tensors(torch.float32), "cpu")
    decided = decided_pixels(scene)
    assert decided.float().mean() > 0.95
    # About 20 roundings of float32. Depth is in metres, near 3.
    bounds = (("color", 3e-6), ("alpha", 4e-6), ("depth", 1.2e-5))
    for name, bound in bounds:
        error = (getattr(found, name).double() - getattr(truth, name)).abs() * decided
        assert error.max() <= bound, name
        assert error.mean() <= bound / 10, name


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 24])
def test_gradients(channels):
    scene = random_scene(channels=channels, seed=5)
    decided = decided_pixels(scene)
    _, truth = values_and_gradients(scene, "torch", torch.float64, decided)
    _, found = values_and_gradients(scene, "cpu", torch.float32, decided)
    for name, f, t in zip(NAMES, found, truth, strict=True):
        if name == "T_camera_world":
            assert not f[3].any()
        assert relative_error(f, t) <= GRADIENT_BOUNDS[name], name


def test_gradient_of_color_alone_equals_gradient_with_zero_depth_cotangent():
    """Without a depth gradient another kernel runs; both must agree."""
    scene = random_scene()
    w_color, _, w_depth = loss_weights(scene)
    tensors = scene.tensors(torch.float32)
    output = draw(scene, tensors, "cpu")
    loss = (output.color * w_color).sum()
    alone = torch.autograd.grad(loss, tensors, retain_graph=True)
    both = torch.autograd.grad(loss + (output.depth * w_depth * 0).sum(), tensors)
    for a, b in zip(alone, both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 9])
def test_any_number_of_threads_gives_the_same_bits(channels, threads):
    scene = random_scene(count=3000, width=300, height=200, channels=channels)
    results = []
    for count in (1, 2, 5):
        _native.set_num_threads(count)
        output, gradients = values_and_gradients(scene, "cpu", torch.float32)
        results.append((output.color, output.alpha, output.depth, *gradients))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_two_forwards_before_one_backward():
    scenes = [random_scene(seed=s, count=100 + 50 * s) for s in (1, 2)]
    expected = [values_and_gradients(s, "cpu", torch.float32)[1] for s in scenes]
    leaves = [s.tensors(torch.float32) for s in scenes]
    outputs = [draw(s, x, "cpu") for s, x in zip(scenes, leaves, strict=True)]
    losses = []
    for scene, output in zip(scenes, outputs, strict=True):
        w_color, w_alpha, w_depth = loss_weights(scene)
        loss = (output.color * w_color).sum() + (output.alpha * w_alpha).sum()
        losses.append(loss + (output.depth * w_depth).sum())
    for _ in range(2):  # retain_graph: the second pass must find its state untouched
        for k in (1, 0):
            found = torch.autograd.grad(losses[k], leaves[k], retain_graph=True)
            assert all(torch.equal(a, b) for a, b in zip(found, expected[k], strict=True))


def test_states_are_reused():
    from pear_avatar.splatting import cpu

    scene = random_scene()
    for _ in range(20):
        values_and_gradients(scene, "cpu", torch.float32)
    gc.collect()
    assert len(cpu._idle_states()) <= cpu._MAX_IDLE_STATES


def test_float64_and_non_contiguous_input():
    scene = random_scene()
    plain, plain_gradients = values_and_gradients(scene, "cpu", torch.float32)
    tensors = scene.tensors(torch.float64)
    strided = [t.repeat_interleave(2, dim=-1)[..., ::2] for t in tensors]
    assert not strided[0].is_contiguous()
    output = draw(scene, strided, "cpu")
    assert output.color.dtype == torch.float32
    assert torch.equal(output.color, plain.color)
    w_color, w_alpha, w_depth = loss_weights(scene)
    loss = (output.color * w_color).sum() + (output.alpha * w_alpha).sum()
    gradients = torch.autograd.grad(loss + (output.depth * w_depth).sum(), tensors)
    for g, p in zip(gradients, plain_gradients, strict=True):
        assert g.dtype == torch.float64
        torch.testing.assert_close(g.float(), p, rtol=1e-6, atol=1e-7)


def test_camera_batch():
    scene = random_scene()
    poses = scene.T_camera_world.repeat(2, 3, 1, 1)
    poses[:, :, 0, 3] += torch.tensor([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]])
    poses.requires_grad_()
    splats = [scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.colors]
    camera = Camera(scene.K.expand(2, 3, 3, 3), poses, scene.width, scene.height)
    output = rasterise(*splats, camera=camera)
    assert output.color.shape == (2, 3, scene.height, scene.width, 3)
    assert output.alpha.shape == output.depth.shape == (2, 3, scene.height, scene.width, 1)
    single = rasterise(
        *splats, camera=Camera(scene.K, poses[1, 2].detach(), scene.width, scene.height)
    )
    assert torch.equal(output.color[1, 2], single.color)
    (grad,) = torch.autograd.grad(output.color[1].sum(), poses)
    assert not grad[0].any()
    assert grad[1].abs().sum(dim=(1, 2)).min() > 0


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_no_splats_and_no_cameras(backend):
    scene = random_scene(count=0)
    output, gradients = values_and_gradients(scene, backend, torch.float32)
    assert torch.equal(output.color, scene.background.expand_as(output.color))
    assert not output.alpha.any()
    assert not output.depth.any()
    assert torch.allclose(gradients[-1], loss_weights(scene)[0].sum((0, 1)).float(), atol=1e-3)
    none = Camera(scene.K.expand(0, 3, 3), scene.T_camera_world.expand(0, 4, 4), 5, 4)
    empty = rasterise(*scene.tensors(torch.float32)[:5], camera=none, backend=backend)
    assert empty.color.shape == (0, 4, 5, 3)
    assert empty.depth.shape == (0, 4, 5, 1)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["means", "quats_wxyz", "scales", "opacities", "colors"])
def test_invalid_splats_are_culled(backend, value, name):
    clean = random_scene(count=40, channels=5)
    bad = torch.arange(0, 40, 3)
    good = torch.ones(40, dtype=torch.bool)
    good[bad] = False
    rows = {n: getattr(clean, n)[good] for n in NAMES[:5]}
    expected, _ = values_and_gradients(replace(clean, **rows), backend, torch.float32)
    output, gradients = values_and_gradients(
        with_rows(clean, name, bad, value), backend, torch.float32
    )
    # The kernel sorts by depth with ties in order, so removing splats changes nothing else.
    torch.testing.assert_close(output.color, expected.color, rtol=0, atol=1e-6)
    for gradient in gradients:
        assert gradient.isfinite().all()
    for gradient in gradients[:5]:
        assert not gradient[bad].any()


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_everything_culled(backend):
    scene = random_scene(count=30)
    behind = replace(scene, means=scene.means - torch.tensor([0.0, 0.0, 100.0]))
    transparent = replace(scene, opacities=torch.full((30,), 0.003))
    shapeless = replace(scene, quats_wxyz=torch.zeros(30, 4))
    for culled in (behind, transparent, shapeless):
        output, gradients = values_and_gradients(culled, backend, torch.float32)
        assert not output.alpha.any()
        assert not any(g.any() for g in gradients[:6])


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 10.0, 1e4, 1e12, 1e30])
def test_huge_and_tiny_splats_give_finite_results(scale):
    scene = random_scene(count=20)
    sized = replace(scene, scales=torch.full((20, 3), scale))
    output, gradients = values_and_gradients(sized, "cpu", torch.float32)
    assert output.color.isfinite().all()
    assert all(g.isfinite().all() for g in gradients)


def test_splats_at_the_near_plane_give_finite_results():
    scene = random_scene(count=50)
    near = replace(
        scene,
        means=scene.means * 0.02 - scene.T_camera_world[:3, :3].T @ scene.T_camera_world[:3, 3],
    )
    output, gradients = values_and_gradients(near, "cpu", torch.float32)
    assert output.color.isfinite().all()
    assert all(g.isfinite().all() for g in gradients)


def test_needle_splats_keep_their_accuracy():
    """Var_x var_y - cov^2 cancels to nothing for these in float32 unless done with care.

    A needle amplifies rounding by the ratio of its axes in pixels, here up to about 150 : 1, in
    the values, and by its square in the gradients of its shape.
    """
    scene = random_scene(count=30, seed=2)
    scales = torch.tensor([2.0, 1e-4, 1e-4]).expand(30, 3).contiguous()
    needles = replace(scene, scales=scales)
    decided = decided_pixels(needles)
    truth, truth_gradients = values_and_gradients(needles, "torch", torch.float64, decided)
    found, gradients = values_and_gradients(needles, "cpu", torch.float32, decided)
    assert ((found.color.double() - truth.color).abs() * decided).max() < 1e-4
    for name, f, t in zip(NAMES, gradients, truth_gradients, strict=True):
        assert relative_error(f, t) < 2e-2, name


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 70),
    width=st.integers(1, 140),
    height=st.integers(1, 40),
    channels=st.integers(1, 22),
    seed=st.integers(0, 1000),
)
def test_any_shape_matches_the_twin(count, width, height, channels, seed):
    scene = random_scene(count, width, height, channels, seed)
    decided = decided_pixels(scene)
    truth, truth_gradients = values_and_gradients(scene, "torch", torch.float64, decided)
    found, gradients = values_and_gradients(scene, "cpu", torch.float32, decided)
    assert found.color.shape == (height, width, channels)
    error = (found.color.double() - truth.color).abs()
    assert (error * decided).max() <= 1e-5
    assert error.max() < 1e-2  # a splat of alpha 1/255 may be in or out
    for name, f, t in zip(NAMES, gradients, truth_gradients, strict=True):
        # Looser than above: the gradients of a few splats on a few pixels can nearly cancel.
        assert relative_error(f, t) < 1e-3 or (f - t).abs().max() < 1e-3, name


def test_grad_mode_off_needs_no_graph():
    scene = random_scene()
    with torch.no_grad():
        output = draw(scene, scene.tensors(torch.float32), "cpu")
    assert not output.color.requires_grad


def test_errors_name_what_was_found():
    scene = random_scene(count=7)
    camera = Camera(scene.K, scene.T_camera_world, 8, 8)
    splats = [scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.colors]

    def with_splat(index, tensor):
        return [tensor if i == index else t for i, t in enumerate(splats)]

    with pytest.raises(ValueError, match=r"quats_wxyz \(7, 3\)"):
        rasterise(*with_splat(1, scene.quats_wxyz[:, :3]), camera=camera)
    with pytest.raises(ValueError, match=r"opacities \(7, 1\)"):
        rasterise(*with_splat(3, scene.opacities[:, None]), camera=camera)
    with pytest.raises(ValueError, match=r"colors \(7, 0\)"):
        rasterise(*with_splat(4, scene.colors[:, :0]), camera=camera)
    with pytest.raises(ValueError, match=r"means \(6, 3\)"):
        rasterise(*with_splat(0, scene.means[:6]), camera=camera)
    with pytest.raises(ValueError, match="int64"):
        rasterise(*with_splat(0, scene.means.long()), camera=camera)
    with pytest.raises(ValueError, match=r"T_camera_world \(3, 4\)"):
        rasterise(*splats, camera=replace(camera, T_camera_world=scene.T_camera_world[:3]))
    with pytest.raises(ValueError, match="0 x 8"):
        rasterise(*splats, camera=replace(camera, width=0))
    with pytest.raises(ValueError, match=r"background must be \(3,\).*got \(4,\)"):
        rasterise(*splats, camera=camera, background=torch.zeros(4))
    with pytest.raises(ValueError, match=r"near=0\.0"):
        rasterise(*splats, camera=camera, near=0.0)
    with pytest.raises(ValueError, match="eps2d"):
        rasterise(*splats, camera=camera, eps2d=-1.0)
    with pytest.raises(ValueError, match="'cuda'"):
        rasterise(*splats, camera=camera, backend="cuda")
    with pytest.raises(ValueError, match="these are on cpu"):
        rasterise(*splats, camera=camera, backend="gsplat")


def test_gsplat_absent_names_the_remedy(monkeypatch):
    from pear_avatar.splatting import gsplat_backend
    from pear_avatar.splatting.splat_scene import Splats, View

    monkeypatch.setitem(__import__("sys").modules, "gsplat", None)
    scene = random_scene(count=1)
    splats = Splats(*scene.tensors(torch.float32)[:5])
    view = View(
        K=scene.K[None],
        T_camera_world=scene.T_camera_world[None],
        width=8,
        height=8,
        background=None,
        eps2d=0.3,
        near=0.01,
        far=1e10,
    )
    with pytest.raises(ImportError, match=r'pip install "pear-avatar\[gpu\]"'):
        gsplat_backend.draw(splats, view)
