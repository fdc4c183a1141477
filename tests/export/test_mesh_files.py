"""OBJ and PLY files, read back by trimesh."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.export.mesh_files import save_mesh, save_mesh_sequence
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams, Motion


def raising_an_arm(count: int = 3) -> Motion:
    axis_angle = torch.zeros(count, 55, 3)
    axis_angle[:, JOINT_INDEX["left_shoulder"], 2] = torch.linspace(-1, 1, count)
    params = BodyParams(
        torch.tensor([1.0, -0.5]),
        torch.zeros(count, 52),
        axis_angle_to_matrix(axis_angle),
        torch.tensor([[0.1, 1.0, 0.2]]).expand(count, 3),
    )
    return Motion(params, np.arange(count) / 10.0, "arm")


def posed(motion: Motion) -> np.ndarray:
    p = motion.params
    return load_body().shape(p.betas).pose(p.rotations, p.transl).vertices().numpy()


@pytest.mark.parametrize(("kind", "tolerance"), [("ply", 0.0), ("obj", 1e-6)])
def test_a_sequence_comes_back(tmp_path, kind, tolerance):
    """PLY holds float32 exactly; OBJ writes micrometres."""
    body, motion = load_body(), raising_an_arm()
    assert save_mesh_sequence(tmp_path / "out", body, motion, kind=kind) == 3
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"frame_0000{i}.{kind}" for i in range(3)]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    for name, expected in zip(names, posed(motion), strict=True):
        mesh = trimesh.load(tmp_path / "out" / name, process=False, maintain_order=True)
        assert np.array_equal(_sorted(mesh.faces, mesh), _sorted(body.faces.numpy(), mesh))
        found = np.asarray(mesh.vertices)
        if kind == "ply":
            assert np.abs(found - expected).max() <= tolerance
        else:  # trimesh splits the seams of the texture
            corners = found[mesh.faces], expected[body.faces.numpy()]
            assert np.abs(corners[0] - corners[1]).max() <= tolerance


def _sorted(faces: np.ndarray, mesh: trimesh.Trimesh) -> np.ndarray:
    """Triangles where vertices are shared alike; just their number where seams are split."""
    return faces if len(mesh.vertices) == load_body().num_vertices else np.array(len(faces))


@pytest.mark.parametrize("kind", ["ply", "obj"])
def test_colors_come_back(tmp_path, kind):
    body = load_body()
    colors = torch.rand(body.num_vertices, 3, generator=torch.Generator().manual_seed(0))
    path = tmp_path / f"one.{kind}"
    save_mesh(path, body, body.v_template, colors=colors)
    text = path.read_bytes()
    if kind == "ply":
        mesh = trimesh.load(path, process=False)
        assert np.abs(mesh.visual.vertex_colors[:, :3] / 255 - colors.numpy()).max() <= 0.502 / 255
        assert b"property uchar red" in text
    else:
        rows = [line.split()[1:] for line in text.decode().splitlines() if line.startswith("v ")]
        assert np.abs(np.array(rows, float)[:, 3:] - colors.numpy()).max() < 1e-6


def test_obj_keeps_the_texture_coordinates(tmp_path):
    body = load_body()
    save_mesh(tmp_path / "one.obj", body, body.v_template)
    mesh = trimesh.load(tmp_path / "one.obj", process=False)
    corners = mesh.visual.uv[mesh.faces]
    assert np.abs(corners - body.uv.numpy()[body.uv_faces.numpy()]).max() < 1e-6


def test_earlier_frames_are_replaced_but_nobodys_files(tmp_path):
    body, motion = load_body(), raising_an_arm()
    save_mesh_sequence(tmp_path / "out", body, motion, kind="ply")
    save_mesh_sequence(tmp_path / "out", body, motion, kind="obj", fps=5)
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["frame_00000.obj", "frame_00001.obj"]
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        save_mesh_sequence(tmp_path / "out", body, motion, kind="ply")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_a_failed_write_leaves_nothing(tmp_path):
    body, motion = load_body(), raising_an_arm()
    with pytest.raises(ValueError, match="colors must have shape"):
        save_mesh_sequence(tmp_path / "out", body, motion, colors=np.zeros((4, 3)))
    with pytest.raises(ValueError, match="obj or ply"):
        save_mesh_sequence(tmp_path / "out", body, motion, kind="stl")
    with pytest.raises(ValueError, match="vertices must have shape"):
        save_mesh(tmp_path / "a.ply", body, np.zeros((3, 3)))
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        save_mesh_sequence(tmp_path / "file", body, motion)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_sequence_keeps_the_old_one(tmp_path):
    body, motion = load_body(), raising_an_arm(18)
    save_mesh_sequence(tmp_path / "out", body, raising_an_arm(1), kind="ply")
    before = (tmp_path / "out" / "frame_00000.ply").read_bytes()
    bad = motion.params.rotations.clone()
    broken = Motion(
        BodyParams(
            *(motion.params.betas, motion.params.expression, bad[:, :54], motion.params.transl)
        ),
        motion.time,
    )
    with pytest.raises(ValueError, match="rotations"):
        save_mesh_sequence(tmp_path / "out", body, broken, kind="ply")
    assert (tmp_path / "out" / "frame_00000.ply").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
