"""From the network's output to people, cameras, crops and meshes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pear_recomputation import rotation_6d
from torch.utils._python_dispatch import TorchDispatchMode

from pear_avatar.body import load_body
from pear_avatar.body.ehm import EhmModel, open_ehm
from pear_avatar.geometry.cameras import project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.recovery.pear.crops import crop_tensor, square_boxes
from pear_avatar.recovery.pear.engine import PearEngine
from pear_avatar.recovery.pear.output import (
    PearOutput,
    body_params,
    crop_cameras,
    from_layers,
    layer_widths,
    proportions,
)
from pear_avatar.recovery.pear.pear_config import OutputSizes, PearConfig
from pear_avatar.recovery.pear.pear_model import PearModel, output_sizes
from pear_avatar.recovery.pear.pear_network import PearNetwork
from pear_avatar.types import Proportions


@pytest.fixture(scope="module")
def model() -> EhmModel:
    return open_ehm(load_body())


def some_output(sizes: OutputSizes, batch: int, seed: int = 0) -> PearOutput:
    generator = torch.Generator().manual_seed(seed)
    layers = {
        name: 0.3 * torch.randn(batch, width, generator=generator, dtype=torch.float64)
        for name, width in layer_widths(sizes).items()
    }
    layers["smplx_poses_decoder"] += torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(52)
    layers["smplx_scale_decoder"] = 1 + 0.1 * layers["smplx_scale_decoder"]
    layers["cam_decoder"][:, 2] += 1.5
    return from_layers(layers)


def published_pixels(vertices: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
    """The released projection onto its canvas of 1024 pixels, one point at a time."""
    R = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=vertices.dtype))
    pixels = []
    for point in vertices:
        x, y, z = R @ point + camera
        ndc = torch.stack([24 * x / z, 24 * y / z])
        pixels.append(-(ndc * 1024 / 2 - 1024 / 2))
    return torch.stack(pixels)


def naive_skinning(
    rest: torch.Tensor,
    joints: torch.Tensor,
    rotations: torch.Tensor,
    weights: torch.Tensor,
    parents: tuple[int, ...],
) -> torch.Tensor:
    """Linear blend skinning as the smplx package does it: no translation, root about its joint."""
    world = []
    for j, parent in enumerate(parents):
        T = torch.eye(4, dtype=rest.dtype)
        T[:3, :3] = rotations[j]
        T[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0)
        world.append(T if parent < 0 else world[parent] @ T)
    out = torch.zeros_like(rest)
    for j, T in enumerate(world):
        moved = (rest - joints[j]) @ T[:3, :3].T + T[:3, 3]
        out += weights[j, :, None] * moved
    return out


def test_pixels_are_those_of_the_published_formula() -> None:
    body = load_body().to(dtype=torch.float64)
    sizes = OutputSizes(body.num_betas, body.num_expression, 5, body.num_expression)
    output = some_output(sizes, 2)
    shaped = body.shape(output.betas, output.head_expression)
    params = body_params(output, shaped.joints[:, 0])
    ours = shaped.pose(params.rotations, params.transl).vertices()

    box = torch.tensor([[100.0, -20.0, 333.0], [5.0, 7.0, 512.0]], dtype=torch.float64)
    camera = crop_cameras(box, 640, 480)
    pixels, depth = project(camera, ours)
    pick = slice(0, body.num_vertices, 997)
    for i in range(2):
        face = [output.jaw_pose[i], output.eye_pose[i, 0], output.eye_pose[i, 1]]
        six = [rotation_6d(v) for v in output.rotation_6d[i]]
        R = torch.stack(six[:22] + [axis_angle_to_matrix(v) for v in face] + six[22:])
        theirs = naive_skinning(
            shaped.vertices()[i, pick],
            shaped.joints[i],
            R,
            body.skin_weights_t[:, pick],
            body.parents,
        )
        expected = published_pixels(theirs, output.camera[i]) / 1024 * box[i, 2] + box[i, :2]
        # Skinning weights are normalised in float32.
        torch.testing.assert_close(pixels[i, pick], expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(depth[i, pick], theirs[:, 2] + output.camera[i, 2])


def test_the_world_has_y_up_and_the_camera_at_its_origin() -> None:
    body = load_body()
    sizes = OutputSizes(body.num_betas, body.num_expression, 5, body.num_expression)
    zeros = {name: torch.zeros(1, width) for name, width in layer_widths(sizes).items()}
    upright = torch.tensor([1.0, 0, 0, 0, -1, 0] + 51 * [1.0, 0, 0, 0, 1, 0])
    zeros["smplx_poses_decoder"] += upright
    zeros["cam_decoder"] += torch.tensor([0.1, 0.2, 2.0])
    output = from_layers(zeros)
    shaped = body.shape(output.betas)
    params = body_params(output, shaped.joints[:, 0])
    # Facing the camera upright is the identity in this package's world.
    torch.testing.assert_close(params.rotations[0], torch.eye(3).expand(55, 3, 3))
    posed = shaped.pose(params.rotations, params.transl)
    head, ankle = posed.joints[0, 15], posed.joints[0, 7]
    assert head[1] > ankle[1] + 1
    # Depth 24 / 2 in front of a camera that looks along -z; nearer parts have larger z.
    assert abs(float(params.transl[0, 2]) + 12) < 0.2


def test_expression_is_the_heads_unless_asked() -> None:
    output = some_output(OutputSizes(3, 2, 4, 5), 1)
    pelvis = torch.zeros(1, 3, dtype=torch.float64)
    assert body_params(output, pelvis).expression is output.head_expression
    assert body_params(output, pelvis, expression="body").expression is output.expression
    with pytest.raises(ValueError, match="'head' or 'body', got 'face'"):
        body_params(output, pelvis, expression="face")
    given = proportions(output)
    assert given.head_scale.shape == (1, 3)
    assert given.head_betas is output.head_betas
    assert given.joint_offsets is None


def test_whole_frame_shows_what_the_crop_shows() -> None:
    """A picture of coloured pixels: the crop's pixel and the camera's pixel are the same place."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
    box = np.array([[20.0, 10.0, 256.0 / 4]])  # each picture pixel becomes 4 x 4 crop pixels
    crop = crop_tensor(image, box)[0].permute(1, 2, 0).numpy() * 255
    # Centres of picture pixels lie between crop pixels 4 i + 1 and 4 i + 2: average the four.
    center = crop.reshape(64, 4, 64, 4, 3)[:, 1:3, :, 1:3].mean((1, 3))
    # Bilinear samples 1/8 pixel to each side of a centre.
    blurred = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge").astype(float)
    k = np.array([1 / 16, 7 / 8, 1 / 16])
    rows = sum(k[d] * blurred[d : d + 90] for d in range(3))
    both = sum(k[d] * rows[:, d : d + 120] for d in range(3))
    np.testing.assert_allclose(center, both[10:74, 20:84], atol=1.0)
    camera = crop_cameras(torch.tensor(box), 120, 90)
    assert (camera.width, camera.height) == (120, 90)
    torch.testing.assert_close(camera.K[0, :2, 2], torch.tensor([52.0, 42.0], dtype=torch.float64))


