"""Conversion: every source to every target and back, shapes, cuts, many files at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from footage import DATA

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_NAMES, PARENTS
from pear_avatar.body.licensed.hands import HandPca
from pear_avatar.body.sources import BodySource
from pear_avatar.commands.convert import (
    ConvertOptions,
    betas_of_height,
    convert_all,
    convert_file,
    output_kind,
)
from pear_avatar.errors import PearError
from pear_avatar.export.rig import AT_PELVIS
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.registry import load_motion
from pear_avatar.motion.track_file import load_track, save_track
from pear_avatar.motion.write_poses import save_motion_amass
from pear_avatar.types import Camera, Motion, Track
from pear_avatar.viewer.schema import MOTION_FORMAT
from pear_avatar.viewer.tensor_file import unpack

BODY = load_body()
GOLDEN = Path(__file__).parents[1] / "motion" / "golden"
SOURCES = (
    "amass_smplx.npz",
    "gvhmr.pt",
    "ehm_tracker.pkl",
    "studio.bvh",
    "walker.amc",
    "poselib.npy",
)


def joints(motion, betas=None):
    p = motion.params
    betas = p.betas if betas is None else betas
    return BODY.shape(betas).pose(p.rotations, p.transl).joints.double().numpy()


def glb_joints(path):
    """(N, 55, 3) posed by the file's own nodes and key frames, with an independent reader."""
    pygltflib = pytest.importorskip("pygltflib", reason="pygltflib is not installed")
    g = pygltflib.GLTF2().load(str(path))
    blob = g.binary_blob()

    def values(index):
        accessor = g.accessors[index]
        view = g.bufferViews[accessor.bufferView]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
        start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        raw = np.frombuffer(blob, np.float32, accessor.count * width, start)
        return raw.reshape(-1, width).astype(np.float64)

    animation = g.animations[0]
    keys = {
        (c.target.node, c.target.path): tuple(
            values(i)
            for i in (animation.samplers[c.sampler].input, animation.samplers[c.sampler].output)
        )
        for c in animation.channels
        if c.target.path in ("rotation", "translation")
    }
    times = max((t for t, _ in keys.values()), key=len)[:, 0]
    parent = {child: i for i, node in enumerate(g.nodes) for child in node.children or ()}
    index = {node.name: i for i, node in enumerate(g.nodes)}

    def sampled(node, path, rest):
        if (node, path) not in keys:
            return np.broadcast_to(np.array(rest, float), (len(times), len(rest)))
        at, value = keys[node, path]
        return (
            value
            if len(at) == len(times)
            else np.stack(
                [np.interp(times, at[:, 0], value[:, k]) for k in range(value.shape[1])], -1
            )
        )

    done = {}

    def world(i):
        if i not in done:
            node = g.nodes[i]
            q = sampled(i, "rotation", node.rotation or [0, 0, 0, 1])
            t = sampled(i, "translation", node.translation or [0, 0, 0])
            R = matrices(q / np.linalg.norm(q, axis=-1, keepdims=True))
            if i in parent:
                Rp, tp = world(parent[i])
                R, t = Rp @ R, tp + (Rp @ t[..., None])[..., 0]
            done[i] = R, t
        return done[i]

    return np.stack([world(index[name])[1] for name in JOINT_NAMES], 1)


