"""Keypoints of every layout, with noise, gaps, units and axes, solved back to the motion."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from pear_avatar.motion.formats.registry import ReadOptions, read_motion
from pear_avatar.motion.keypoints.point_layouts import layout_of_count
from pear_avatar.types import BodyParams

N = 24
TIMES = np.arange(N) / 30
LIMBS = ((1, 4), (4, 7), (2, 5), (5, 8), (16, 18), (18, 20), (17, 19), (19, 21))
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # rows: y-up points times this
Y_DOWN = np.diag([1.0, -1, -1])


@pytest.fixture(scope="module")
def moved() -> BodyParams:
    """A walk with swinging arms and a turn, of a person with a shape of their own."""
    t = 2 * np.pi * TIMES
    turns = np.zeros((N, 55, 3))
    turns[:, 0, 1] = 0.6 * np.sin(0.5 * t)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        swing = np.sin(t) * sign
        turns[:, JOINT_INDEX[f"{side}_hip"], 0] = -0.5 * swing
        turns[:, JOINT_INDEX[f"{side}_knee"], 0] = 0.4 + 0.4 * swing
        turns[:, JOINT_INDEX[f"{side}_shoulder"], 2] = -1.0 * sign
        turns[:, JOINT_INDEX[f"{side}_shoulder"], 1] = -0.4 * sign + 0.5 * swing * sign
        turns[:, JOINT_INDEX[f"{side}_elbow"], 1] = -sign * (0.9 + 0.3 * swing)
        for finger in ("index", "middle", "ring", "pinky"):
            for k in (1, 2, 3):
                turns[:, JOINT_INDEX[f"{side}_{finger}{k}"], 2] = -sign * (0.4 + 0.2 * swing)
    path = np.stack([0.4 * TIMES, 0.9 + 0.02 * np.sin(2 * t), 0.8 * TIMES], 1)
    betas = torch.zeros(10)
    betas[:2] = torch.tensor([1.0, -0.7])
    return BodyParams(
        betas,
        torch.zeros(N, 10),
        axis_angle_to_matrix(torch.from_numpy(turns)).float(),
        torch.from_numpy(path).float(),
    )


def posed_of(params: BodyParams):
    return load_body().shape(params.betas).pose(params.rotations, params.transl)


def points_of(params: BodyParams, specs: tuple[str, ...]) -> np.ndarray:
    """(N, K, 3) of the posed mesh, each point by its own definition; NaN where it has none."""
    posed, out = posed_of(params), []
    for spec in specs:
        parts = []
        for text in spec.lstrip("~").split("+") if spec else []:
            kind, _, which = text.partition(":")
            joint = kind == "joint"
            found = (
                posed.joints[:, JOINT_INDEX[which]]
                if joint
                else posed.landmarks(kind)[:, int(which)]
            )
            parts.append(found)
        out.append(torch.stack(parts).mean(0) if parts else torch.full((N, 3), torch.nan))
    return torch.stack(out, 1).double().numpy()


def seen(params: BodyParams, count: int, noise: float = 0.005) -> np.ndarray:
    layout = layout_of_count(np.ones((1, count, 3)) * (0 if count == 17 else 1))
    if count == 17:  # two layouts have as many; this is the one that geometry does not choose
        layout = layout_of_count(np.random.default_rng(0).normal(size=(5, 17, 3)))
    assert layout is not None
    points = points_of(params, layout.points)
    return points + noise * np.random.default_rng(count).normal(size=points.shape)


def misses(found, params: BodyParams) -> tuple[float, float]:
    """Millimetres of the 22 joints from the pelvis, and degrees of the limbs, means."""
    theirs = posed_of(params).joints[:, :22].double()
    ours = posed_of(found.motion.params).joints[:, :22].double()
    rooted = (ours - ours[:, :1]) - (theirs - theirs[:, :1])
    cosine = []
    for a, b in LIMBS:
        x, y = (torch.nn.functional.normalize(p[:, b] - p[:, a], dim=-1) for p in (ours, theirs))
        cosine.append((x * y).sum(-1).clamp(-1, 1))
    degrees = torch.rad2deg(torch.arccos(torch.stack(cosine)))
    return float(1e3 * rooted.norm(dim=-1).mean()), float(degrees.mean())


@pytest.mark.parametrize("count", [17, 18, 22, 25, 26, 33, 55, 70, 133])
def test_known_motions_come_back(tmp_path, moved, count):
    """With 5 mm of noise: 25 mm and 3 degrees; half of it is the shape that bones do not show."""
    np.savez(tmp_path / "a.npz", keypoints_3d=seen(moved, count), fps=30.0)
    found = read_motion(tmp_path / "a.npz")
    assert found.layout == "keypoints"
    assert found.own_shape
    assert not found.warnings
    millimetres, degrees = misses(found, moved)
    assert millimetres < 25
    assert degrees < 3
    path = found.motion.params.transl.double().numpy()
    truth = moved.transl.double().numpy()
    assert np.abs((path - path[0]) - (truth - truth[0]))[:, [0, 2]].max() < 0.05


def test_human36m_is_told_from_coco(tmp_path, moved):
    names = ("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
             "left_ankle", "spine2", "neck", "head", "head", "left_shoulder", "left_elbow",
             "left_wrist", "right_shoulder", "right_elbow", "right_wrist")  # fmt: skip
    points = points_of(moved, tuple(f"joint:{n}" for n in names))
    np.save(tmp_path / "h36m.npy", points)
    found = read_motion(tmp_path / "h36m.npy", ReadOptions(frame_rate=30.0))
    assert max(misses(found, moved)) < 25


@pytest.mark.parametrize(
    ("axes", "scale", "said"),
    [(Z_UP, 1000.0, "millimetres"), (Y_DOWN, 1.0, ""), (Z_UP, 100.0, "centimetres"),
     (Y_DOWN, 0.37, "no unit")],
)  # fmt: skip
def test_units_and_axes_are_seen(tmp_path, moved, axes, scale, said):
    np.savez(tmp_path / "a.npz", joints3d=scale * seen(moved, 25) @ axes, fps=30.0)
    found = read_motion(tmp_path / "a.npz")
    assert said in " ".join(found.warnings)
    if said != "no unit":
        assert max(misses(found, moved)) < 30
    assert misses(found, moved)[1] < 4


def test_missing_points_and_frames_are_filled(tmp_path, moved):
    points, confidence = seen(moved, 25, 0.003), np.ones((N, 25))
    points[5, 2:5] = np.nan
    points[10:13] = np.nan
    points[15, 7] = [3.0, 3.0, 3.0]  # found on another person, without confidence
    confidence[15, 7] = 0
    points[18, 11] += 0.6  # and one with
    np.savez(tmp_path / "a.npz", keypoints_3d=points, confidence=confidence, fps=30.0)
    found = read_motion(tmp_path / "a.npz")
    assert any("3 frames show no points" in w for w in found.warnings)
    millimetres, degrees = misses(found, moved)
    assert millimetres < 30
    assert degrees < 4


def test_noise_is_smoothed_and_fingers_follow(tmp_path, moved):
    np.savez(tmp_path / "a.npz", keypoints_3d=seen(moved, 133, 0.004), fps=30.0)
    params = read_motion(tmp_path / "a.npz").motion.params
    speed = params.transl.diff(dim=0).diff(dim=0).norm(dim=-1)
    assert float(speed.mean()) < 0.008
    hand = slice(JOINT_INDEX["left_index1"], JOINT_INDEX["left_index1"] + 12)
    bend = params.rotations[:, hand], moved.rotations[:, hand]
    assert torch.rad2deg(geodesic_angle(*bend)).mean() < 20
    straight = torch.eye(3).expand_as(bend[1])
    assert torch.rad2deg(geodesic_angle(bend[1], straight)).mean() > 20


def mediapipe_json(points: np.ndarray) -> str:
    frames = [
        [{"x": x, "y": y, "z": z, "visibility": 0.9} for x, y, z in frame.tolist()]
        for frame in points
    ]
    return json.dumps(frames)


def sam3d(points: np.ndarray) -> list:
    shift = np.array([0.1, 0.2, 3.0])
    return [
        [{"pred_keypoints_3d": frame - shift, "pred_cam_t": shift, "bbox": np.zeros(4)}]
        for frame in np.nan_to_num(points @ Y_DOWN)
    ]


CONTAINERS = {
    "bare.npy": (25, lambda p, x: np.save(p, x)),
    "float16.npy": (33, lambda p, x: np.save(p, x.astype(np.float16))),
    "batch.npy": (33, lambda p, x: np.save(p, x[None])),
    "flat.npy": (25, lambda p, x: np.save(p, x.reshape(N, -1))),
    "confidence.npy": (25, lambda p, x: np.save(p, np.concatenate([x, np.ones((N, 25, 1))], -1))),
    "mdm.npy": (22, lambda p, x: np.save(
        p, np.array({"motion": x.transpose(1, 2, 0)[None]}, object), allow_pickle=True)),
    "frames.pkl": (17, lambda p, x: p.write_bytes(pickle.dumps(
        [{"keypoints3d": frame} for frame in x]))),
    "sam3d.pkl": (70, lambda p, x: p.write_bytes(pickle.dumps(sam3d(x)))),
    "tensor.pt": (22, lambda p, x: torch.save({"joints": torch.from_numpy(x)}, p)),
    "lists.json": (25, lambda p, x: p.write_text(json.dumps(x.tolist()))),
    "mediapipe.json": (33, lambda p, x: p.write_text(mediapipe_json(x))),
    "nested.json": (25, lambda p, x: p.write_text(
        "\ufeff" + json.dumps({"person": {"keypoints_3d": x.tolist()}, "fps": 30}), "utf-8")),
    "freemocap.npy": (553, lambda p, x: np.save(p, 1000 * x @ Z_UP)),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(tmp_path, moved, name):
    count, write = CONTAINERS[name]
    write(tmp_path / name, seen(moved, count, 0.002))
    found = read_motion(tmp_path / name, ReadOptions(frame_rate=30.0))
    assert found.layout == "keypoints"
    assert found.motion.params.num_frames == N
    millimetres, degrees = misses(found, moved)
    assert millimetres < 30
    assert degrees < 4


NAMED = {
    "LHip": 11, "RHip": 12, "LKnee": 13, "RKnee": 14, "LAnkle": 15, "RAnkle": 16, "LShoulder": 5,
    "RShoulder": 6, "LElbow": 7, "RElbow": 8, "LWrist": 9, "RWrist": 10, "Nose": 0, "LBigToe": 17,
    "LHeel": 19, "RBigToe": 20, "RHeel": 22,
}  # fmt: skip


def named_points(moved) -> np.ndarray:
    return points_of(moved, tuple(f"wholebody133:{i}" for i in NAMED.values()))


def test_trc(tmp_path, moved):
    points = 1000 * named_points(moved)
    lines = [
        "PathFileType\t4\t(X/Y/Z)\ta.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate",
        f"30.000\t30.000\t{N}\t{len(NAMED)}\tmm\t30.000",
        "Frame#\tTime\t" + "\t\t\t".join(NAMED),
        "\t\t" + "\t".join(f"{a}{k + 1}" for k in range(len(NAMED)) for a in "XYZ"),
    ]
    for k in range(N):
        row = [f"{v:.3f}" for v in points[k].reshape(-1)]
        if k == 4:
            row[3:6] = ["", "", ""]
        lines.append("\t".join([str(k + 1), f"{k / 30:.5f}", *row]))
    (tmp_path / "a.trc").write_text("\ufeff" + "\n".join(lines), "utf-8")
    found = read_motion(tmp_path / "a.trc")
    assert found.layout == "trc"
    assert not found.warnings
    assert found.motion.fps == pytest.approx(30, abs=0.01)
    assert max(misses(found, moved)) < 30
    (tmp_path / "b.trc").write_text("\n".join([*lines[:6], "7\tx\ty"]))
    with pytest.raises(MotionFileError, match="line 7: not a frame of numbers"):
        read_motion(tmp_path / "b.trc")
    (tmp_path / "c.trc").write_text("\n".join(lines).replace("Knee", "KNE1").replace("Hip", "ASI"))
    with pytest.raises(MotionFileError, match="lack left_hip, right_hip"):
        read_motion(tmp_path / "c.trc")


@pytest.mark.parametrize("separator", [",", ";"])
def test_csv(tmp_path, moved, separator):
    points = named_points(moved)
    header = ["time", *(f"{name}_{axis}" for name in NAMED for axis in "xyz")]
    rows = [[f"{k / 30:.5f}", *(f"{v:.5f}" for v in points[k].reshape(-1))] for k in range(N)]
    text = "\n".join(separator.join(row) for row in (header, *rows))
    (tmp_path / "a.csv").write_text(text, "utf-8")
    found = read_motion(tmp_path / "a.csv")
    assert found.layout == "csv"
    assert max(misses(found, moved)) < 30


def c3d(points: np.ndarray, names: list[str], *, integers: bool) -> bytes:
    """A small file by the user guide of c3d.org."""

    def parameter(name: str, group: int, kind: int, sizes: list[int], data: bytes) -> bytes:
        body = struct.pack("<bB", kind, len(sizes)) + bytes(sizes) + data
        return (
            struct.pack("<bb", len(name), group)
            + name.encode()
            + struct.pack("<h", 2 + len(body))
            + body
        )

    labels = b"".join(n.ljust(16).encode() for n in names)
    section = struct.pack("<bb", 5, -1) + b"POINT" + struct.pack("<h", 3) + b"\0"
    section += parameter("LABELS", 1, -1, [16, len(names)], labels)
    section += parameter("UNITS", 1, -1, [4], b"mm  ")
    section = b"\x01\x50\x02\x54" + section + b"\0\0"
    section = section.ljust(1024, b"\0")
    scale = 0.1 if integers else -1.0
    head = struct.pack("<BB4HHfHHf", 2, 0x50, len(names), 0, 1, len(points), 10, scale, 4, 0, 30.0)
    four = np.zeros((*points.shape[:2], 4))
    four[..., :3] = np.nan_to_num(points) / (scale if integers else 1.0)
    four[..., 3] = np.where(np.isfinite(points).all(-1), 0, -1)
    data = four.round().astype("<i2") if integers else four.astype("<f4")
    return head.ljust(512, b"\0") + section + data.tobytes()


@pytest.mark.parametrize("integers", [True, False])
def test_c3d(tmp_path, moved, integers):
    points = 1000 * named_points(moved) @ Z_UP
    points[3, 4] = np.nan
    data = c3d(points, list(NAMED), integers=integers)
    (tmp_path / "a.c3d").write_bytes(data)
    found = read_motion(tmp_path / "a.c3d")
    assert found.layout == "c3d"
    assert found.motion.fps == pytest.approx(30)
    assert max(misses(found, moved)) < 30
    for cut in (513, 520, 600, 1100, 1540):  # never more than one line about what is wrong
        (tmp_path / "b.c3d").write_bytes(data[:cut])
        with pytest.raises(MotionFileError):
            read_motion(tmp_path / "b.c3d")


def test_points_of_no_person_are_refused(tmp_path, moved):
    points = seen(moved, 25)
    points[:, [9, 12]] = np.nan
    np.savez(tmp_path / "a.npz", keypoints_3d=points, fps=30)
    with pytest.raises(MotionFileError, match="lack left_hip, right_hip; hips and shoulders"):
        read_motion(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", keypoints_3d=np.ones((5, 11, 3)))
    with pytest.raises(MotionFileError, match="no poses found"):
        read_motion(tmp_path / "b.npz")


def test_names_overrule_the_order(tmp_path: Path, moved):
    """Names in the file overrule the number of points, and their order."""
    order = np.random.default_rng(1).permutation(17)
    names = ["nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
             "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
             "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
             "right_ankle"]  # fmt: skip
    np.savez(
        tmp_path / "a.npz",
        keypoints_3d=seen(moved, 17, 0.002)[:, order],
        joint_names=np.array(names)[order],
        fps=30,
    )
    assert misses(read_motion(tmp_path / "a.npz"), moved)[1] < 3
