"""glTF files as others read them: Khronos' validator, pygltflib, trimesh and three.js."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from gltf_reader import GltfReader

from pear_avatar.body import face_from_arkit, load_body
from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, PARENTS
from pear_avatar.body.model import BodyModel
from pear_avatar.export.gltf import GltfDocument, Morphs, save_glb
from pear_avatar.export.gltf.animation import joint_keys
from pear_avatar.export.gltf.mesh import MeshLayout, skin_influences
from pear_avatar.export.rig import AT_PELVIS, Rig
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams, Motion

FRAMES = (0, 7, 19)

#: float32 in the file, and unit quaternions rounded to it: metres.
ROUNDING = 2e-5


@lru_cache(maxsize=1)
def moving() -> Motion:
    """Twenty frames of a person of uncommon shape: limbs, fingers, jaw, eyes, lids, a smile."""
    body = load_body()
    t = torch.linspace(0, 1, 20)
    g = torch.Generator().manual_seed(5)
    axis_angle = 0.25 * torch.randn(1, 55, 3, generator=g) * torch.sin(3 * t)[:, None, None]
    axis_angle[:, 0, 1] = 7 * t  # more than a turn: quaternions must not jump
    axis_angle[:, JOINT_INDEX["left_elbow"], 1] = -2.2 * t
    weights = torch.zeros(20, 52)
    for name, strength in (("jawOpen", t), ("eyeBlinkLeft", 1 - t), ("mouthSmileRight", 0.7 * t)):
        weights[:, body.arkit_names.index(name)] = strength
    face = face_from_arkit(body, weights)
    params = BodyParams(
        0.8 * torch.randn(12, generator=g),
        face.expression,
        face.apply(axis_angle_to_matrix(axis_angle)),
        torch.stack([t, 1 + 0.1 * t, -2 * t], 1),
    )
    return Motion(params, 3.0 + np.arange(20) / 24.0, "moving")


def posed(body: BodyModel, motion: Motion, frames=FRAMES) -> np.ndarray:
    p = motion.params[list(frames)]
    betas = p.betas if body.num_betas else None
    return body.shape(betas, p.expression).pose(p.rotations, p.transl).vertices().numpy()


def times(motion: Motion, frames=FRAMES) -> list[float]:
    return [float(motion.time[f] - motion.time[0]) for f in frames]


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("gltf") / "moving.glb"
    save_glb(path, load_body(), moving(), influences=8, rig=AT_PELVIS)
    return path


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("gltf") / "textured.glb"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    save_glb(path, load_body(), moving(), texture=pixels, unlit=True, rig=AT_PELVIS)
    return path


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("gltf") / "painted.gltf"
    colors = torch.rand(load_body().num_vertices, 3, generator=torch.Generator().manual_seed(1))
    save_glb(path, load_body(), colors=colors, morphs=Morphs(3, "skin"), rig=AT_PELVIS)
    return path, colors


@pytest.mark.parametrize("file", ["plain", "textured", "painted"])
def test_khronos_validator_finds_nothing_wrong(file, request, node):
    path = request.getfixturevalue(file)
    report = node("validate_gltf.mjs", path[0] if isinstance(path, tuple) else path)
    issues = report["issues"]
    # Texture coordinates are kept for painters although an untextured material reads none.
    unexpected = [m for m in issues["messages"] if m["code"] != "UNUSED_OBJECT"]
    assert (issues["numErrors"], issues["numWarnings"], unexpected) == (0, 0, [])


def test_all_influences_give_the_posed_body(plain):
    """Rounding alone: eight influences hold all seven of the body, and poses are key frames."""
    body, motion = load_body(), moving()
    reader, layout = GltfReader(plain), MeshLayout.of(body)
    for frame, time in zip(FRAMES, times(motion), strict=True):
        expected = posed(body, motion, [frame])[0][layout.vertex]
        assert distance(reader.vertices(time), expected).max() < ROUNDING


def test_three_js_plays_the_same_motion(plain, node, tmp_path):
    """three.js blends four influences: equal to our body cut to four, and to the whole body
    everywhere but at the few vertices that have more."""
    body, motion = load_body(), moving()
    vertex = MeshLayout.of(body).vertex
    info = node("read_gltf.mjs", plain, tmp_path / "out.f32", *times(motion))
    found = np.fromfile(tmp_path / "out.f32", np.float32).reshape(len(FRAMES), -1, 3)
    joints, weights = skin_influences(body, 4)
    four = replace(
        body, skin_joints=torch.from_numpy(joints).long(), skin_weights=torch.from_numpy(weights)
    )
    assert distance(found, posed(four, motion)[:, vertex]).max() < ROUNDING
    whole = distance(found, posed(body, motion)[:, vertex])
    many = ((body.skin_weights > 0).sum(1) > 4).numpy()[vertex]
    assert many.mean() < 0.05
    assert whole[:, ~many].max() < ROUNDING
    assert whole.mean() < 1e-4
    assert sorted(info["bones"]) == sorted(JOINT_NAMES)
    assert np.ptp(info["boneLengths"], axis=0).max() < 1e-6
    assert set(load_body().arkit_names) <= set(info["targets"])
    assert info["duration"] == pytest.approx(19 / 24, abs=1e-5)


def test_every_reader_plays_a_motion_by_default(textured, painted, node, tmp_path):
    """Morph targets of the motion make up for the influences that are missing: 0.3 mm."""
    body, motion = load_body(), moving()
    frames = range(0, 20, 3)
    node("read_gltf.mjs", textured, tmp_path / "out.f32", *times(motion, frames))
    found = np.fromfile(tmp_path / "out.f32", np.float32).reshape(len(frames), -1, 3)
    expected = posed(body, motion, frames)[:, MeshLayout.of(body).vertex]
    assert distance(found, expected).max() < 3.5e-4
    assert not hasattr(GltfReader(textured).primitive.attributes, "JOINTS_1")
    assert hasattr(GltfReader(painted[0]).primitive.attributes, "JOINTS_1")  # nothing to play


@pytest.mark.skipif(find_spec("bpy") is None, reason="Blender as a module (bpy) is not installed")
def test_blender_plays_the_same_motion(plain, tmp_path):
    """Blender reads all eight influences; z is up there."""
    body, motion = load_body(), moving()
    script = Path(__file__).with_name("blender_player.py")
    command = [sys.executable, script, plain, tmp_path / "out.npy", *times(motion)]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    info = json.loads(next(x for x in done.stdout.splitlines() if x.startswith("{")))
    x, z, y = np.moveaxis(np.load(tmp_path / "out.npy"), -1, 0)
    expected = posed(body, motion)[:, MeshLayout.of(body).vertex]
    assert distance(np.stack([x, y, -z], -1), expected).max() < 5e-5
    assert sorted(info["bones"]) == sorted(JOINT_NAMES)
    assert set(body.arkit_names) <= set(info["shape_keys"])
    assert info["uv"] == ["UVMap"]


def test_three_js_takes_texture_and_colors(textured, painted, node, tmp_path):
    info = node("read_gltf.mjs", textured, tmp_path / "a.f32", 0)
    assert (info["textured"], info["material"]) == (True, "MeshBasicMaterial")
    assert info["bitmaps"][0]["type"] == "image/png"
    info = node("read_gltf.mjs", painted[0], tmp_path / "b.f32", 0)
    assert (info["vertexColors"], info["material"]) == (True, "MeshStandardMaterial")
    found = np.fromfile(tmp_path / "b.f32", np.float32).reshape(-1, 3)
    layout = MeshLayout.of(load_body())
    assert distance(found, load_body().v_template.numpy()[layout.vertex]).max() < 1e-6


def test_trimesh_sees_a_person_in_metres(plain):
    scene = trimesh.load(plain)
    mesh = next(iter(scene.geometry.values()))
    body = load_body()
    expected = body.shape(moving().params.betas).vertices().numpy()
    assert np.allclose(mesh.bounds[0], expected.min(0), atol=1e-5)
    assert np.allclose(mesh.bounds[1], expected.max(0), atol=1e-5)
    assert len(mesh.faces) == len(body.faces)
    nose = expected[expected[:, 2].argmax()]
    assert nose[2] > 0  # faces +z
    left_wrist = body.joint_template[JOINT_INDEX["left_wrist"]]
    assert left_wrist[0] > 0  # the person's left at +x


def test_skeleton_is_named_and_shaped_like_the_body(plain):
    gltf = GltfReader(plain).gltf
    assert tuple(n.name for n in gltf.nodes[:55]) == JOINT_NAMES
    parent = {c: i for i, n in enumerate(gltf.nodes) for c in n.children or []}
    assert tuple(parent.get(i, -1) for i in range(55)) == PARENTS
    offsets = np.array([n.translation for n in gltf.nodes[:55]])
    joints = load_body().shape(moving().params.betas).joints.numpy()
    assert np.allclose(offsets[0], joints[0], atol=1e-7)
    children = np.arange(1, 55)
    assert np.allclose(offsets[1:], joints[children] - joints[list(PARENTS[1:])], atol=1e-6)


@pytest.mark.parametrize("name", ["jawOpen", "eyeLookInLeft", "mouthFunnel", "tongueOut"])
def test_named_actions_are_whole_by_default(plain, name):
    """The target at weight 1 is the face that our own ARKit control makes, joints turned."""
    body, betas = load_body(), moving().params.betas
    face = face_from_arkit(body, {name: 1.0})
    rotations = face.apply(torch.eye(3).expand(55, 3, 3))
    moved = body.shape(betas, face.expression).pose(rotations).vertices()
    expected = (moved - body.shape(betas).vertices()).numpy()[MeshLayout.of(body).vertex]
    # Movements below 1 um are left out.
    assert np.abs(GltfReader(plain).target(name) - expected).max() < 2e-6


def test_targets_for_the_animation_alone_are_few(plain, tmp_path):
    """Of the actions that turn a joint only jawOpen is in the motion; a still file needs none."""
    actions = list(load_body().arkit_names)
    assert GltfReader(plain).target_names[10:] == [*actions, "_auto_jawOpen"]
    save_glb(tmp_path / "a.glb", load_body(), morphs=Morphs(0))
    assert GltfReader(tmp_path / "a.glb").target_names == actions


def test_skin_actions_leave_the_joints_to_the_bones(painted):
    body, reader = load_body(), GltfReader(painted[0])
    assert reader.target_names == ["shape_00", "shape_01", "shape_02", *body.arkit_names]
    coef = body.arkit_coef[body.arkit_names.index("jawOpen")]
    expected = (body.expression_dirs @ coef).numpy()[MeshLayout.of(body).vertex]
    assert np.abs(reader.target("jawOpen") - expected).max() < 2e-6


def test_shape_targets_are_the_first_betas(plain):
    body, vertex = load_body(), MeshLayout.of(load_body()).vertex
    expected = body.shape_dirs[..., 4].numpy()[vertex]
    assert np.abs(GltfReader(plain).target("shape_04") - expected).max() < 2e-6


@pytest.mark.parametrize("face", ["actions", "skin", "basis"])
def test_every_choice_of_targets_plays_the_expression(tmp_path, face):
    body, motion = load_body(), moving()
    g = torch.Generator().manual_seed(2)
    wild = replace(motion.params, expression=torch.randn(20, 52, generator=g))
    motion = replace(motion, params=wild)
    save_glb(tmp_path / "a.glb", body, motion, morphs=Morphs(0, face), rig=AT_PELVIS)
    expected = posed(body, motion, [7])[0][MeshLayout.of(body).vertex]
    # 52 targets that each lack what is below 1 um, at weights of a few units.
    found = GltfReader(tmp_path / "a.glb").vertices(times(motion, [7])[0])
    assert distance(found, expected).max() < 5e-5


def test_joints_that_move_with_the_expression(tmp_path):
    """On such a body (SMPL-X is one) nodes slide a little, so that the skin stays exact."""
    g = torch.Generator().manual_seed(3)
    body = replace(load_body(), joint_expression_dirs=2e-3 * torch.randn(55, 3, 52, generator=g))
    save_glb(tmp_path / "a.glb", body, moving(), influences=8, rig=AT_PELVIS)
    expected = posed(body, moving(), [7])[0][MeshLayout.of(body).vertex]
    found = GltfReader(tmp_path / "a.glb").vertices(times(moving(), [7])[0])
    assert distance(found, expected).max() < ROUNDING


def test_pose_correctives_of_the_motion_become_targets(tmp_path):
    """Twenty frames span nineteen bends at most: few targets, within 0.3 mm everywhere."""
    g = torch.Generator().manual_seed(4)
    low_rank = torch.einsum(
        "vcr,rp->vcp",
        torch.randn(load_body().num_vertices, 3, 30, generator=g),
        2e-3 * torch.randn(30, 54 * 9, generator=g),
    )
    body = replace(load_body(), pose_dirs=low_rank)
    save_glb(tmp_path / "a.glb", body, moving(), morphs=Morphs(0), influences=8, rig=AT_PELVIS)
    reader = GltfReader(tmp_path / "a.glb")
    names = [n for n in reader.target_names if n.startswith("_auto_skin_")]
    assert 0 < len(names) <= 20
    for frame, time in zip(FRAMES, times(moving()), strict=True):
        expected = posed(body, moving(), [frame])[0][MeshLayout.of(body).vertex]
        assert distance(reader.vertices(time), expected).max() < 3.2e-4
    weights = reader.pose(times(moving())[1])[1][-len(names) :]
    assert np.abs(weights).max() <= 1 + 1e-6


def test_a_body_without_actions_or_texture_gets_its_basis(tmp_path):
    body = load_body()
    bare = replace(
        body,
        arkit_names=(),
        arkit_coef=body.arkit_coef[:0],
        arkit_pose=body.arkit_pose[:0],
        uv=body.uv[:0],
        uv_faces=body.uv_faces[:0],
    )
    save_glb(tmp_path / "a.glb", bare, moving(), influences=8, rig=AT_PELVIS)
    reader = GltfReader(tmp_path / "a.glb")
    assert reader.target_names[10:] == [
        *(f"expression_{i:02d}" for i in range(52)),
        "eyelidLeft",
        "eyelidRight",
    ]
    found = reader.vertices(times(moving(), [7])[0])
    assert distance(found, posed(bare, moving(), [7])[0]).max() < ROUNDING


def test_vertex_colors_are_linear(painted):
    path, colors = painted
    found = GltfReader(path).attribute("COLOR_0")[:, :3] / 65535
    srgb = np.where(found <= 0.0031308, 12.92 * found, 1.055 * found ** (1 / 2.4) - 0.055)
    expected = colors.numpy()[MeshLayout.of(load_body()).vertex]
    assert np.abs(srgb - expected).max() < 1e-3


def test_quaternions_do_not_jump():
    body, betas = load_body(), moving().params.betas
    quats = joint_keys(Rig.of(body, betas, AT_PELVIS), body, betas, moving()).quats_xyzw
    assert ((quats[1:] * quats[:-1]).sum(-1) > 0.5).all()
    assert np.allclose(np.linalg.norm(quats, axis=-1), 1, atol=1e-6)


def test_file_stays_small_and_skips_what_is_at_rest(plain, tmp_path):
    assert plain.stat().st_size < 5e6
    motion = moving()
    still = torch.eye(3).expand(20, 55, 3, 3).clone()
    still[:, 0] = motion.params.rotations[:, 0]
    rest = replace(
        motion.params, rotations=still, expression=torch.zeros(20, 52), transl=torch.zeros(20, 3)
    )
    save_glb(tmp_path / "a.glb", load_body(), replace(motion, params=rest), rig=AT_PELVIS)
    channels = GltfReader(tmp_path / "a.glb").gltf.animations[0].channels
    assert [(c.target.node, c.target.path) for c in channels] == [(0, "rotation")]


def test_other_frame_rates(tmp_path):
    save_glb(tmp_path / "a.glb", load_body(), moving(), fps=12, morphs=Morphs(0, "none"))
    reader = GltfReader(tmp_path / "a.glb")
    keys = reader.numbers(reader.gltf.animations[0].samplers[0].input)[:, 0]
    assert np.allclose(np.diff(keys), 1 / 12, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"colors": np.zeros((5, 3))}, "colors must have shape"),
        ({"texture": np.zeros((4, 4), np.uint8)}, "texture must be"),
        ({"influences": 5}, "influences must be 4 or 8"),
        ({"betas": torch.zeros(2, 10)}, "one shape"),
        ({"fps": 0.0, "motion": moving()}, "frame rate"),
    ],
)
def test_wrong_arguments_are_named_and_leave_no_file(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        save_glb(tmp_path / "a.glb", load_body(), **arguments)
    assert not list(tmp_path.iterdir())


def test_wrong_endings_and_choices_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"\.glb or \.gltf"):
        save_glb(tmp_path / "a.fbx", load_body(), morphs=Morphs(0, "none"))
    with pytest.raises(ValueError, match="face must be one of"):
        Morphs(face="smile")
    with pytest.raises(ValueError, match="not be negative"):
        Morphs(shape=-1)
    with pytest.raises(ValueError, match="NaN"):
        GltfDocument().accessor(np.full((2, 3), np.nan, np.float32))
