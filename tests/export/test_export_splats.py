"""Splat files as others read them: three.js for PLY, SPZ and glTF, and the bytes themselves."""

from __future__ import annotations

import gzip
import json
import struct

import numpy as np
import pytest
import torch
import trimesh

from pear_avatar.export import save_splat_gltf, save_splat_ply, save_spz
from pear_avatar.geometry.rotations import quat_wxyz_to_matrix
from pear_avatar.splatting import Gaussians

COUNT = 300


def cloud(seed: int = 0, count: int = COUNT, reach: float = 1.0) -> Gaussians:
    """Splats of every orientation; colours a little beyond [0, 1] at places."""
    g = torch.Generator().manual_seed(seed)
    return Gaussians(
        reach * torch.randn(count, 3, generator=g),
        3 * torch.randn(count, 4, generator=g),
        torch.rand(count, 3, generator=g) * 3 - 7,
        2 * torch.randn(count, generator=g),
        torch.rand(count, 3, generator=g) * 1.2 - 0.1,
    )


def covariances(splats: Gaussians) -> np.ndarray:
    """(N, 6) xx xy xz yy yz zz in square metres."""
    R = quat_wxyz_to_matrix(splats.quats_wxyz.double())
    cov = (R * (2 * splats.log_scales.double()).exp()[:, None]) @ R.transpose(-1, -2)
    rows, columns = np.triu_indices(3)
    return cov[:, rows, columns].numpy()


