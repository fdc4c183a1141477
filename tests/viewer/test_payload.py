"""The viewer's files pose and draw the same person as Python does, in far less space."""

from __future__ import annotations

import gzip

import numpy as np
import torch
import worker_twin
from viewer_people import make_motion, make_person, make_track

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body import load_body
from pear_avatar.body.expressions import face_from_arkit
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.splatting.reference import quats_to_matrices
from pear_avatar.types import BodyParams
from pear_avatar.viewer.motions import BUILTIN_MOTIONS, FPS, builtin_motion
from pear_avatar.viewer.payload import NUM_SHAPES, avatar_payload, motion_payload, payload_size
from pear_avatar.viewer.tensor_file import unpack

#: What issue-wide parity asks of posed vertices, metres.
PARITY = 5e-5


def exact_vertices(avatar: Avatar, params: BodyParams) -> np.ndarray:
    """Posed in float64, from the avatar itself."""
    body = avatar.body.to(dtype=torch.float64)
    shaped = body.shape(None, params.expression.double())
    return shaped.pose(params.rotations.double(), params.transl.double()).vertices().numpy()


def test_posed_vertices_agree_within_a_twentieth_of_a_millimetre(person: Avatar) -> None:
    tensors, meta = unpack(avatar_payload(person, "ann"))
    motion = make_motion(person)
    moves, _ = unpack(motion_payload(motion, "clip"))
    worst = 0.0
    for i in (0, 5, 11):
        ours = worker_twin.posed_vertices(
            tensors, meta, moves["rotations"][i], moves["transl"][i], moves["expression"][i]
        )
        exact = exact_vertices(person, motion.params[i])
        worst = max(worst, float(np.linalg.norm(ours - exact, axis=1).max()))
    assert worst < PARITY


def test_every_facial_action_at_full_strength_stays_within_parity(person: Avatar) -> None:
    """ARKit weights reach the largest expression coefficients, where rounding adds up most."""
    tensors, meta = unpack(avatar_payload(person, "ann"))
    rest = torch.eye(3).expand(55, 3, 3)
    quats, transl = matrix_to_quat_wxyz(rest).numpy(), np.zeros(3)
    for action in range(52):
        face = face_from_arkit(person.body, torch.eye(52)[action])
        ours = worker_twin.posed_vertices(tensors, meta, quats, transl, face.expression.numpy())
        params = BodyParams(person.betas, face.expression, rest, torch.zeros(3))
        gap = np.linalg.norm(ours - exact_vertices(person, params), axis=1).max()
        assert gap < PARITY, f"{meta['arkit_names'][action]}: {gap * 1e3:.3f} mm"


def test_splats_lie_and_stretch_as_in_python(person: Avatar) -> None:
    tensors, meta = unpack(avatar_payload(person, "ann"))
    motion = make_motion(person)
    moves, _ = unpack(motion_payload(motion, "clip"))
    vertices = worker_twin.posed_vertices(
        tensors, meta, moves["rotations"][7], moves["transl"][7], moves["expression"][7]
    )
    means, spread = worker_twin.splats_at(tensors, vertices)
    with torch.no_grad():
        exact = person.gaussians(motion.params[7])
    # Slivers turn their frame by more than a vertex moves; offsets are 3 mm here.
    assert np.percentile(np.linalg.norm(means - exact.means.numpy(), axis=1), 99) < 1e-4
    matrices = quats_to_matrices(exact.quats_wxyz) * exact.log_scales.exp()[:, None, :]
    expected = (matrices @ matrices.mT).numpy()
    found = spread @ np.swapaxes(spread, 1, 2)
    gap = np.linalg.norm(found - expected, axis=(1, 2)) / np.linalg.norm(expected, axis=(1, 2))
    assert np.percentile(gap, 99) < 0.02
    colors = tensors["splat.rgba"][:, :3] / 255
    assert np.abs(colors - person.splats.colors.numpy()).max() <= 0.5 / 255 + 1e-6


def test_weights_sum_to_one_exactly_and_come_largest_first(person: Avatar) -> None:
    tensors, _ = unpack(avatar_payload(person, "ann"))
    weights = tensors["template.skin_weights"].astype(np.int64)
    assert (weights.sum(1) == 65535).all()
    assert (weights[:, 0] == weights.max(1)).all()


def test_shape_sliders_go_on_where_the_fit_stopped(person: Avatar) -> None:
    """Adding a unit of a slider is adding a unit of that coefficient to the open body."""
    tensors, meta = unpack(avatar_payload(person, "ann"))
    assert len(meta["shape_names"]) == NUM_SHAPES
    body, more = load_body(), torch.zeros(100)
    more[:NUM_SHAPES] = torch.tensor([1.0, -1.0, 0.5, 2.0, -2.0, 1.0, 0.0, 1.0, -1.0, 0.5])
    weights = more[:NUM_SHAPES].numpy() * tensors["shape.scales"]
    moved = np.tensordot(weights, tensors["shape.deltas"].astype(np.float32), 1)
    expected = (body.shape(more).vertices() - body.shape().vertices()).numpy()
    assert np.abs(moved - expected).max() < 3e-4
    joints = np.tensordot(more[:NUM_SHAPES].numpy(), tensors["shape.joints"], 1)
    assert np.allclose(joints, (body.shape(more).joints - body.joint_template).numpy(), atol=1e-5)


def test_an_avatar_fits_into_a_single_file() -> None:
    """30,000 splats, compressed and in base64, leave room for the app and motions in 5 MB."""
    avatar = make_person(30000)
    data = avatar_payload(avatar, "ann")
    assert len(gzip.compress(data, 9)) * 4 / 3 < 3.2e6
    body = avatar.body
    estimate = payload_size(body.num_vertices, len(body.faces), 30000, body.skin_joints.shape[1])
    assert abs(estimate - len(data)) < 0.05 * len(data)


def test_a_track_takes_its_camera_along(person: Avatar) -> None:
    track = make_track(person)
    data = motion_payload(
        track.motion, "clip", camera=track.camera, video_time=track.motion.time, source="clip.mp4"
    )
    tensors, meta = unpack(data)
    assert (meta["width"], meta["height"], meta["fps"]) == (240, 320, 20.0)
    assert np.allclose(tensors["camera.K"][3], [400, 400, 120, 160])
    assert np.allclose(tensors["camera.T"], track.camera.T_camera_world[:, :3])
    assert np.allclose(tensors["video_time"], np.arange(12) / 20)


def test_built_in_motions_stand_on_the_floor_and_come_round(person: Avatar) -> None:
    for builtin in BUILTIN_MOTIONS:
        motion = builtin_motion(person, builtin)
        assert motion.params.num_frames == builtin.frames
        assert abs(motion.fps - FPS) < 1e-6
        lowest = [
            float(person.vertices(motion.params[i])[:, 1].min())
            for i in range(0, builtin.frames, builtin.frames // 4)
        ]
        assert max(map(abs, lowest)) < 2e-3, builtin.id
        first, last = motion.params.rotations[0], motion.params.rotations[-1]
        assert float((first - last).abs().max()) < 0.25, f"{builtin.id} jumps at its end"
        assert not torch.equal(first, motion.params.rotations[builtin.frames // 3])
