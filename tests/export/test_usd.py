"""USD files as Pixar's own library reads and poses them."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body import face_from_arkit
from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.export import save_usd
from pear_avatar.export.gltf.mesh import MeshLayout
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams, Motion
from tests.support.grey_avatar import grey_avatar

#: float32 positions, and quaternions rounded to it: metres.
ROUNDING = 2e-5


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """Nine hundred grey splats on the average body."""
    return grey_avatar(900)


def nodding(avatar: Avatar) -> Motion:
    """Six frames: limbs turn, a smile comes, the way begins 3 m off and 1 m under the floor."""
    t = torch.linspace(0, 1, 6)
    g = torch.Generator().manual_seed(3)
    turns = 0.3 * torch.randn(1, 55, 3, generator=g) * t[:, None, None]
    turns[:, 22:25] = 0  # jaw and eyes stay: only the smile moves the face
    weights = torch.zeros(6, 52)
    weights[:, avatar.body.arkit_names.index("mouthSmileLeft")] = t
    params = BodyParams(
        avatar.betas,
        face_from_arkit(avatar.body, weights).expression,
        axis_angle_to_matrix(turns),
        torch.stack([t, torch.full_like(t, -1.0), 3 + t], 1),
    )
    return Motion(params, np.arange(6) / 30.0, "nod 1")


@pytest.fixture(scope="module")
def pxr():
    return pytest.importorskip("pxr", reason="usd-core is not installed: pip install usd-core")


@pytest.fixture(scope="module")
def stage(avatar, pxr, tmp_path_factory):
    from pxr import Usd

    motion = nodding(avatar)
    path = tmp_path_factory.mktemp("usd") / "me.usdz"
    save_usd(path, avatar, [motion, replace(motion, name="again")], texture_size=64)
    return Usd.Stage.Open(str(path))


def test_metres_y_up_on_the_floor(avatar, stage):
    from pxr import UsdGeom

    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    points = np.array(UsdGeom.Mesh.Get(stage, "/Person/Body").GetPointsAttr().Get())
    height = float(np.ptp(avatar.body.v_template[:, 1].numpy()))
    assert points[:, 1].min() == pytest.approx(0, abs=1e-5)
    assert points[:, 1].max() == pytest.approx(height, abs=1e-5)


def test_names_clips_and_blend_shapes(avatar, stage):
    from pxr import UsdSkel

    skeleton = UsdSkel.Skeleton.Get(stage, "/Person/Skeleton")
    joints = [str(j) for j in skeleton.GetJointsAttr().Get()]
    assert [j.rpartition("/")[2] for j in joints] == ["root", *JOINT_NAMES]
    clips = [p.GetName() for p in stage.Traverse() if p.IsA(UsdSkel.Animation)]
    assert clips == ["clip_00_nod_1", "clip_01_again"]
    binding = UsdSkel.BindingAPI(stage.GetPrimAtPath("/Person/Body"))
    assert set(avatar.body.arkit_names) <= set(binding.GetBlendShapesAttr().Get())


def test_pixar_poses_the_same_skin(avatar, stage):
    from pxr import Usd, UsdSkel

    cache = UsdSkel.Cache()
    root = UsdSkel.Root.Get(stage, "/Person")
    cache.Populate(root, Usd.PrimDefaultPredicate)
    mesh = stage.GetPrimAtPath("/Person/Body")
    skin = cache.GetSkinningQuery(mesh)
    query = cache.GetSkelQuery(UsdSkel.Skeleton.Get(stage, "/Person/Skeleton"))
    shapes = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(mesh))
    motion, moved = nodding(avatar), []
    for frame in (0, 3, 5):
        time = Usd.TimeCode(float(motion.time[frame]) * stage.GetTimeCodesPerSecond())
        points = mesh.GetAttribute("points").Get()
        weights = query.GetAnimQuery().ComputeBlendShapeWeights(time)
        sub, index, blend = shapes.ComputeSubShapeWeights(weights)[-3:]
        assert shapes.ComputeDeformedPoints(
            sub, index, blend, shapes.ComputeBlendShapePointIndices(),
            shapes.ComputeSubShapePointOffsets(), points,
        )  # fmt: skip
        assert skin.ComputeSkinnedPoints(query.ComputeSkinningTransforms(time), points, time)
        p = motion.params[[frame]]
        posed = avatar.body.shape(None, p.expression).pose(p.rotations, p.transl)
        wanted = posed.vertices()[0].numpy()[MeshLayout.of(avatar.body).vertex]
        moved.append(np.array(points, np.float64) - wanted)
    shift = np.mean(moved, axis=(0, 1))
    assert np.linalg.norm(np.array(moved) - shift, axis=-1).max() < ROUNDING
    pelvis = avatar.body.joint_template[0].numpy()
    assert np.allclose(shift[[0, 2]], [-pelvis[0], -pelvis[2] - 3], atol=1e-4)


def test_the_texture_is_in_the_archive(stage):
    from pxr import UsdShade

    picture = UsdShade.Shader.Get(stage, "/Person/Material/Texture")
    assert picture.GetInput("file").Get().resolvedPath.endswith("texture.png]")


def test_wrong_endings_and_a_missing_library_are_named(avatar, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"one \.usdz archive"):
        save_usd(tmp_path / "a.usda", avatar)
    monkeypatch.setitem(sys.modules, "pxr.Gf", None)
    with pytest.raises(ValueError, match=r"pip install 'pear-avatar\[usd\]'"):
        save_usd(tmp_path / "a.usdz", avatar)
    assert not list(tmp_path.iterdir())