def test_large_crops_are_averaged_and_borders_are_black() -> None:
    checks = (np.indices((1024, 1024)).sum(0) % 2 * 255).astype(np.uint8)
    image = np.repeat(checks[..., None], 3, axis=2)
    crop = crop_tensor(image, np.array([[0.0, 0.0, 1024.0], [900.0, 900.0, 400.0]]))
    assert (crop[0] - 0.5).abs().max() < 0.01
    assert crop[1][:, 100:, 100:].abs().max() == 0


@settings(max_examples=50, deadline=None)
@given(st.floats(-500, 3000), st.floats(-500, 3000), st.floats(1, 2000), st.floats(1, 2000))
def test_the_seen_part_of_a_square_holds_the_box(
    left: float, top: float, width: float, height: float
) -> None:
    box = np.array([[left, top, left + width, top + height]])
    x, y, side = square_boxes(box)[0]
    seen = side * 192 / 256
    centre = x + side / 2
    assert centre - seen / 2 <= left + 1e-6
    assert centre + seen / 2 >= left + width - 1e-6
    assert y <= top + 1e-6
    assert y + side >= top + height - 1e-6


def test_bad_boxes_and_pictures() -> None:
    for box in ([5, 5, 5, 9], [0, 0, float("nan"), 3]):
        with pytest.raises(ValueError, match="left < right"):
            square_boxes(np.array([box], dtype=float))
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        crop_tensor(np.zeros((4, 4), np.uint8), np.ones((1, 3)))
    with pytest.raises(ValueError, match="side > 0"):
        crop_tensor(np.zeros((4, 4, 3), np.uint8), np.zeros((1, 3)))


