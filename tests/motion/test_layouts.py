"""Every layout read to one motion; times, units and axes; and what small files may fill."""

from __future__ import annotations

import io
import json
import pickle
import resource
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from footage import DATA

from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.registry import ReadOptions, load_motion, read_motion

FAULTS = DATA / "faults"
N = 12
RNG = np.random.default_rng(3)
ANGLES = 0.3 * RNG.normal(size=(N, 55, 3))
ANGLES[:, 0] *= 0.2
ANGLES[:, [4, 5], 0] = 0.8  # knees bend the way that they can
ANGLES[:, 18, 1], ANGLES[:, 19, 1] = -0.9, 0.9
ANGLES[:, [22, 23, 24]] = 0
MATRICES = axis_angle_to_matrix(torch.from_numpy(ANGLES)).numpy()
PATH = np.stack([0.02 * np.arange(N), np.full(N, 1.2), 0.01 * np.arange(N)], 1)
SMPL = np.concatenate([ANGLES[:, :22].reshape(N, 66), np.zeros((N, 6))], 1)
SMPL_MATRICES = np.concatenate([MATRICES[:, :22], np.tile(np.eye(3), (N, 2, 1, 1))], 1)


def quaternions(matrices: np.ndarray) -> np.ndarray:
    from pear_avatar.geometry.rotations import matrix_to_quat_wxyz

    return matrix_to_quat_wxyz(torch.from_numpy(matrices)).numpy()


