"""Labelled pictures: labels agree with pixels and parameters, sets are repeatable and resumable."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.cli.main import main
from pear_avatar.errors import PearError
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.synthesis.environments import irradiance_sh, make_environment, read_environment
from pear_avatar.synthesis.figures import PARTS, part_of_joint
from pear_avatar.synthesis.labels import SETS, Visibility, label_arrays, label_maps, point_layout
from pear_avatar.synthesis.shards import (
    Picture,
    SynthOptions,
    make_pictures,
    read_shard,
    shard_name,
    write_set,
    write_shard,
)

SMALL = SynthOptions(count=6, seed=4, size=(96, 112), per_shard=3, per_person=3)


@lru_cache(maxsize=1)
def pictures() -> tuple[Picture, ...]:
    return tuple(p for shard in (0, 1) for p in make_pictures(SMALL, shard))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth")
    write_set(SMALL, out, processes=1)
    return out


def test_stored_parameters_give_the_stored_points_to_a_tenth_of_a_pixel(folder: Path) -> None:
    body = load_body()
    checked = 0
    for shard in sorted(folder.glob("*.tar")):
        for _, sample in read_shard(shard):
            K, T = sample["K"].astype(float), sample["T_camera_world"].astype(float)
            for k in range(len(sample["betas"])):
                shaped = body.shape(
                    torch.from_numpy(sample["betas"][k]), torch.from_numpy(sample["expression"][k])
                )
                rotations = axis_angle_to_matrix(torch.from_numpy(sample["poses"][k]).double())
                posed = shaped.pose(rotations.float(), torch.from_numpy(sample["transl"][k]))
                points = torch.cat([posed.joints, *posed.landmarks_many(*SETS)]).double().numpy()
                camera = points @ T[:3, :3].T + T[:3, 3]
                ahead = camera[:, 2] > 0.2
                pixels = (camera @ K.T)[:, :2] / camera[:, 2:]
                error = np.abs(pixels - sample["points_px"][k])[ahead]
                assert error.max() < 0.1
                assert np.abs(points - sample["points_world"][k]).max() < 1e-4
                checked += 1
    assert checked >= SMALL.count


def test_what_a_pixel_shows_projects_to_its_centre() -> None:
    """The picture and the labels share one geometry, to a tenth of a pixel."""
    for picture in pictures():
        scene, drawn = picture.scene, picture.drawn
        person, view = scene.people[0], scene.view
        own = (drawn.ids >= 0) & (drawn.ids < drawn.first_ids[1])
        row, column = np.nonzero(own)
        if not len(row):
            continue
        corners = person.vertices[person.figure.faces[drawn.ids[own]]].astype(float)
        # Intersect each pixel's ray with the plane of its triangle.
        ray = np.stack(
            [(column + 0.5 - view.K[0, 2]) / view.K[0, 0],
             (row + 0.5 - view.K[1, 2]) / view.K[1, 1], np.ones(len(row))], 1
        ) @ view.T_camera_world[:3, :3].astype(float)  # fmt: skip
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        slope = (ray * normal).sum(1)
        steady = np.abs(slope) > 0.05 * np.linalg.norm(normal, axis=1) * np.linalg.norm(ray, axis=1)
        t = ((corners[:, 0] - view.eye) * normal).sum(1)[steady] / slope[steady]
        assert np.abs(t - drawn.depth[own][steady]).max() < 2e-3
        met = view.eye + t[:, None] * ray[steady]
        pixels, _ = view.project(met)
        assert np.abs(pixels - np.stack([column, row], 1)[steady] - 0.5).max() < 0.1


def test_seen_face_points_lie_on_what_is_drawn() -> None:
    layout = point_layout(load_body())
    start, end = layout["mediapipe_face"]
    gaps = []
    for picture in pictures():
        labels = label_arrays(picture.scene, picture.drawn)
        T = labels["T_camera_world"]
        for k, instance in enumerate(labels["instance"]):
            seen = labels["points_seen"][k, start:end] == Visibility.VISIBLE
            points = labels["points_world"][k, start:end][seen]
            pixels = labels["points_px"][k, start:end][seen].astype(int)
            z = points @ T[2, :3] + T[2, 3]
            owner = picture.drawn.owner()[pixels[:, 1], pixels[:, 0]]
            own = owner == instance - 1
            gaps += list(np.abs(z - picture.drawn.depth[pixels[:, 1], pixels[:, 0]])[own])
    assert len(gaps) > 50
    assert np.median(gaps) < 0.012


def test_maps_agree_with_the_picture_s_truth() -> None:
    for picture in pictures():
        maps = label_maps(picture.scene, picture.drawn)
        nobody = maps["classes"][..., 0] == 0
        assert not maps["depth"][nobody].any()
        assert not maps["normals"][nobody].any()
        somebody = (maps["classes"][..., 0] > 0) & (maps["classes"][..., 0] < 255)
        assert (maps["classes"][..., 1][somebody] > 0).all()
        assert maps["classes"][..., 1].max() < len(PARTS)
        n = maps["normals"][~nobody].astype(float) / 127.5 - 1
        assert np.abs(np.linalg.norm(n, axis=1) - 1).max() < 0.05
        assert (n[:, 2] <= 0.02).all()  # towards the camera


def test_a_joint_behind_an_obstacle_is_occluded_and_one_outside_is_outside() -> None:
    states = {int(s) for s in Visibility}
    found: set[int] = set()
    for picture in pictures():
        labels = label_arrays(picture.scene, picture.drawn)
        inside = (labels["points_px"] >= 0).all(-1) & (labels["points_px"] < labels["size"]).all(-1)
        seen = labels["points_seen"]
        assert (seen[~inside] == Visibility.OUTSIDE).all()
        found |= set(np.unique(seen).tolist())
    assert found == states


def test_every_joint_has_a_part() -> None:
    parts = part_of_joint()
    assert PARTS[parts[JOINT_INDEX["left_index2"]]] == "left_hand"
    assert PARTS[parts[JOINT_INDEX["jaw"]]] == "head"
    assert set(parts) == set(range(1, len(PARTS)))


def test_the_same_options_give_the_same_shard_and_other_seeds_another(tmp_path: Path) -> None:
    one = replace(SMALL, count=2, per_shard=2)
    for name in ("a", "b"):
        write_shard(one, tmp_path / name, 0)
    first, second = ((tmp_path / n / shard_name(0)).read_bytes() for n in ("a", "b"))
    assert first == second
    write_shard(replace(one, seed=5), tmp_path / "c", 0)
    assert (tmp_path / "c" / shard_name(0)).read_bytes() != first


def test_a_set_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path) -> None:
    shards = sorted(folder.glob("*.tar"))
    assert [p.name for p in shards] == [shard_name(0), shard_name(1)]
    truth = shards[1].read_bytes()
    shards[1].unlink()
    (folder / ".shard-000001-x.partial.tar").write_bytes(b"half")
    kept = shards[0].stat().st_mtime_ns
    done: list[int] = []
    write_set(SMALL, folder, processes=2, progress=lambda k, n: done.append(k))
    assert done == [3, 6]
    assert shards[0].stat().st_mtime_ns == kept
    assert shards[1].read_bytes() == truth
    assert not list(folder.glob(".*"))


def test_another_set_s_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PearError, match="seed 4, not 9"):
        write_set(replace(SMALL, seed=9), folder, processes=1)
    (tmp_path / "shard-000000.tar").write_bytes(b"")
    with pytest.raises(PearError, match=r"holds shard-000000\.tar"):
        write_set(SMALL, tmp_path, processes=1)


def test_a_damaged_shard_is_named(folder: Path, tmp_path: Path) -> None:
    whole = (folder / shard_name(0)).read_bytes()
    broken = tmp_path / shard_name(0)
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PearError, match="not a whole shard"):
        list(read_shard(broken))


def test_webdataset_reads_the_shards(folder: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="pip install webdataset")
    data = webdataset.WebDataset(str(folder / shard_name(0)), shardshuffle=False)
    samples = list(data.decode("rgb8"))
    assert len(samples) == 3
    assert samples[0]["jpg"].shape == (112, 96, 3)
    assert samples[0]["npz"]["points_px"].shape[-1] == 2
    assert samples[0]["json"]["people"]


def test_members_are_grouped_by_key(folder: Path) -> None:
    with tarfile.open(folder / shard_name(1)) as tar:
        names = tar.getnames()
    assert names[:3] == ["00000003.jpg", "00000003.npz", "00000003.json"]
    info = json.loads((folder / "dataset.json").read_text("utf-8"))
    assert info["points"]["joints"] == [0, 55]


def test_light_of_a_bright_sky_comes_from_above() -> None:
    sky = np.zeros((16, 32, 3), np.float32)
    sky[:8] = 1.0
    sh = irradiance_sh(sky)
    up = 0.282095 * sh[0] + 0.488603 * sh[1] + 0.315392 * -1 * sh[6] - 0.546274 * sh[8]
    down = 0.282095 * sh[0] - 0.488603 * sh[1] + 0.315392 * -1 * sh[6] - 0.546274 * sh[8]
    assert up == pytest.approx(np.ones(3), abs=0.03)
    assert down == pytest.approx(np.zeros(3), abs=0.03)


def test_own_backgrounds_are_used(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((60, 80, 3), (0, 0, 200), np.uint8))
    panorama = np.full((32, 64, 3), 0.5, np.float32)
    cv2.imwrite(str(tmp_path / "room.hdr"), panorama)
    own = replace(SMALL, backgrounds=str(tmp_path))
    assert len(list(make_pictures(replace(own, count=2), 0))) == 2
    assert read_environment(tmp_path / "room.hdr").backdrop.panorama is not None
    (tmp_path / "broken.hdr").write_bytes(b"no")
    with pytest.raises(PearError, match="can be read"):
        read_environment(tmp_path / "broken.hdr")
    with pytest.raises(PearError, match="not a folder"):
        list(make_pictures(replace(SMALL, backgrounds=str(tmp_path / "none")), 0))


def test_places_repeat_by_seed() -> None:
    a, b = make_environment(3), make_environment(3)
    assert np.array_equal(a.light.sh, b.light.sh)
    assert np.array_equal(a.backdrop.ground, b.backdrop.ground)


def test_impossible_options_are_named() -> None:
    with pytest.raises(PearError, match="count"):
        SynthOptions(count=0)
    with pytest.raises(PearError, match="pixels"):
        SynthOptions(count=1, size=(8, 8))
    with pytest.raises(PearError, match="seed"):
        SynthOptions(count=1, seed=-1)


def test_the_command_writes_a_set_and_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sheet = tmp_path / "set", tmp_path / "sheet.png"
    code = main(
        ["synth", "--count", "2", "--people", "1", "-o", str(out), "--sheet", str(sheet),
         "--size", "64x64", "--processes", "1"]
    )  # fmt: skip
    assert code == 0
    assert "2 pictures" in capsys.readouterr().out
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape == (64, 128, 3)