def matrices(xyzw):
    v, w = xyzw[:, :3], xyzw[:, 3]
    cross = np.zeros((len(v), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    cross -= np.swapaxes(cross, 1, 2)
    return np.eye(3) + 2 * w[:, None, None] * cross + 2 * cross @ cross


def assert_round_trips(source, folder, options):
    """npz, and BVH and GLB made of it, all hold a source's joints; bones keep their lengths."""
    wanted = joints(convert_file(source, folder / "out.npz", options).motion)
    for ending in ("bvh", "glb"):
        # At the pelvis, joints are where the motion says, not about the origin.
        convert_file(folder / "out.npz", folder / f"out.{ending}", ConvertOptions(rig=AT_PELVIS))
    for ending in ("npz", "bvh", "glb"):
        target = folder / f"out.{ending}"
        found = glb_joints(target) if ending == "glb" else joints(load_motion(target))
        # Nothing but float32 and nine decimals comes between: far below the millimetre asked.
        assert np.abs(found - wanted).max() < 1e-5, ending
        bones = np.linalg.norm(found[:, 1:] - found[:, list(PARENTS[1:])], axis=-1)
        assert np.ptp(bones, axis=0).max() < 1e-5, ending


@pytest.mark.parametrize("name", SOURCES)
def test_round_trip_of_every_source(tmp_path, name):
    assert_round_trips(GOLDEN / name, tmp_path, ConvertOptions())


def mocap_files():
    found = sorted((DATA / "mocap").glob("*/*"))
    return [p for p in found if p.suffix in (".bvh", ".amc", ".npz")]


@pytest.mark.data
def test_round_trip_of_real_captures(tmp_path):
    files = mocap_files()
    if not files:
        pytest.skip(f"no motion capture in {DATA}; set PEAR_AVATAR_DATA to the data folder")
    for path in files:
        assert_round_trips(path, tmp_path, ConvertOptions(frames=(5, 65)))


@pytest.mark.parametrize("layout", ["amass", "smplh", "smplx", "ehm"])
def test_npz_layouts(tmp_path, layout):
    source = GOLDEN / "walker.amc"
    done = convert_file(source, tmp_path / "out.npz", ConvertOptions(layout=layout))
    assert np.abs(joints(load_motion(tmp_path / "out.npz")) - joints(done.motion)).max() < 1e-5


def test_other_endings(tmp_path):
    source = GOLDEN / "studio.bvh"
    convert_file(source, tmp_path / "table.csv")
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 5
    convert_file(source, f"{tmp_path}/meshes/*.ply")
    assert len(list((tmp_path / "meshes").glob("frame_*.ply"))) == 4
    convert_file(source, tmp_path / "pose.obj", ConvertOptions(frames=(2, 3)))
    assert (tmp_path / "pose.obj").read_text().count("\nv ") == BODY.num_vertices
    with pytest.raises(PearError, match=r"holds one mesh, the motion has 4 frames: name .*\*\.obj"):
        convert_file(source, tmp_path / "all.obj")
    convert_file(source, tmp_path / "drop.pmo", ConvertOptions(name="waving"))
    tensors, meta = unpack((tmp_path / "drop.pmo").read_bytes())
    assert (meta["format"], meta["name"]) == (MOTION_FORMAT, "waving")
    assert tensors["rotations"].shape == (4, 55, 4)
    for bad in ("out.fbx", "out", "out."):
        with pytest.raises(PearError, match="cannot write"):
            output_kind(bad)


def test_cutting_and_resampling(tmp_path):
    source = GOLDEN / "amass_smplx.npz"  # 4 frames at 25 a second: 0 to 0.12 s

    def converted(**options):
        convert_file(source, tmp_path / "out.npz", ConvertOptions(**options))
        return load_motion(tmp_path / "out.npz")

    whole = load_motion(source)
    assert converted(frames=(1, 3)).params.num_frames == 2
    cut = converted(start=0.04, end=0.08)
    assert torch.allclose(cut.params.rotations, whole.params.rotations[1:3], atol=1e-6)
    assert np.allclose(cut.time, [0, 0.04])
    assert converted(fps=100.0).params.num_frames == 13
    assert converted(frames=(None, 2), start=0.03).params.num_frames == 1
    for nothing in ({"start": 1.0}, {"frames": (4, None)}, {"end": 0.01, "start": 0.02}):
        with pytest.raises(PearError, match="nothing is left of the motion's 4 frames"):
            converted(**nothing)


@pytest.mark.parametrize("height", [1.35, 1.6, 1.95])
def test_bodies_of_a_wanted_height(height):
    betas = betas_of_height(BODY, height)
    y = BODY.shape(betas).vertices()[:, 1]
    assert float(y.max() - y.min()) == pytest.approx(height, abs=1e-4)
    assert float(betas.abs().max()) < 4  # standard deviations


def test_heights_of_nobody():
    with pytest.raises(PearError, match=r"1\.3 to 2\.2 m tall, not 3\.0 m"):
        betas_of_height(BODY, 3.0)


@pytest.mark.parametrize("name", ["studio.bvh", "amass_smplx.npz"])
def test_another_shape_keeps_the_feet_where_they_were(tmp_path, name):
    tall = ConvertOptions(body_height=1.95)
    done = convert_file(GOLDEN / name, tmp_path / "tall.npz", tall)
    plain = convert_file(GOLDEN / name, tmp_path / "plain.npz")
    betas = load_motion(tmp_path / "tall.npz").params.betas
    assert torch.allclose(betas, betas_of_height(BODY, 1.95), atol=1e-6)

    def lowest(motion):
        p = motion.params
        vertices = BODY.shape(p.betas).pose(p.rotations, p.transl).vertices()
        return float(vertices[0, :, 1].min())

    # Feet are bigger too, so ankles stand a little higher.
    assert lowest(done.motion) == pytest.approx(lowest(plain.motion), abs=0.02)
    # BVH offsets are those of the tall body.
    convert_file(GOLDEN / name, tmp_path / "tall.bvh", tall)
    rest = BODY.shape(betas).joints.numpy()
    back = load_motion(tmp_path / "tall.bvh", rest_joints=rest)
    assert np.abs(joints(back, betas) - joints(done.motion)).max() < 1e-5


def test_too_many_betas(tmp_path):
    with pytest.raises(PearError, match="up to 100 betas"):
        convert_file(
            GOLDEN / "studio.bvh", tmp_path / "a.npz", ConvertOptions(betas=torch.zeros(101))
        )


def test_tracks_keep_their_cameras(tmp_path):
    motion = load_motion(GOLDEN / "amass_smplx.npz")
    camera = Camera(
        intrinsics(500.0, 64, 48).expand(4, 3, 3), default_world_camera().expand(4, 4, 4), 64, 48
    )
    error = np.array([0.1, np.nan, 0.2, 0.3])
    save_track(
        tmp_path / "track.npz",
        Track(motion, camera, np.arange(4) * 2, np.array([True, False, True, True]), error),
    )
    options = ConvertOptions(layout="track", frames=(1, 3))
    convert_file(tmp_path / "track.npz", tmp_path / "cut.npz", options)
    cut = load_track(tmp_path / "cut.npz")
    assert cut.frame_index.tolist() == [2, 4]
    assert cut.trusted.tolist() == [False, True]
    assert torch.allclose(cut.camera.K, camera.K[1:3])
    assert torch.allclose(cut.motion.params.transl, motion.params.transl[1:3])
    with pytest.raises(PearError, match="a track keeps its frames"):
        convert_file(
            tmp_path / "track.npz", tmp_path / "x.npz", ConvertOptions(layout="track", fps=5)
        )


def test_many_files_and_the_bad_ones_among_them(tmp_path):
    inputs = tmp_path / "in"
    inputs.mkdir()
    for name in ("studio.bvh", "walker.amc", "walker.asf", "poselib.npy"):
        shutil.copy(GOLDEN / name, inputs / name)
    (inputs / "studio.npz").write_text("no archive")
    (inputs / "noise.bvh").write_text("HIERARCHY\n")
    sources = sorted(inputs.iterdir())
    seen = []
    outcomes = convert_all(sources, tmp_path / "out", "bvh", reports=True, on_done=seen.append)
    assert seen == outcomes
    told = {o.source.name: o.error for o in outcomes if o.result is None}
    assert sorted(told) == ["noise.bvh", "studio.npz", "walker.asf"]
    assert "the file ends where" in told["noise.bvh"]
    assert "not an npz file" in told["studio.npz"]
    assert "convert its .amc" in told["walker.asf"]
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    # Sources of one name get their ending added, so that none overwrites another.
    assert written == sorted(
        f"{name}.{ending}"
        for name in ("poselib", "studio-bvh", "walker-amc")
        for ending in ("bvh", "report.json")
    )
    report = json.loads((tmp_path / "out" / "walker-amc.report.json").read_text())
    assert report["layout"] == "amc"
    assert report["mapping"]["mapped"]["left_knee"] == "ltibia"
    assert report["mapping"]["corrections"]["left_hip"] == pytest.approx(17.6, abs=3)
    assert "jaw" in report["mapping"]["undriven"]


def test_a_file_is_not_written_over_itself(tmp_path):
    shutil.copy(GOLDEN / "amass_smplx.npz", tmp_path / "a.npz")
    with pytest.raises(PearError, match="would be overwritten"):
        convert_file(tmp_path / "a.npz", tmp_path / "a.npz")
    with pytest.raises(PearError, match=r"cannot write \.fbx"):
        convert_all([tmp_path / "a.npz"], tmp_path / "out", "fbx")


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savetxt", fail)
    (tmp_path / "out.bvh").write_text("earlier")
    with pytest.raises(OSError, match="No space left"):
        convert_file(GOLDEN / "walker.amc", tmp_path / "out.bvh")
    assert [p.name for p in tmp_path.iterdir()] == ["out.bvh"]
    assert (tmp_path / "out.bvh").read_text() == "earlier"


def test_hands_come_from_a_model_folder(tmp_path, monkeypatch):
    asked = []

    def hands(source):
        asked.append(source.models_dir)
        return HandPca(torch.zeros(45), torch.eye(45)), HandPca(torch.ones(45), torch.eye(45))

    monkeypatch.setattr("pear_avatar.commands.convert.load_hands", hands)
    options = ConvertOptions(body=BodySource("open", tmp_path))
    convert_file(GOLDEN / "walker.amc", tmp_path / "walk.npz", options)
    assert not asked  # files without components need no model
    pose = np.zeros((2, 12))
    pose[:, 0] = 0.5
    np.savez(tmp_path / "pca.npz", body_pose=np.zeros((2, 63)), left_hand_pose=pose)
    done = convert_file(tmp_path / "pca.npz", tmp_path / "full.npz", options)
    assert asked == [tmp_path]
    assert done.motion.params.rotations[0, 25, 1, 1] == pytest.approx(np.cos(0.5), abs=1e-6)


@pytest.fixture
def licensed(monkeypatch):
    """A body whose pelvis rests as deep below the origin as SMPL-X's, in the place of SMPL-X."""
    low = torch.tensor([0.003, -0.351, 0.012])
    body = replace(BODY, v_template=BODY.v_template + low, joint_template=BODY.joint_template + low)
    monkeypatch.setattr("pear_avatar.commands.convert.load_licensed_body", lambda source: body)
    return body, ConvertOptions(body=BodySource("smplx"))


def test_a_licensed_body_keeps_what_its_files_say(tmp_path, licensed):
    body, options = licensed
    rng = np.random.default_rng(0)
    arrays = {
        "poses": 0.2 * rng.normal(size=(3, 165)),
        "trans": rng.normal(size=(3, 3)),
        "betas": rng.normal(size=16),
        "mocap_frame_rate": 60.0,
        "surface_model_type": "smplx",
    }
    arrays["poses"][:, 0] += np.pi / 2  # upright in a world whose z is up
    np.savez(tmp_path / "in.npz", **arrays)
    done = convert_file(tmp_path / "in.npz", tmp_path / "out.npz", options)
    with np.load(tmp_path / "out.npz") as raw:
        # AMASS in, AMASS out: the very same numbers up to the rounding of float32.
        turns = [
            axis_angle_to_matrix(torch.from_numpy(a["poses"].reshape(-1, 3))) for a in (raw, arrays)
        ]
        assert torch.allclose(*turns, atol=2e-6)
        assert np.allclose(raw["trans"], arrays["trans"], atol=2e-6)
        assert np.allclose(raw["betas"], arrays["betas"], atol=2e-6)
        assert "open_body_betas" not in raw.files
    # Posed as SMPL-X is: turned about the pelvis where it rests, then moved; z up becomes y up.
    p = done.motion.params
    pelvis = body.shape(p.betas).pose(p.rotations, p.transl).joints[:, 0]
    x, y, z = (arrays["trans"] + [0.003, -0.351, 0.012]).T
    assert np.allclose(pelvis.numpy(), np.stack([x, z, -y], 1), atol=1e-5)


def test_a_licensed_body_leaves_the_open_bodys_shape_out(tmp_path, licensed):
    body, options = licensed
    source = load_motion(GOLDEN / "amass_smplx.npz")
    shaped = replace(source, params=replace(source.params, betas=torch.ones(10)))
    save_motion_amass(tmp_path / "own.npz", shaped)
    camera = Camera(torch.eye(3).expand(4, 3, 3), torch.eye(4).expand(4, 4, 4), 9, 9)
    track = Track(shaped, camera, np.arange(4), np.ones(4, bool), np.zeros(4))
    save_track(tmp_path / "track.npz", track)
    for name in ("own.npz", "track.npz"):
        done = convert_file(tmp_path / name, tmp_path / "out.bvh", options)
        assert not done.motion.params.betas.any()
    done = convert_file(GOLDEN / "walker.amc", tmp_path / "walk.bvh", options)
    rest = body.joint_template.numpy()
    back = load_motion(tmp_path / "walk.bvh", rest_joints=rest).params
    p = done.motion.params
    wanted = body.shape().pose(p.rotations, p.transl)
    found = body.shape().pose(back.rotations, back.transl)
    assert torch.allclose(found.joints, wanted.joints, atol=1e-5)
    assert float(wanted.vertices()[..., 1].min()) == pytest.approx(0, abs=0.03)  # on the floor


def test_names_of_motions(tmp_path):
    done = convert_file(GOLDEN / "walker.amc", tmp_path / "a.npz", ConvertOptions(name="stroll"))
    assert done.motion.name == "stroll"
    assert isinstance(done.motion, Motion)
    assert convert_file(GOLDEN / "walker.amc", tmp_path / "b.npz").motion.name == "walker"


def test_a_gap_becomes_frames_in_bvh_and_the_report_says_so(tmp_path):
    kept = np.array([k for k in range(12) if k not in (3, 4)])
    poses = np.zeros((len(kept), 165))
    np.savez(tmp_path / "gap.npz", poses=poses, trans=poses[:, :3], frame=kept, fps=30.0)
    done = convert_file(tmp_path / "gap.npz", tmp_path / "gap.bvh", report=True)
    assert done.motion.params.num_frames == 12
    warnings = json.loads((tmp_path / "gap.report.json").read_text())["warnings"]
    assert any("frames are missing" in w for w in warnings)
    assert any("not evenly spaced" in w for w in warnings)
