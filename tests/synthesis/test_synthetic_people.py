"""Dressed people: they differ, they are whole, their hair and cloth stand off the body."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.cameras import orbit_cameras, project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.synthesis import (
    CAST,
    Attributes,
    draw_person,
    dress_person,
    make_synthetic_clip,
    sample_attributes,
)
from pear_avatar.synthesis.attributes import Garment, Hair
from pear_avatar.synthesis.person import Material, Person
from pear_avatar.synthesis.phenotypes import load_phenotypes
from pear_avatar.types import Camera

NAMES = ("ada", "bruno", "chidi", "dai")


@lru_cache(maxsize=16)
def dressed(name: str) -> Person:
    return dress_person(load_body(), CAST[name])


def standing(person: Person, bend: float = 0.0) -> np.ndarray:
    """Arms down; ``bend`` lifts the left knee by so many radians."""
    aa = torch.zeros(55, 3)
    aa[JOINT_INDEX["left_shoulder"], 2] = -1.1
    aa[JOINT_INDEX["right_shoulder"], 2] = 1.1
    aa[JOINT_INDEX["left_hip"], 0] = -bend
    aa[JOINT_INDEX["left_knee"], 0] = bend
    body = load_body()
    posed = body.shape(torch.from_numpy(person.betas)).pose(axis_angle_to_matrix(aa))
    still = np.zeros(person.expression.shape[-1], np.float32)
    return person.pose(posed.rest_to_posed.numpy(), still)


def camera(vertices: np.ndarray, degrees: float) -> Camera:
    middle = torch.from_numpy((vertices.min(0) + vertices.max(0)) / 2)
    turn = torch.tensor([np.radians(degrees)], dtype=torch.float32)
    return orbit_cameras(middle, 4.0, turn, focal=190.0, width=64, height=96)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_dressed_person_is_whole(name: str) -> None:
    person = dressed(name)
    count = len(person.rest)
    assert np.isfinite(person.rest).all()
    assert np.allclose(person.weights.sum(1), 1, atol=1e-3)
    assert person.faces.max() < count
    assert len(person.faces) == len(person.material) == len(person.body_face)
    assert {Material(m) for m in np.unique(person.material)} <= set(person.recipes)
    assert person.body_face.max() < len(load_body().faces)
    assert 1.4 < np.ptp(person.rest[:, 1]) < 2.2


def test_people_of_the_cast_differ_in_shape_and_picture() -> None:
    pictures = []
    for name in NAMES:
        vertices = standing(dressed(name))
        pictures.append(draw_person(dressed(name), vertices, camera(vertices, 0)))
    for i in range(len(pictures)):
        for j in range(i):
            assert np.abs(pictures[i][1] - pictures[j][1]).sum() > 40  # silhouettes, in pixels
            both = (pictures[i][1] > 0.9) & (pictures[j][1] > 0.9)
            assert np.abs(pictures[i][0] - pictures[j][0])[both].mean() > 0.1


def test_a_picture_covers_where_the_person_projects_from_every_side() -> None:
    person = dressed("ada")
    vertices = standing(person)
    for degrees in (0, 45, 90, 180):
        view = camera(vertices, degrees)
        rgb, alpha = draw_person(person, vertices, view)
        assert rgb.max() <= 1
        assert (rgb <= alpha[..., None] + 1e-5).all()  # premultiplied
        pixels = project(view, torch.from_numpy(vertices[np.unique(person.faces)]))[0].numpy()
        column, row = pixels.astype(int).T
        assert (alpha[row, column] > 0).mean() > 0.95
        inside = np.nonzero(alpha > 0)
        assert abs(pixels[:, 1].min() - inside[0].min()) < 1.5


def test_a_person_behind_the_camera_is_not_drawn() -> None:
    person = dressed("ada")
    vertices = standing(person)
    view = camera(vertices, 0)
    rgb, alpha = draw_person(person, vertices + np.float32([0, 0, 20]), view)
    assert not rgb.any()
    assert not alpha.any()


def test_the_same_seed_dresses_the_same_person() -> None:
    assert sample_attributes(5) == sample_attributes(5)
    again = dress_person(load_body(), CAST["ada"])
    assert np.array_equal(again.rest, dressed("ada").rest)


def test_seeds_give_many_kinds_of_people() -> None:
    people = [sample_attributes(s) for s in range(60)]
    assert len({p.hair.cut for p in people}) >= 7
    assert len({p.outer.kind for p in people}) == 4
    assert len({p.bottom.kind for p in people}) >= 5
    assert {p.sex for p in people} == {"female", "male"}
    tones = np.array([p.skin for p in people]).mean(1)
    assert np.ptp(tones) > 0.4


def test_long_hair_has_volume_and_hangs_below_the_jaw() -> None:
    person, bald = dressed("ada"), Attributes(seed=11, hair=Hair("bald"))
    jaw = load_body().joint_template[JOINT_INDEX["jaw"], 1]
    hair = person.rest[np.unique(person.faces[person.material == Material.HAIR])]
    skull = dress_person(load_body(), bald)
    head = skull.rest[: load_body().num_vertices]
    head = head[head[:, 1] > float(jaw)]
    assert hair[:, 1].min() < float(jaw) - 0.15
    assert np.ptp(hair[:, 0]) > np.ptp(head[:, 0])
    assert hair[:, 1].max() > head[:, 1].max() + 0.004


def test_a_lifted_knee_pushes_the_skirt_forward() -> None:
    person = dressed("ada")
    assert person.limbs is not None
    free = replace(person, limbs=None)
    front = [standing(p, 1.2)[p.loose, 2].max() for p in (person, free)]
    assert front[0] >= front[1]
    still = standing(person)[person.loose]
    assert standing(person, 1.2)[person.loose, 2].max() > still[:, 2].max() + 0.05


def test_a_beard_moves_with_the_mouth() -> None:
    person = dressed("bruno")
    beard = np.unique(person.faces[person.material == Material.BEARD])
    assert np.isin(beard, person.expression_index).all()


def test_clothes_hide_what_lies_under_them() -> None:
    person = dressed("dai")
    visible = np.unique(person.body_face[person.material == Material.SKIN])
    chest = np.unique(person.body_face[person.material == Material.OUTER])
    assert len(np.intersect1d(visible, chest)) < 0.35 * len(chest)


def test_phenotypes_shape_the_body() -> None:
    body, named = load_body(), load_phenotypes()
    tall, short = (
        body.shape(torch.from_numpy(named.betas(height=h))).vertices().numpy() for h in (0.6, 0.2)
    )
    assert np.ptp(tall[:, 1]) > np.ptp(short[:, 1]) + 0.15
    heavy, light = (
        body.shape(torch.from_numpy(named.betas(weight=w))).vertices().numpy() for w in (0.9, 0.1)
    )
    waist = np.abs(heavy[:, 1] - 0.1) < 0.03
    assert np.ptp(heavy[waist, 2]) > np.ptp(light[waist, 2]) + 0.02
    with pytest.raises(ValueError, match="unknown phenotype"):
        named.betas(wingspan=1.0)


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="mohawk"):
        Attributes(hair=Hair("mohawk"))
    with pytest.raises(ValueError, match="toga"):
        Attributes(top=Garment("toga"))


def test_a_clip_of_a_named_person(tmp_path: Path) -> None:
    clip = make_synthetic_clip(
        tmp_path, load_body(), person=CAST["bruno"], num_frames=2, num_unseen=2, size=(96, 128)
    )
    assert np.allclose(clip.filmed.motion.params.betas.numpy(), dressed("bruno").betas)
    assert (clip.filmed.alpha > 127).mean() > 0.1