def dump(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def npy(path: Path, content: object) -> Path:
    array = content if isinstance(content, np.ndarray) else np.array(content, object)
    np.save(path, array, allow_pickle=True)
    return path


def motionx() -> np.ndarray:
    out = np.zeros((N, 322))
    out[:, :66] = ANGLES[:, :22].reshape(N, -1)
    out[:, 66:156] = ANGLES[:, 25:].reshape(N, -1)
    out[:, 309:312] = PATH
    return out


def phalp(ids=(1,)) -> dict:
    def person(k: int) -> dict:
        return {
            "global_orient": MATRICES[k, :1],
            "body_pose": SMPL_MATRICES[k, 1:],
            "betas": np.zeros(10),
        }

    return {
        f"img/{k:06d}.jpg": {
            "time": k,
            "tid": list(ids),
            "smpl": [person(k) for _ in ids],
            "camera": [PATH[k] for _ in ids],
        }
        for k in range(N)
    }


def people(k: int, count: int) -> list[dict]:
    near = {"rotvec": np.concatenate([ANGLES[k, :22], ANGLES[k, 25:], ANGLES[k, 22:23]])}
    near["transl_pelvis"] = PATH[k][None]
    far = {"rotvec": np.zeros((53, 3)), "transl_pelvis": PATH[k][None] + 3}
    return [near, far][:count]


def six(rows: bool) -> np.ndarray:
    m = SMPL_MATRICES if rows else np.swapaxes(SMPL_MATRICES, -1, -2)
    return np.moveaxis(m[:, :, :2].reshape(N, 24, 6), 0, -1)


def romp(count: int) -> dict:
    thetas = lambda k: np.concatenate([SMPL[k][None], np.zeros((count - 1, 72))])  # noqa: E731
    where = lambda k: np.concatenate([PATH[k][None], 5 + np.ones((count - 1, 3))])  # noqa: E731
    return {f"{k:08d}.jpg": {"smpl_thetas": thetas(k), "cam_trans": where(k)} for k in range(N)}


FULL = ANGLES.reshape(N, 165)
PLAIN = {"poses": SMPL, "trans": PATH, "up_axis": np.array("y"), "fps": 30}
MAKERS = {
    "wham.pkl": ("wham", lambda p: dump(p, {1: {"pose_world": SMPL, "trans_world": PATH}})),
    "wham two.pkl": ("wham", lambda p: dump(p, {
        0: {"pose": np.zeros((3, 72)), "trans": np.zeros((3, 3))},
        4: {"pose": SMPL, "trans": PATH}})),
    "phalp.pkl": ("phalp", lambda p: dump(p, phalp())),
    "phalp two.pkl": ("phalp", lambda p: dump(p, phalp((2, 7)))),
    "tram.npy": ("tram", lambda p: npy(p, {
        "pred_rotmat": SMPL_MATRICES, "pred_trans": PATH[:, None], "frame": np.arange(N)})),
    "tram torch.npy": ("tram", lambda p: npy(p, {
        "pred_rotmat": torch.from_numpy(SMPL_MATRICES), "pred_trans": torch.from_numpy(PATH)})),
    "aist.pkl": ("aist", lambda p: dump(p, {
        "smpl_poses": SMPL, "smpl_trans": 93 * PATH, "smpl_scaling": np.array([93.0])})),
    "mdm.npy": ("mdm", lambda p: npy(p, {"thetas": six(True), "root_translation": PATH.T})),
    "mdm columns.npy": ("mdm", lambda p: npy(p, {
        "thetas": six(False), "root_translation": PATH.T})),
    "romp.npz": ("romp", lambda p: np.savez(p, results=np.array(romp(1), object)) or p),
    "romp two.npz": ("romp", lambda p: np.savez(p, results=np.array(romp(2), object)) or p),
    "names69.npz": ("smplx", lambda p: np.savez(
        p, body_pose=SMPL[:, 3:], global_orient=SMPL[:, :3], transl=PATH) or p),
    "matrices.npz": ("smplx", lambda p: np.savez(
        p, body_pose=MATRICES[:, 1:22], global_orient=MATRICES[:, 0], transl=PATH) or p),
    "quaternions.npz": ("smplx", lambda p: np.savez(
        p, body_pose=quaternions(MATRICES[:, 1:22]), global_orient=quaternions(MATRICES[:, 0]),
        transl=PATH) or p),
    "motionx batch.npy": ("motionx", lambda p: npy(p, motionx()[None].astype(np.float32))),
    "batch.npz": ("smplx", lambda p: np.savez(
        p, body_pose=ANGLES[None, :, 1:22], global_orient=ANGLES[None, :, 0], transl=PATH[None])
        or p),
    "motionx.npy": ("motionx", lambda p: npy(p, motionx())),
    "soma.pkl": ("soma", lambda p: dump(p, {
        "fullpose": FULL, "trans": PATH, "mocap_frame_rate": 60.0, "up_axis": "y"})),
    "blender.pkl": ("soma", lambda p: dump(p, {"fullpose": ANGLES[0]})),
    "emdb.pkl": ("emdb", lambda p: dump(p, {"smpl": {
        "poses_body": SMPL[:, 3:], "poses_root": SMPL[:, :3], "trans": PATH},
        "camera": {"intrinsics": np.eye(3)}})),
    "phc.pkl": ("phc", lambda p: dump(p, {"clip": {
        "pose_aa": SMPL.reshape(N, 24, 3), "root_trans_offset": PATH, "fps": 30,
        "up_axis": "y"}})),
    "multihmr.pkl": ("multihmr", lambda p: dump(p, [people(k, 1)[0] for k in range(N)])),
    "multihmr lists.pkl": ("multihmr", lambda p: dump(p, [people(k, 1) for k in range(N)])),
    "wrapped.npz": ("amass", lambda p: np.savez(p, PLAIN) or p),
    "nested.pkl": ("amass", lambda p: dump(p, [[{"motion": PLAIN}]])),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_one_motion_in_every_layout(tmp_path, name):
    layout, make = MAKERS[name]
    found = read_motion(make(tmp_path / name))
    assert found.layout == layout
    rotations = found.motion.params.rotations.numpy()
    count = 1 if "blender" in name else N
    assert rotations.shape == (count, 55, 3, 3)
    # float32 rounds; everything else is the same rotation.
    assert np.abs(rotations[:, :22] - MATRICES[:count, :22]).max() < 1e-5
    if "blender" not in name:
        moved = found.motion.params.transl.numpy()
        assert np.allclose(moved - moved[0], PATH - PATH[0], atol=1e-4)


def test_a_folder_of_json_frames(tmp_path):
    folder = tmp_path / "motion" / "smplx_params"
    folder.mkdir(parents=True)
    for k in range(N):
        frame = {
            "root_pose": ANGLES[k, 0].tolist(),
            "body_pose": ANGLES[k, 1:22].tolist(),
            "lhand_pose": ANGLES[k, 25:40].tolist(),
            "rhand_pose": ANGLES[k, 40:].tolist(),
            "trans": PATH[k].tolist(),
        }
        (folder / f"{k + 1:05d}.json").write_text("\ufeff" + json.dumps(frame), "utf-8")
    rotations = load_motion(tmp_path / "motion").params.rotations.numpy()
    assert np.abs(rotations - MATRICES).max() < 1e-5


@pytest.mark.parametrize("width", [263, 251])
def test_humanml3d_says_the_way(tmp_path, width):
    with pytest.raises(MotionFileError, match="recover_from_ric"):
        load_motion(npy(tmp_path / "a.npy", np.zeros((5, width))))


@pytest.mark.parametrize("key", ["framerate", "mocap_framerate", "frame_rate", "frameRate", "fps"])
@pytest.mark.parametrize("rate", [np.array(50.0), np.array([50]), np.array(50, object), "50"])
def test_rates_under_every_name(tmp_path, key, rate):
    np.savez(tmp_path / "a.npz", poses=SMPL, **{key: rate})
    found = read_motion(tmp_path / "a.npz", ReadOptions(up_axis="y"))
    assert found.motion.fps == pytest.approx(50)
    assert not found.warnings


def test_an_assumed_rate_is_a_warning(tmp_path):
    np.savez(tmp_path / "a.npz", body_pose=ANGLES[:, 1:22])
    assert any("frame rate" in w for w in read_motion(tmp_path / "a.npz").warnings)
    named = read_motion(tmp_path / "a.npz", ReadOptions(frame_rate=24.0))
    assert named.motion.fps == pytest.approx(24)
    assert not named.warnings


@pytest.mark.parametrize("missing", [{3}, {2, 3, 7}, set(range(4, 9))])
def test_gaps_between_frames_stay_gaps(tmp_path, missing):
    kept = [k for k in range(N) if k not in missing]
    for k in kept:
        np.savez(tmp_path / f"{k:05d}_0.npz", body_pose=ANGLES[k, 1:22], global_orient=ANGLES[k, 0])
    found = read_motion(tmp_path)
    assert np.allclose(found.motion.time, np.array(kept) / 30)
    assert any(f"{len(missing)} frames are missing" in w for w in found.warnings)
    np.savez(tmp_path / "ids.npz", poses=SMPL[kept], frame_ids=np.array(kept) + 40, fps=25)
    found = read_motion(tmp_path / "ids.npz", ReadOptions(up_axis="y"))
    assert np.allclose(found.motion.time, np.array(kept) / 25)


@pytest.mark.parametrize(
    ("unit", "scale"), [("centimetres", 100), ("millimetres", 1000), ("inches", 1 / 0.0254)]
)
def test_units_are_seen_and_said(tmp_path, unit, scale):
    from pear_avatar.body import load_body

    body = load_body()
    height = -float(body.v_template[:, 1].min())
    path = np.stack([np.zeros(N), np.full(N, height), 0.01 * np.arange(N)], 1) - [0, -0.241, 0]
    still = np.zeros((N, 156))
    np.savez(tmp_path / "a.npz", poses=still, trans=scale * path, fps=30)
    found = read_motion(tmp_path / "a.npz", ReadOptions(up_axis="y"))
    assert any(unit in w for w in found.warnings)
    assert found.motion.params.transl[:, 1].numpy() == pytest.approx(height, abs=0.002)
    np.savez(tmp_path / "m.npz", poses=still, trans=path, fps=30)
    assert not read_motion(tmp_path / "m.npz", ReadOptions(up_axis="y")).warnings


def test_amass_names_with_y_up_are_seen(tmp_path):
    np.savez(tmp_path / "a.npz", poses=SMPL, trans=PATH, fps=30)
    found = read_motion(tmp_path / "a.npz")
    assert float(found.motion.params.rotations[:, 0, 1, 1].mean()) > 0.9
    assert any("--up z overrules" in w for w in found.warnings)
    lying = load_motion(tmp_path / "a.npz", up_axis="z").params.rotations[:, 0, 1, 1]
    assert float(lying.abs().mean()) < 0.3


@pytest.mark.parametrize("pack", [zlib.compress, lambda data: data])
def test_joblib_files(tmp_path, pack):
    joblib = pytest.importorskip("joblib")
    stream = io.BytesIO()
    joblib.dump({1: {"pose_world": SMPL, "trans_world": PATH.astype(np.float32)}}, stream)
    (tmp_path / "wham_output.pkl").write_bytes(pack(stream.getvalue()))
    rotations = load_motion(tmp_path / "wham_output.pkl").params.rotations.numpy()
    assert np.abs(rotations[:, :22] - MATRICES[:, :22]).max() < 1e-5
    for length in (10, 200, 2000):
        (tmp_path / "cut.pkl").write_bytes(stream.getvalue()[:length])
        with pytest.raises(MotionFileError):
            load_motion(tmp_path / "cut.pkl")


def bombs(folder: Path) -> list[Path]:
    """Small files that would fill gigabytes, or the stack."""
    torch.save({"body_pose": torch.zeros(1).expand(20_000, 21, 3, 1000)}, folder / "expand.pt")
    row = np.zeros((1, 21, 3, 2000), np.float32)
    frame = {"smplx_coeffs": {"body_pose": row}}
    dump(folder / "shared.pkl", {f"f{k}": frame for k in range(9000)})
    dump(folder / "text.pkl", {"body_pose": ["x" * 100_000] * 20_000})
    np.savez_compressed(folder / "zeros.npz", **{f"a{k}": np.zeros(1 << 25) for k in range(6)})
    deep = b"\x80\x04}" + b"(" + b")" * 1 + b"\x85" * 200_000 + b"K\x01u."
    (folder / "deep.pkl").write_bytes(deep)
    (folder / "packed.pkl").write_bytes(zlib.compress(bytes(1 << 28)))
    return sorted(folder.iterdir())


def test_small_files_fill_no_memory(tmp_path):
    for path in bombs(tmp_path):
        assert path.stat().st_size < 8 << 20
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(MotionFileError):
            load_motion(path)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        assert grown < 1600, f"{path.name}: {grown} MB"


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared motion files are not here")
@pytest.mark.parametrize(
    "name", ["aist.pkl", "emdb.pkl", "multihmr.pkl", "phalp_joblib.pkl", "phc.pkl",
             "soma_stageii.pkl", "mdm_smpl_params.npy", "motionx_322.npy", "tram_hps_track_0.npy",
             "tram_torch.npy", "romp_video.npz", "rotmat_names.npz", "smpl_names69.npz"]
)  # fmt: skip
def test_files_of_one_motion_that_were_not_read(name):
    """All of them were made from one motion: its body is the same in each."""
    first = load_motion(FAULTS / "aist.pkl").params.rotations[:, 1:22]
    found = load_motion(FAULTS / name).params.rotations
    assert found.shape[0] == 60
    assert torch.allclose(found[:, 1:22], first, atol=1e-4)
