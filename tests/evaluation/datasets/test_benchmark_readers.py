"""Public data sets in their own layouts, made small."""

from __future__ import annotations

import io
import json
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pear_avatar.errors import RefusedPickleError
from pear_avatar.evaluation.datasets import (
    read_3dpw,
    read_agora,
    read_coco_wholebody,
    read_ehf,
    read_ubody,
)
from pear_avatar.evaluation.datasets.ehf import EHF_CAMERA
from pear_avatar.evaluation.datasets.ply import read_ply_vertices

RNG = np.random.default_rng(0)


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes text and bytes as Python 2's str, as the files of 3DPW do."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_text(self, obj: str | bytes) -> None:
        data = obj.encode("latin1") if isinstance(obj, str) else obj
        if len(data) < 256:
            self.write(b"U" + bytes([len(data)]) + data)
        else:
            self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(obj)

    dispatch[str] = save_text
    dispatch[bytes] = save_text


def python2_pickle(value: Any) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def threedpw_sequence(frames: int = 3) -> dict[str, Any]:
    cameras = np.tile(np.eye(4), (frames, 1, 1))
    cameras[:, :3, 3] = [[0.1 * k, 0.2, 4.0] for k in range(frames)]
    valid = [np.array([1, 0, 1]), np.array([1, 1, 1])]
    return {
        "sequence": "downtown_walk_00",
        "poses": [RNG.normal(size=(frames, 72)) for _ in range(2)],
        "betas": [RNG.normal(size=10) for _ in range(2)],
        "trans": [RNG.normal(size=(frames, 3)) for _ in range(2)],
        "jointPositions": [0.3 * RNG.normal(size=(frames, 72)) for _ in range(2)],
        "poses2d": [RNG.uniform(0, 500, (frames, 3, 18)) for _ in range(2)],
        "cam_poses": cameras,
        "cam_intrinsics": np.array([[1960.0, 0, 540], [0, 1960, 960], [0, 0, 1]]),
        "campose_valid": valid,
        "genders": ["m", "f"],
        "img_frame_ids": np.arange(0, 2 * frames, 2),
        "v_template_clothed": [np.zeros((6890, 3), np.float32) for _ in range(2)],
        "texture_maps": [],
    }


def test_3dpw(tmp_path: Path) -> None:
    sequence = threedpw_sequence()
    sequence["poses2d"][0][0, 2, 4] = 0.0
    folder = tmp_path / "sequenceFiles" / "test"
    folder.mkdir(parents=True)
    (tmp_path / "imageFiles").mkdir()
    (folder / "downtown_walk_00.pkl").write_bytes(python2_pickle(sequence))
    samples = list(read_3dpw(tmp_path))
    # Two people in three pictures, one of them without an aligned camera for the first person.
    assert [(s.frame, s.person) for s in samples] == [(0, 0), (0, 1), (1, 1), (2, 0), (2, 1)]
    first = samples[3]
    assert first.image == tmp_path / "imageFiles/downtown_walk_00/image_00002.jpg"
    assert first.sequence == "downtown_walk_00/0"
    expected = sequence["jointPositions"][0][2].reshape(24, 3) + np.array([0.2, 0.2, 4.0])
    np.testing.assert_allclose(first.joints, expected)
    assert first.joint_layout == "smpl24"
    u = 1960 * expected[:, 0] / expected[:, 2] + 540
    np.testing.assert_allclose(first.box_xyxy[[0, 2]], [u.min(), u.max()])
    assert first.keypoints is not None
    np.testing.assert_allclose(first.keypoints[7], sequence["poses2d"][0][2, :2, 7])
    assert samples[0].visible is not None
    assert samples[0].visible.sum() == 17
    assert not samples[0].visible[4]
    assert first.parameters is not None
    assert first.parameters["gender"] == "m"
    np.testing.assert_allclose(first.parameters["pose"], sequence["poses"][0][2])