def relative(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(N,) error of covariances, relative to each splat's largest entry."""
    return np.abs(found - expected).max(1) / np.abs(expected).max(1)


@pytest.fixture
def three(node, tmp_path):
    """Centres (N, 3), covariances (N, 6) and RGBA (N, 4) of a file, as three.js has them."""

    def read(path):
        count = node("read_splats.mjs", path, tmp_path / "three.f32")["count"]
        flat = np.fromfile(tmp_path / "three.f32", np.float32)
        parts = np.split(flat, [3 * count, 9 * count])
        return tuple(p.reshape(count, -1) for p in parts)

    return read


def rgba(splats: Gaussians) -> np.ndarray:
    alpha = splats.logit_opacities.sigmoid()[:, None]
    return torch.cat([splats.colors.clamp(0, 1), alpha], 1).numpy()


def test_ply_is_read_by_three_js(tmp_path, three):
    """float32 throughout; three.js keeps colours in 8 bits."""
    splats = cloud()
    save_splat_ply(tmp_path / "a.ply", splats, axes="y-up")
    centers, cov, color = three(tmp_path / "a.ply")
    assert np.array_equal(centers, splats.means.numpy())
    assert relative(cov, covariances(splats)).max() < 1e-5
    assert np.abs(color - rgba(splats)).max() < 0.51 / 255


def test_ply_turns_the_world_for_viewers_with_y_down(tmp_path, three):
    splats = cloud()
    save_splat_ply(tmp_path / "a.ply", splats, axes="y-down")
    centers, cov, _ = three(tmp_path / "a.ply")
    assert np.array_equal(centers, splats.means.numpy() * [1, -1, -1])
    # Half a turn about x changes the sign of what mixes x with y or z.
    assert relative(cov, covariances(splats) * [1, -1, -1, 1, 1, 1]).max() < 1e-5


def test_ply_golden_layout(tmp_path):
    """The reference implementation's header and row, byte for byte."""
    one = Gaussians(
        torch.tensor([[1.0, 2.0, 3.0]]),
        torch.tensor([[2.0, 0.0, 0.0, 0.0]]),
        torch.tensor([[-4.0, -5.0, -6.0]]),
        torch.tensor([0.25]),
        torch.tensor([[0.5, 1.0, 0.0]]),
    )
    save_splat_ply(tmp_path / "a.ply", one, axes="y-up")
    head, _, body = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    names = " ".join(x.split()[-1] for x in head.decode().splitlines() if "property" in x)
    assert names == (
        "x y z nx ny nz f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 "
        "rot_0 rot_1 rot_2 rot_3"
    )
    dc = 0.5 / 0.28209479177387814
    row = struct.unpack("<17f", body)
    expected = [1, 2, 3, 0, 0, 0, 0, dc, -dc, 0.25, -4, -5, -6, 1, 0, 0, 0]
    assert row == pytest.approx(expected, rel=1e-6)


def test_ply_opens_as_a_point_cloud(tmp_path):
    save_splat_ply(tmp_path / "a.ply", cloud(), axes="y-up")
    points = trimesh.load(tmp_path / "a.ply")
    assert np.allclose(points.vertices, cloud().means.numpy())


# Scales are rounded to 3 %, so variances to 6.5 %; 10-bit quaternions turn by up to 0.2 degrees,
# the 8-bit ones of version 2, whose w is left out, by up to 12 where it is near 0.
@pytest.mark.parametrize(("version", "tolerance"), [(3, 0.08), (2, 0.3)])
def test_spz_is_read_by_three_js(tmp_path, three, version, tolerance):
    splats = cloud()
    save_spz(tmp_path / "a.spz", splats, version=version)
    centers, cov, color = three(tmp_path / "a.spz")
    assert np.abs(centers - splats.means.numpy()).max() < 0.6 / 2**16
    assert relative(cov, covariances(splats)).max() < tolerance
    step = np.array([1 / 136, 1 / 136, 1 / 136, 1 / 255])  # colours span more than [0, 1]
    assert (np.abs(color - rgba(splats)) < 0.51 * step + 0.51 / 255).all()


def test_spz_golden_bytes(tmp_path):
    """Header and one splat of version 3, worked out by hand from the format's description."""
    one = Gaussians(
        torch.tensor([[1.0, -1.0, 0.5]]),
        torch.tensor([[0.0, 0.0, 0.0, -2.0]]),  # half a turn about z: z is the largest
        torch.tensor([[-5.0, -10.0, -4.0]]),
        torch.tensor([0.0]),
        torch.tensor([[0.5, 0.5, 0.5]]),
    )
    save_spz(tmp_path / "a.spz", one)
    data = gzip.decompress((tmp_path / "a.spz").read_bytes())
    assert data[:16] == struct.pack("<IIIBBBB", 0x5053474E, 3, 1, 0, 16, 0, 0)
    assert data[16:25] == bytes([0, 0, 1, 0, 0, 255, 0, 128, 0])  # 65536, -65536, 32768
    assert data[25:32] == bytes([128, 128, 128, 128, 80, 0, 96])
    (packed,) = struct.unpack("<I", data[32:])
    assert packed >> 30 == 2  # z
    assert [(packed >> shift) & 511 for shift in (20, 10, 0)] == [0, 0, 0]


def test_spz_reaches_far_with_fewer_bits(tmp_path, three):
    splats = cloud(reach=3000.0)
    save_spz(tmp_path / "a.spz", splats)
    centers, _, _ = three(tmp_path / "a.spz")
    bits = gzip.decompress((tmp_path / "a.spz").read_bytes())[13]
    assert bits < 12
    assert np.abs(centers - splats.means.numpy()).max() <= 0.51 / 2**bits
    with pytest.raises(ValueError, match="SPZ reaches"):
        save_spz(tmp_path / "b.spz", cloud(reach=1e9))


def test_the_same_splats_give_the_same_spz(tmp_path):
    for name in ("a.spz", "b.spz"):
        save_spz(tmp_path / name, cloud())
    assert (tmp_path / "a.spz").read_bytes() == (tmp_path / "b.spz").read_bytes()


@pytest.mark.parametrize("ending", ["glb", "gltf"])
def test_splat_gltf_is_read_by_three_js(tmp_path, three, node, ending):
    splats = cloud()
    path = tmp_path / f"a.{ending}"
    save_splat_gltf(path, splats)
    centers, cov, color = three(path)
    assert np.array_equal(centers, splats.means.numpy())
    assert relative(cov, covariances(splats)).max() < 1e-5
    assert np.abs(color - rgba(splats)).max() < 0.51 / 255
    issues = node("validate_gltf.mjs", path)["issues"]
    # The validator does not know this extension yet: neither it nor the names it brings.
    unexpected = [m for m in issues["messages"] if "gaussian_splatting" not in str(m)]
    assert [m for m in unexpected if m["severity"] < 2] == []


def test_splat_gltf_follows_the_extension(tmp_path):
    save_splat_gltf(tmp_path / "a.gltf", cloud())
    root = json.loads((tmp_path / "a.gltf").read_text())
    assert root["extensionsUsed"] == ["KHR_gaussian_splatting"]
    primitive = root["meshes"][0]["primitives"][0]
    assert primitive["mode"] == 0
    settings = primitive["extensions"]["KHR_gaussian_splatting"]
    assert (settings["kernel"], settings["colorSpace"]) == ("ellipse", "srgb_rec709_display")
    kinds = {
        name.removeprefix("KHR_gaussian_splatting:"): root["accessors"][index]["type"]
        for name, index in primitive["attributes"].items()
    }
    assert kinds == {
        "POSITION": "VEC3",
        "COLOR_0": "VEC4",
        "ROTATION": "VEC4",
        "SCALE": "VEC3",
        "OPACITY": "SCALAR",
        "SH_DEGREE_0_COEF_0": "VEC3",
    }


@pytest.mark.parametrize("save", [save_splat_ply, save_spz, save_splat_gltf])
def test_splats_that_draw_nothing_are_left_out(tmp_path, save, caplog):
    path = tmp_path / {save_splat_ply: "a.ply", save_spz: "a.spz", save_splat_gltf: "a.glb"}[save]
    bad = cloud()
    bad.means[3, 1] = float("nan")
    bad.quats_wxyz[5] = 0
    save(path, bad)
    assert "left out 2 splats" in caplog.text
    whole = path.stat().st_size
    assert whole > 0
    empty = Gaussians(*(t[:0] for t in vars(cloud()).values()))
    for broken, message in ((empty, "nothing to write"), (_features(), "only RGB")):
        with pytest.raises(ValueError, match=message):
            save(path, broken)
    assert path.stat().st_size == whole


def _features() -> Gaussians:
    splats = cloud()
    return Gaussians(
        splats.means,
        splats.quats_wxyz,
        splats.log_scales,
        splats.logit_opacities,
        torch.zeros(COUNT, 8),
    )


def test_unknown_choices_are_named(tmp_path):
    with pytest.raises(ValueError, match="axes must be"):
        save_splat_ply(tmp_path / "a.ply", cloud(), axes="z-up")
    with pytest.raises(ValueError, match="version 2 or 3"):
        save_spz(tmp_path / "a.spz", cloud(), version=4)
    with pytest.raises(ValueError, match=r"\.glb or \.gltf"):
        save_splat_gltf(tmp_path / "a.ply", cloud())
    assert not list(tmp_path.iterdir())
