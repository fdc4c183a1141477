"""What engines and artists get: a body on the floor, a root, bones along limbs, several clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from gltf_reader import GltfReader

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES
from pear_avatar.export.bone_names import VRM_BONES, bone_names
from pear_avatar.export.gltf import Morphs, save_glb
from pear_avatar.export.gltf.mesh import MeshLayout
from pear_avatar.export.rig import Rig, RigStyle
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams, Motion

FRAMES = (0, 5, 11)


def walking(speed: float = 1.0, name: str = "walk") -> Motion:
    """Twelve frames that begin 4 m behind the origin, 1 m under it, and go forward."""
    t = torch.linspace(0, 1, 12)
    g = torch.Generator().manual_seed(7)
    axis_angle = 0.2 * torch.randn(1, 55, 3, generator=g) * torch.sin(3 * t)[:, None, None]
    transl = torch.stack([0.2 * t, torch.full_like(t, -1.0), speed * t - 4], 1)
    params = BodyParams(
        torch.zeros(10), torch.zeros(12, 52), axis_angle_to_matrix(axis_angle), transl
    )
    return Motion(params, np.arange(12) / 12.0, name)


def skin(motion: Motion, frames=FRAMES) -> np.ndarray:
    """(F, M, 3) the posed vertices of the file's layout, in the motion's world."""
    body, p = load_body(), motion.params[list(frames)]
    posed = body.shape(p.betas, p.expression).pose(p.rotations, p.transl)
    return posed.vertices().numpy()[:, MeshLayout.of(body).vertex]


@pytest.fixture(scope="module")
def two_clips(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("rig") / "two.glb"
    save_glb(path, load_body(), [walking(), walking(2.0)], influences=8, morphs=Morphs(0, "none"))
    return path


def test_khronos_validator_and_trimesh(two_clips, node):
    issues = node("validate_gltf.mjs", two_clips)["issues"]
    # Texture coordinates are kept for painters although an untextured material reads none.
    unexpected = [m for m in issues["messages"] if m["code"] != "UNUSED_OBJECT"]
    assert (issues["numErrors"], issues["numWarnings"], unexpected) == (0, 0, [])
    mesh = next(iter(trimesh.load(two_clips).geometry.values()))
    assert mesh.bounds[0, 1] == pytest.approx(0, abs=1e-5)
    height = float(np.ptp(load_body().v_template[:, 1].numpy()))
    assert mesh.bounds[1, 1] == pytest.approx(height, abs=1e-4)


def test_the_first_frame_stands_at_the_origin_and_the_skin_is_exact(two_clips):
    motion = walking()
    reader, expected = GltfReader(two_clips), skin(motion)
    found = np.stack([reader.vertices(motion.time[f]) for f in FRAMES])
    moved = found - expected
    assert np.ptp(moved.reshape(-1, 3), axis=0).max() < 2e-5  # one shift for all frames
    pelvis = load_body().shape(motion.params.betas).joints[0].numpy() - np.array([0, 1, 4])
    assert np.allclose(moved[0, 0, [0, 2]], -pelvis[[0, 2]], atol=1e-5)
    assert found[..., 1].min() == pytest.approx(0, abs=0.02)  # one frame in twenty may sink


def test_three_js_finds_clips_bones_and_the_floor(two_clips, node, tmp_path):
    motion = walking()
    info = node("read_gltf.mjs", two_clips, tmp_path / "out.f32", *motion.time[list(FRAMES)])
    assert info["clips"] == ["walk", "walk 2"]
    assert sorted(info["bones"]) == sorted(["root", *JOINT_NAMES])
    found = np.fromfile(tmp_path / "out.f32", np.float32).reshape(3, -1, 3)
    assert found[..., 1].min() == pytest.approx(0, abs=0.02)
    joints = dict(zip(info["bones"], np.array(info["joints"]).transpose(1, 0, 2), strict=True))
    t = np.array([[0.0], [5 / 11], [1.0]])
    assert np.allclose(joints["root"], t * [0.2, 0, 1], atol=1e-5)
    assert np.allclose(joints["pelvis"][0, [0, 2]], 0, atol=1e-6)


@pytest.mark.parametrize("travel", ["root", "pelvis", "in-place"])
def test_who_carries_the_way(tmp_path, travel):
    save_glb(
        tmp_path / "a.glb", load_body(), walking(), morphs=Morphs(0, "none"),
        rig=RigStyle(travel=travel),
    )  # fmt: skip
    world, _ = GltfReader(tmp_path / "a.glb").pose(1.0 - 1 / 12)
    names = [n.name for n in GltfReader(tmp_path / "a.glb").gltf.nodes]
    root, pelvis = (world[names.index(n)][:3, 3] for n in ("root", "pelvis"))
    goes = {"root": (1, 1), "pelvis": (0, 1), "in-place": (0, 0)}[travel]
    assert np.allclose(root, np.array([0.2, 0, 1]) * goes[0], atol=1e-5)
    assert np.allclose(pelvis[[0, 2]], np.array([0.2, 1]) * goes[1], atol=1e-5)


def test_bones_point_along_the_limbs_alike_on_both_sides():
    body = load_body()
    rig = Rig.of(body, None, RigStyle())
    for joint, child in (
        ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"), ("spine1", "spine2"), ("left_index1", "left_index2"),
    ):  # fmt: skip
        for a, b in ((joint, child), (mirror(joint), mirror(child))):
            limb = rig.joints[JOINT_INDEX[b]] - rig.joints[JOINT_INDEX[a]]
            along = rig.axes[JOINT_INDEX[a]][:, 1]
            assert along @ limb / np.linalg.norm(limb) == pytest.approx(1, abs=1e-9)
        left, right = rig.axes[JOINT_INDEX[joint]], rig.axes[JOINT_INDEX[mirror(joint)]]
        assert np.abs(left[:, 2] * [-1, 1, 1] - right[:, 2]).max() < 0.05
    assert np.allclose(np.linalg.det(rig.axes), 1)


def mirror(joint: str) -> str:
    return joint.replace("left_", "right_")


def test_names_of_other_programs():
    assert bone_names(55, "mixamo")[JOINT_INDEX["left_wrist"]] == "mixamorig:LeftHand"
    assert bone_names(55, "mixamo")[JOINT_INDEX["right_index1"]] == "mixamorig:RightHandIndex1"
    assert bone_names(55, "unreal")[JOINT_INDEX["right_foot"]] == "ball_r"
    assert bone_names(55, "unreal")[JOINT_INDEX["left_thumb3"]] == "thumb_03_l"
    assert VRM_BONES[JOINT_INDEX["left_pinky2"]] == "leftLittleIntermediate"
    for names in ("smplx", "mixamo", "unreal", "vrm"):
        assert len({*bone_names(55, names)}) == 55


def test_several_clips_share_the_targets_they_need(tmp_path):
    """Four influences: targets make up for the rest in every clip; artists see what they are."""
    g = torch.Generator().manual_seed(1)
    smile = replace(walking(), name="smile")
    params = replace(smile.params, expression=0.5 * torch.randn(12, 52, generator=g))
    smile = replace(smile, params=params)
    save_glb(tmp_path / "a.glb", load_body(), [walking(), smile], morphs=Morphs(0))
    reader = GltfReader(tmp_path / "a.glb")
    automatic = [n for n in reader.target_names if n.startswith("_auto_")]
    assert reader.target_names[-len(automatic) :] == automatic
    assert [a.name for a in reader.gltf.animations] == ["walk", "smile"]
    found = reader.vertices(walking().time[11])
    expected = skin(walking(), [11])[0]
    off = (found - found.mean(0)) - (expected - expected.mean(0))
    assert np.linalg.norm(off, axis=-1).max() < 3.5e-4


def test_unknown_choices_are_named():
    with pytest.raises(ValueError, match="travel must be one of"):
        RigStyle(travel="fly")