def test_3dpw_that_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not 3DPW: sequenceFiles, imageFiles not found"):
        list(read_3dpw(tmp_path))
    folder = tmp_path / "sequenceFiles" / "test"
    folder.mkdir(parents=True)
    (tmp_path / "imageFiles").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no sequences"):
        list(read_3dpw(tmp_path))
    (folder / "a.pkl").write_bytes(python2_pickle({"sequence": "a", "poses": []}))
    with pytest.raises(ValueError, match=r"a\.pkl is no 3DPW sequence: it lacks betas, cam_int"):
        list(read_3dpw(tmp_path))
    (folder / "a.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(RefusedPickleError, match=r"os\.system"):
        list(read_3dpw(tmp_path))


def ascii_ply(vertices: np.ndarray) -> bytes:
    lines = [" ".join(f"{v:.9g}" for v in row) + " 7" for row in vertices]
    header = [
        "ply", "format ascii 1.0", "comment made here", f"element vertex {len(vertices)}",
        "property float x", "property float y", "property float z", "property uchar red",
        "element face 1", "property list uchar int vertex_indices", "end_header",
    ]  # fmt: skip
    return "\n".join([*header, *lines, "3 0 1 2", ""]).encode()


def binary_ply(vertices: np.ndarray, order: str, ending: str = "\n") -> bytes:
    name = {"<": "little", ">": "big"}[order]
    header = [
        "ply", f"format binary_{name}_endian 1.0", f"element vertex {len(vertices)}",
        "property float nx", "property double x", "property float y", "property float z",
        "element face 0", "property list uchar int vertex_indices", "end_header", "",
    ]  # fmt: skip
    record = np.dtype(
        [("n", order + "f4"), ("x", order + "f8"), ("y", order + "f4"), ("z", order + "f4")]
    )
    table = np.zeros(len(vertices), record)
    for i, axis in enumerate("xyz"):
        table[axis] = vertices[:, i]
    return ending.join(header).encode() + table.tobytes()


def test_ply_in_all_its_forms(tmp_path: Path) -> None:
    vertices = RNG.normal(size=(5, 3))
    files = [
        ascii_ply(vertices),
        binary_ply(vertices, "<"),
        binary_ply(vertices, ">"),
        binary_ply(vertices, "<", "\r\n"),
    ]
    for content in files:
        (tmp_path / "m.ply").write_bytes(content)
        np.testing.assert_allclose(read_ply_vertices(tmp_path / "m.ply"), vertices, atol=1e-6)
    broken = {
        "not a PLY": b"solid x",
        "cut short: 4 of 5": b"\n".join(ascii_ply(vertices).split(b"\n")[:-3]),
        "cut short: 99 bytes": binary_ply(vertices, "<")[:-1],
        "without x, y, z": ascii_ply(vertices).replace(b" z", b" w"),
        "known format": ascii_ply(vertices).replace(b"ascii", b"zip"),
        "cannot be read": ascii_ply(vertices).replace(b"float y", b"half y"),
    }
    for message, content in broken.items():
        (tmp_path / "m.ply").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_ply_vertices(tmp_path / "m.ply")
    with pytest.raises(FileNotFoundError, match="no such mesh"):
        read_ply_vertices(tmp_path / "gone.ply")


def test_ehf(tmp_path: Path) -> None:
    K, R, t = EHF_CAMERA
    camera_points = RNG.normal(size=(8, 3)) * 0.3 + [0, 0, 2.5]
    world = (camera_points - t) @ R
    for number in ("02", "01"):
        (tmp_path / f"{number}_img.png").write_bytes(b"")
        (tmp_path / f"{number}_align.ply").write_bytes(binary_ply(world, "<"))
        keypoints = [1.0, 2.0, 0.5] * 25
        people = (
            {"people": [{"pose_keypoints_2d": keypoints}]} if number == "01" else {"people": []}
        )
        (tmp_path / f"{number}_2Djnt.json").write_text(json.dumps(people))
    (tmp_path / "01_img.jpg").write_bytes(b"")
    first, second = read_ehf(tmp_path)
    assert (first.image.name, second.image.name) == ("01_img.jpg", "02_img.png")
    np.testing.assert_allclose(first.vertices, camera_points, atol=1e-5)
    assert first.keypoint_layout == "openpose25"
    assert second.keypoints is None
    pixels = camera_points @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    np.testing.assert_allclose(first.box_xyxy, [*pixels.min(0), *pixels.max(0)], atol=1e-2)
    with pytest.raises(FileNotFoundError, match="no pictures such as 01_img"):
        list(read_ehf(tmp_path / "elsewhere"))


def test_agora(tmp_path: Path) -> None:
    joints_2d, joints_3d = RNG.uniform(0, 3840, (127, 2)), RNG.normal(size=(127, 3))
    vertices = RNG.normal(size=(20, 3))
    annotations = []
    for number, valid in enumerate((True, False, True)):
        paths = {}
        for key, folder, values in (
            ("smplx_joints_2d_path", "gt_joints_2d", joints_2d),
            ("smplx_joints_3d_path", "gt_joints_3d", joints_3d),
            ("smplx_verts_path", "gt_verts", vertices),
        ):
            paths[key] = f"{folder}/smplx/{number}.json"
            file = tmp_path / paths[key]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values.tolist()))
        annotations.append(
            {"id": number, "image_id": 7, "is_valid": valid, "bbox": [300, 600, 90, 120], **paths}
        )
    image = {
        "id": 7,
        "file_name_3840x2160": "3840x2160/validation/a.png",
        "file_name_1280x720": "1280x720/validation/a_1280x720.png",
    }
    content = {"images": [image], "annotations": annotations}
    (tmp_path / "AGORA_validation.json").write_text(json.dumps(content))
    small = list(read_agora(tmp_path))
    assert [s.person for s in small] == [0, 2]
    assert small[0].image == tmp_path / "1280x720/validation/a_1280x720.png"
    np.testing.assert_allclose(small[0].box_xyxy, [100, 200, 130, 240])
    np.testing.assert_allclose(small[0].keypoints, joints_2d / 3)
    np.testing.assert_allclose(small[1].vertices, vertices)
    large = next(read_agora(tmp_path, pictures="3840x2160"))
    np.testing.assert_allclose(large.box_xyxy, [300, 600, 390, 720])
    with pytest.raises(ValueError, match="got '640x360'"):
        next(read_agora(tmp_path, pictures="640x360"))
    with pytest.raises(FileNotFoundError, match=r"AGORA_train\.json not found"):
        next(read_agora(tmp_path, "train"))


