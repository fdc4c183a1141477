"""The synthetic clip: its truth is true, it is repeatable, and it shows what it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.geometry.cameras import project
from pear_avatar.io.npz import load_npz, save_npz
from pear_avatar.io.video import probe_video, read_frames
from pear_avatar.motion.choreography import FILMED, UNSEEN, choreograph
from pear_avatar.synthesis import (
    SyntheticClip,
    load_synthetic_clip,
    load_truth,
    make_synthetic_clip,
)
from pear_avatar.synthesis.person import Material
from pear_avatar.synthesis.synthetic_person import make_look, make_person

SIZE = (128, 160)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic")
    make_synthetic_clip(out, load_body(), num_frames=9, num_unseen=3, size=SIZE, fps=12.0)
    return out


@pytest.fixture(scope="module")
def clip(folder: Path) -> SyntheticClip:
    return load_synthetic_clip(folder)


def test_video_and_truth_agree_in_size_and_length(clip: SyntheticClip) -> None:
    info = probe_video(clip.video)
    assert (info.width, info.height, info.num_frames) == (*SIZE, 9)
    assert info.fps == pytest.approx(12.0)
    assert clip.filmed.alpha.shape == (9, SIZE[1], SIZE[0])
    assert clip.filmed.motion.params.num_frames == 9
    assert clip.filmed.images is None
    assert clip.unseen.images is not None
    assert clip.unseen.images.shape == (3, SIZE[1], SIZE[0], 3)


def test_true_joints_are_those_of_the_true_parameters(clip: SyntheticClip) -> None:
    for truth in (clip.filmed, clip.unseen):
        p = truth.motion.params
        joints = load_body().shape(p.betas).pose(p.rotations, p.transl).joints
        # Through axis-angle and back in float32.
        assert np.abs(joints.numpy() - truth.joints).max() < 1e-5


def test_true_joints_project_into_the_silhouette(clip: SyntheticClip) -> None:
    for truth in (clip.filmed, clip.unseen):
        pixels, _ = project(truth.camera, torch.from_numpy(truth.joints[:, :22]))
        column = pixels[..., 0].long().clamp(0, SIZE[0] - 1).numpy()
        row = pixels[..., 1].long().clamp(0, SIZE[1] - 1).numpy()
        covered = truth.alpha[np.arange(len(row))[:, None], row, column] > 127
        assert covered.mean() > 0.98


def test_the_silhouette_is_where_the_picture_differs_from_the_empty_set(
    clip: SyntheticClip,
) -> None:
    """Two frames with the person in different places uncover the background for each other."""
    frames = [f for _, _, f in read_frames(clip.video)]
    first, last = frames[0].astype(int), frames[3].astype(int)
    neither = (clip.filmed.alpha[0] == 0) & (clip.filmed.alpha[3] == 0)
    upper = np.zeros_like(neither)
    upper[: SIZE[1] // 2] = True  # the lower half holds the moving shadow
    only_first = (clip.filmed.alpha[0] == 255) & (clip.filmed.alpha[3] == 0)
    difference = np.abs(first - last).mean(-1)
    assert difference[neither & upper].mean() < 4
    assert difference[only_first].mean() > 20


def test_the_whole_person_is_in_every_frame(clip: SyntheticClip) -> None:
    for truth in (clip.filmed, clip.unseen):
        inside = truth.alpha > 0
        assert not inside[:, [0, -1]].any()
        tall = inside.any(2).sum(1)
        assert tall.min() > 0.7 * SIZE[1]


def test_the_same_seed_gives_the_same_pictures(clip: SyntheticClip, tmp_path: Path) -> None:
    again = make_synthetic_clip(
        tmp_path, load_body(), num_frames=2, num_unseen=3, size=SIZE, fps=12.0
    )
    assert np.array_equal(again.unseen.images, clip.unseen.images)
    assert np.array_equal(again.unseen.alpha, clip.unseen.alpha)


def test_every_side_is_filmed_and_the_unseen_motion_is_another() -> None:
    body = load_body()
    betas = np.zeros(body.num_betas, np.float32)
    filmed = choreograph(body, betas, FILMED, 60)
    yaw = torch.atan2(filmed.rotations[:, 0, 0, 2], filmed.rotations[:, 0, 2, 2]).rad2deg()
    assert yaw.max() > 130
    assert yaw.min() < -130
    unseen = choreograph(body, betas, UNSEEN, 24)
    # Nearest filmed pose of each unseen one, mean angle over the arms: they are new poses.
    arms = [16, 17, 18, 19]
    a, b = unseen.rotations[:, None, arms], filmed.rotations[None, :, arms]
    cosine = ((a.transpose(-1, -2) @ b).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    nearest = torch.acos(cosine.clamp(-1, 1)).mean(-1).amin(1).rad2deg()
    assert nearest.mean() > 12


def test_a_dressed_person_is_consistent() -> None:
    person = make_person(load_body(), 3)
    assert np.allclose(person.weights.sum(1), 1, atol=1e-4)
    assert person.faces.max() < len(person.rest)
    kinds = {Material(m) for m in np.unique(person.material)}
    assert {Material.SKIN, Material.SHIRT, Material.TROUSERS, Material.SHOE, Material.HAIR} <= kinds
    identity = np.tile(np.eye(3, 4, dtype=np.float32), (55, 1, 1))
    still = person.pose(identity, np.zeros(person.expression.shape[-1]))
    assert np.allclose(still, person.rest, atol=1e-5)


def test_looks_differ_between_seeds() -> None:
    assert len({make_look(seed) for seed in range(6)}) > 3


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    body = load_body()
    with pytest.raises(ValueError, match="at least 2 frames"):
        make_synthetic_clip(tmp_path, body, num_frames=1)
    with pytest.raises(ValueError, match="even"):
        make_synthetic_clip(tmp_path, body, size=(101, 128))
    with pytest.raises(ValueError, match="fps"):
        make_synthetic_clip(tmp_path, body, fps=0)


def test_a_foreign_file_is_refused(folder: Path, tmp_path: Path) -> None:
    data = load_npz(folder / "truth.npz")
    del data["poses"]
    save_npz(tmp_path / "truth.npz", data)
    with pytest.raises(ValueError, match="not a truth file"):
        load_truth(tmp_path / "truth.npz")
    with pytest.raises(FileNotFoundError):
        load_synthetic_clip(tmp_path)