def test_crop_to_mesh_equals_its_parts(model: EhmModel) -> None:
    torch.manual_seed(0)
    network = PearNetwork(PearConfig.named("vit-ti", output_sizes(model))).eval()
    recovery = PearModel(PearEngine(network, dtype=torch.float32), model)
    crops = torch.rand(2, 3, 256, 256)
    people = recovery(crops)
    mesh = recovery.vertices(crops)
    assert mesh.shape == (2, model.body.num_vertices, 3)
    torch.testing.assert_close(people.proportions.hand_scale, torch.ones(2, 3))
    shaped = model.shape(
        people.params.betas,
        None,
        people.proportions,
        eyelids=people.eyelids,
        head_expression=people.params.expression,
    )
    expected = shaped.pose(people.params.rotations, people.params.transl).vertices()
    torch.testing.assert_close(mesh, expected, rtol=0, atol=1e-5)
    posed = recovery.posed(recovery.engine(crops))
    torch.testing.assert_close(posed.joints[:, 0, 2], mesh[..., 2].mean(1), rtol=0, atol=0.4)


def test_mesh_projects_where_the_network_put_it(model: EhmModel) -> None:
    """The same reprojection as for the plain body, through EHM-s with its moved pelvis."""
    torch.manual_seed(1)
    output = some_output(output_sizes(model), 2)
    output = PearOutput(*(getattr(output, name).float() for name in output.__annotations__))
    network = PearNetwork(PearConfig.named("vit-ti", output_sizes(model))).eval()
    recovery = PearModel(PearEngine(network, dtype=torch.float32), model, hand_scale=True)
    people = recovery.people(output)
    joints = recovery.posed(output).joints
    given = Proportions(output.head_scale, output.hand_scale, output.head_betas)
    shaped = model.shape(output.betas, None, given, head_expression=output.head_expression)
    flip = torch.tensor([1.0, -1.0, -1.0])
    root = flip[:, None] * people.params.rotations[:, :1]
    theirs = shaped.pose(torch.cat([root, people.params.rotations[:, 1:]], dim=1)).joints
    pixels, _ = project(crop_cameras(torch.tensor([[0.0, 0.0, 1024.0]] * 2), 1024, 1024), joints)
    for i in range(2):
        expected = published_pixels(theirs[i].double(), output.camera[i].double())
        # float32 at a focal length of 12288 pixels
        torch.testing.assert_close(pixels[i].double(), expected, rtol=0, atol=0.05)


def test_a_network_for_another_body_is_refused(model: EhmModel) -> None:
    network = PearNetwork(PearConfig.named("vit-ti"))
    with pytest.raises(ValueError, match="predicts 200 betas, but the body has"):
        PearModel(PearEngine(network, dtype=torch.float32), model)


class _HostTraffic(TorchDispatchMode):
    """Counts operations that a CUDA graph cannot record: copies from and questions to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        # A scalar written into a slice is a kernel's argument, not a copy.
        scalar = name.startswith("aten.lift_fresh") and args[0].dim() == 0
        if name.startswith(_HOST_OPERATIONS) and not scalar:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


_HOST_OPERATIONS = (
    "aten.lift_fresh",
    "aten._local_scalar_dense",
    "aten.nonzero",
    "aten.masked_select",
    "aten.equal.",
    "aten.unique",
)


def test_crop_to_mesh_never_waits_for_the_host(model: EhmModel) -> None:
    network = PearNetwork(PearConfig.named("vit-ti", output_sizes(model))).eval()
    recovery = PearModel(PearEngine(network, dtype=torch.float32), model)
    crops = torch.rand(1, 3, 256, 256)
    recovery.vertices(crops)  # the first call prepares tables
    with torch.no_grad(), _HostTraffic() as traffic:
        recovery.vertices(crops)
    assert traffic.found == []


def test_squares_are_the_released_ones() -> None:
    tall, wide = square_boxes(np.array([[10.0, 20, 50, 120], [0.0, 0, 300, 100]]))
    np.testing.assert_allclose(tall, [30 - 62.5, 70 - 62.5, 125])
    np.testing.assert_allclose(wide, [150 - 200, 50 - 200, 400])  # 1.25 times would be 375
