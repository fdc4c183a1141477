"""VRM files as three-vrm and Khronos' validator read them."""

from __future__ import annotations

import numpy as np
import pytest

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.export import VrmMeta, save_vrm
from pear_avatar.export.bone_names import VRM_BONES
from pear_avatar.export.vrm import VRM_PRESETS
from tests.support.grey_avatar import grey_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """A thousand grey splats: what a VRM file says does not depend on them."""
    return grey_avatar(1000)


@pytest.fixture(scope="module")
def file(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("vrm") / "me.vrm"
    meta = VrmMeta("Me", "A. Author", licence="https://example.org/licence")
    save_vrm(path, avatar, meta, texture_size=64)
    return path


@pytest.fixture(scope="module")
def found(file, node):
    return node("read_vrm.mjs", file)


def test_khronos_validator_finds_nothing_wrong(file, node):
    issues = node("validate_gltf.mjs", file)["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0)


def test_humanoid_in_metres_on_the_floor(avatar, found):
    assert sorted(found["bones"]) == sorted(VRM_BONES)
    height = float(np.ptp(avatar.body.v_template[:, 1].numpy()))
    assert found["rest"][0][1] == pytest.approx(0, abs=1e-4)
    assert found["rest"][1][1] == pytest.approx(height, abs=1e-4)


def test_applications_pose_it_in_the_axes_of_the_world(found):
    """An arm turned down by 90 degrees about the world's z: the hand hangs below the shoulder."""
    shoulder, rest, low = (np.array(found[k]) for k in ("shoulder", "restHand", "loweredHand"))
    reach = np.linalg.norm(rest - shoulder)
    assert rest[0] - shoulder[0] > 0.9 * reach
    assert shoulder[1] - low[1] > 0.9 * reach


def test_expressions_are_vrm_s_own_and_arkit_s(avatar, found):
    assert set(avatar.body.arkit_names) <= set(found["expressions"])
    assert set(VRM_PRESETS) <= set(found["expressions"])
    assert found["weights"] == pytest.approx({"jawOpen": 0.7, "eyeBlinkLeft": 1.0})
    assert found["lookAt"]


def test_the_licence_is_the_strictest_by_default(found):
    meta = found["meta"]
    assert (meta["name"], meta["authors"]) == ("Me", ["A. Author"])
    assert meta["avatarPermission"] == "onlyAuthor"
    assert meta["modification"] == "prohibited"
    assert meta["otherLicenseUrl"] == "https://example.org/licence"


def test_what_is_wrong_is_named(avatar, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.vrm"):
        save_vrm(tmp_path / "a.glb", avatar, VrmMeta("a", "b"))
    with pytest.raises(ValueError, match="author"):
        VrmMeta("a", " ")
    with pytest.raises(ValueError, match="permission must be"):
        VrmMeta("a", "b", permission="nobody")
    with pytest.raises(ValueError, match="web address"):
        VrmMeta("a", "b", licence="mine")
    assert not list(tmp_path.iterdir())