def wholebody_annotation(number: int, image: int, **changes: Any) -> dict[str, Any]:
    sizes = {
        "keypoints": 17,
        "foot_kpts": 6,
        "face_kpts": 68,
        "lefthand_kpts": 21,
        "righthand_kpts": 21,
    }
    start, annotation = 0, {"id": number, "image_id": image, "bbox": [10, 20, 30, 40], "iscrowd": 0}
    for part, count in sizes.items():
        rows = [[float(start + k), 0.5, 2.0] for k in range(count)]
        annotation[part] = [v for row in rows for v in row]
        start += count
    return annotation | {"num_keypoints": 17, "valid_label": 2} | changes


def test_coco_wholebody(tmp_path: Path) -> None:
    unseen = {part: [0] * (3 * count) for part, count in
              (("keypoints", 17), ("foot_kpts", 6), ("face_kpts", 68), ("lefthand_kpts", 21),
               ("righthand_kpts", 21))}  # fmt: skip
    annotations = [
        wholebody_annotation(1, 785),
        wholebody_annotation(2, 785, iscrowd=1),
        wholebody_annotation(3, 785, **unseen),
        wholebody_annotation(4, 785, lefthand_kpts=[0] * 63),
    ]
    content = {"images": [{"id": 785, "file_name": "000000000785.jpg"}], "annotations": annotations}
    file = tmp_path / "coco_wholebody_val_v1.0.json"
    file.write_text(json.dumps(content))
    first, last = read_coco_wholebody(file, tmp_path / "val2017")
    assert first.image == tmp_path / "val2017" / "000000000785.jpg"
    assert first.keypoints is not None
    assert first.visible is not None
    assert last.visible is not None
    np.testing.assert_allclose(first.keypoints[:, 0], np.arange(133))
    np.testing.assert_allclose(first.box_xyxy, [10, 20, 40, 60])
    assert first.visible.all()
    assert (first.person, last.person) == (0, 3)
    assert np.flatnonzero(~last.visible).tolist() == list(range(91, 112))
    annotations[0]["face_kpts"] = [1, 2, 3]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="face_kpts holds 3 numbers instead of 204"):
        list(read_coco_wholebody(file, tmp_path))
    file.write_text("{}")
    with pytest.raises(ValueError, match="lacks images or annotations"):
        list(read_coco_wholebody(file, tmp_path))
    file.write_text("{")
    with pytest.raises(ValueError, match="not a readable JSON"):
        list(read_coco_wholebody(file, tmp_path))


def test_ubody(tmp_path: Path) -> None:
    scene = tmp_path / "annotations" / "Talkshow"
    scene.mkdir(parents=True)
    (tmp_path / "images").mkdir()
    (tmp_path / "splits").mkdir()
    np.save(tmp_path / "splits" / "intra_scene_test_list.npy", np.array(["vid_b"]))
    names = ("/vid_a_Trim1/0001.png", "/vid_b_Trim2/0002.png")
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    annotations = [
        wholebody_annotation(10, 0),
        wholebody_annotation(11, 1),
        wholebody_annotation(12, 1, valid_label=0),
        wholebody_annotation(13, 1),
    ]
    (scene / "keypoint_annotation.json").write_text(
        json.dumps({"images": images, "annotations": annotations})
    )
    body = {
        "smplx_param": {"root_pose": [0, 1, 2], "shape": [0.1] * 10, "lhand_valid": True},
        "cam_param": {"focal": [5000, 5001], "princpt": [96, 128]},
    }
    (scene / "smplx_annotation.json").write_text(json.dumps({str(i): body for i in (10, 11, 12)}))
    (test,) = read_ubody(tmp_path)
    assert test.name == "Talkshow/11"
    assert test.image == tmp_path / "images/Talkshow/vid_b_Trim2/0002.png"
    np.testing.assert_allclose(test.K, [[5000, 0, 96], [0, 5001, 128], [0, 0, 1]])
    assert test.parameters is not None
    assert set(test.parameters) == {"root_pose", "shape"}
    (train,) = read_ubody(tmp_path, split="train")
    assert train.name == "Talkshow/10"
    with pytest.raises(FileNotFoundError, match="inter_scene_test_list"):
        list(read_ubody(tmp_path, "inter"))
    with pytest.raises(ValueError, match="'half'"):
        list(read_ubody(tmp_path, "half"))
