"""Licensed files that are not what they should be: every message names file, key and remedy."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
import torch

from pear_avatar.body.licensed import (
    load_flame,
    load_flame_masks,
    load_head_vertices,
    load_mano_hand,
    load_smplx,
)
from pear_avatar.body.licensed.find import (
    ASSETS,
    MODELS_VARIABLE,
    find_asset,
    models_folder,
    require_asset,
)
from pear_avatar.body.licensed.flame_files import NUM_FACES, NUM_VERTICES
from pear_avatar.body.licensed.model_files import open_model_file
from pear_avatar.errors import ModelFileError
from pear_avatar.geometry.rotations import axis_angle_to_matrix

_KEYS = {
    "v_template": ("V", 3),
    "shapedirs": ("V", 3, "C"),
    "posedirs": ("V", 3, 36),
    "J_regressor": (5, "V"),
    "weights": ("V", 5),
}


@pytest.fixture(scope="module")
def flame_path(body_models):
    return find_asset(body_models, "FLAME neutral")


@pytest.fixture(scope="module")
def flame(flame_path):
    """FLAME as a small npz would hold it: float32, ten shapes and ten expressions."""
    file = open_model_file(flame_path, "")
    arrays = {key: file.real(key, shape).astype(np.float32) for key, shape in _KEYS.items()}
    arrays["shapedirs"] = arrays["shapedirs"][..., [*range(10), *range(300, 310)]]
    arrays["f"] = file.integers("f", (NUM_FACES, 3)).astype(np.uint32)
    arrays["kintree_table"] = np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.int64)
    return arrays


def write(tmp_path, arrays, name="FLAME_NEUTRAL.npz", **changes):
    path = tmp_path / name
    kept = {k: v for k, v in {**arrays, **changes}.items() if v is not None}
    if path.suffix == ".npz":
        np.savez(path, **kept)
    else:
        path.write_bytes(pickle.dumps(kept, 2))
    return path


@pytest.mark.parametrize("name", ["FLAME_NEUTRAL.npz", "flame2023.pkl"])
def test_old_layouts_and_both_forms(tmp_path, flame, flame_path, name):
    small, whole = load_flame(write(tmp_path, flame, name)), load_flame(flame_path)
    assert (small.num_betas, small.num_expression) == (10, 10)
    assert (whole.num_betas, whole.num_expression) == (300, 100)
    betas, expression = torch.randn(10), torch.randn(10)
    turned = axis_angle_to_matrix(0.3 * torch.randn(5, 3))
    with torch.no_grad():
        ours = small.shape(betas, expression).pose(turned).vertices()
        full = whole.shape(betas, expression).pose(turned).vertices()
    assert (ours - full).abs().max() < 1e-5  # float32 files
    shapes = load_flame(write(tmp_path, flame, shapedirs=flame["shapedirs"][..., :10]))
    assert (shapes.num_betas, shapes.num_expression) == (10, 0)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("key", "make", "message"),
    [
        ("weights", lambda a: None, r"weights is missing \(found J_regressor, f, kintree_table"),
        ("v_template", lambda a: a[:-1], r"v_template must have shape \(5023, 3\), found \(5022"),
        ("posedirs", lambda a: a[..., :9], r"posedirs must have shape \(5023, 3, 36\), found"),
        ("shapedirs", lambda a: a[..., :7], r"shapedirs must have 400 columns.*found 7"),
        ("f", lambda a: a.astype(np.float32) + 0.5, "f must hold whole numbers, found type float"),
        ("f", lambda a: a + 5023, r"f must lie in \[0, 5023\), found \[5023, 10045\]"),
        ("v_template", lambda a: a.astype(str), r"v_template must hold real numbers, found type"),
        ("v_template", lambda a: changed(a, (7, 1), np.nan), "holds 1 values that are NaN"),
        ("posedirs", lambda a: changed(a, (0, 0, 0), np.inf), "posedirs holds 1 values that are"),
        ("weights", lambda a: a * 2, r"weights rows must sum to 1, found sums in \[2, 2\]"),
        ("J_regressor", lambda a: a * 0, "J_regressor rows must sum to 1"),
        ("kintree_table", lambda a: a[::-1].copy(), "kintree_table names the parents"),
    ],
)
@pytest.mark.parametrize("name", ["FLAME_NEUTRAL.npz", "generic_model.pkl"])
def test_wrong_arrays_are_named_with_a_remedy(tmp_path, flame, name, key, make, *, message):
    path = write(tmp_path, flame, name, **{key: make(flame[key])})
    with pytest.raises(ModelFileError, match=message) as caught:
        load_flame(path)
    assert str(path) in str(caught.value)
    assert "https://flame.is.tue.mpg.de" in str(caught.value)


def test_truncated_files_are_named(tmp_path, flame, body_models):
    for name in ("FLAME_NEUTRAL.npz", "generic_model.pkl"):
        path = write(tmp_path, flame, name)
        whole = path.read_bytes()
        for share in (0.0, 0.3, 0.999):
            path.write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(ModelFileError, match=name):
                load_flame(path)
    ids = find_asset(body_models, "head correspondence")
    path = tmp_path / ids.name
    path.write_bytes(ids.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match=r"cannot be read, cut short.*smpl-x\.is\.tue"):
        load_head_vertices(path)


def test_a_damaged_byte_in_an_npz_is_found(tmp_path, flame):
    path = write(tmp_path, flame)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ModelFileError, match="cannot be read, Bad CRC"):
        load_flame(path)


def test_absurd_sizes_cost_nothing(tmp_path):
    """A header that names a terabyte is compared with the layout before anything is read."""
    path = tmp_path / "SMPL-X__FLAME_vertex_ids.npy"
    np.save(path, np.zeros(3, np.int64))
    data = path.read_bytes().replace(b"(3,)", b"(137438953472,)")
    path.write_bytes(data.replace(b" " * 12 + b"\n", b"\n", 1))
    with pytest.raises(ModelFileError):
        load_head_vertices(path)


def test_smplx_messages(tmp_path, flame):
    with pytest.raises(FileNotFoundError, match=r"SMPLX_NEUTRAL\.npz.*smpl-x\.is\.tue\.mpg\.de"):
        load_smplx(tmp_path / "SMPLX_NEUTRAL.npz")
    path = write(tmp_path, flame, "SMPLX_NEUTRAL.npz")
    with pytest.raises(ModelFileError, match=r"f must have shape \(20908, 3\), found \(9976, 3\)"):
        load_smplx(path)


def test_correspondence_hands_and_masks(tmp_path, body_models):
    ids = load_head_vertices(find_asset(body_models, "head correspondence"))
    assert ids.shape == (NUM_VERTICES,)
    twice = ids.numpy().copy()
    twice[1] = twice[0]
    np.save(tmp_path / "ids.npy", twice)
    with pytest.raises(ModelFileError, match="names some vertices twice"):
        load_head_vertices(tmp_path / "ids.npy")
    path = write(tmp_path, {"hands_mean": np.zeros(45)}, "MANO_LEFT.pkl")
    with pytest.raises(ModelFileError, match=r"MANO_LEFT\.pkl: hands_components is missing"):
        load_mano_hand(path)
    hand = load_mano_hand(
        write(tmp_path, {"hands_mean": np.zeros(45), "hands_components": np.eye(45)}, "m.pkl")
    )
    with pytest.raises(ValueError, match="50 hand coefficients given, this hand has 45"):
        hand.axis_angle(torch.zeros(50))
    with pytest.raises(ValueError, match=r"shape \(\*B, 45\), got \(2, 40\)"):
        hand.full_axis_angle(torch.zeros(2, 40))
    masks = find_asset(body_models, "FLAME masks")
    if masks is not None:
        regions = load_flame_masks(masks)
        assert all(0 <= int(r.min()) <= int(r.max()) < NUM_VERTICES for r in regions.values())


def test_files_are_found_in_the_usual_places(tmp_path, monkeypatch):
    for place in (
        "models/smplx/smplx_neutral.PKL",
        "smplx/SMPLX_NEUTRAL.npz",
        "SMPLX_MALE.pkl",
        "FLAME2020/generic_model.pkl",
        "__MACOSX/SMPLX_FEMALE.npz",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    assert find_asset(tmp_path, "SMPL-X neutral") == tmp_path / "smplx/SMPLX_NEUTRAL.npz"
    assert find_asset(tmp_path, "SMPL-X male") == tmp_path / "SMPLX_MALE.pkl"
    assert find_asset(tmp_path, "SMPL-X female") is None
    assert find_asset(tmp_path, "FLAME neutral").name == "generic_model.pkl"
    shutil.rmtree(tmp_path / "smplx")
    assert find_asset(tmp_path, "SMPL-X neutral").name == "smplx_neutral.PKL"
    with pytest.raises(FileNotFoundError, match=r"no MANO left in .*https://mano\.is\.tue"):
        require_asset(tmp_path, "MANO left")
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    with pytest.raises(ValueError, match="--body-models DIR or set PEAR_AVATAR_BODY_MODELS"):
        models_folder()
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    assert models_folder() == tmp_path
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere \(from PEAR_AVATAR_BODY_MODELS\)"):
        models_folder()
    assert len({a.name for a in ASSETS}) == len(ASSETS)
