"""The open head: a head model in FLAME's layout, cut from a body that has no head model.

Its shape space is a principal component analysis of the head rows of the body's own shape basis,
centred on the eyes, under coefficients drawn from a normal distribution. It therefore spans
exactly the body's own heads, needs no file, and its coefficients are a rotation of the betas.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pear_avatar.body.ehm.ehm_model import BLEND_WIDTH, EhmModel, Variant
from pear_avatar.body.ehm.region import head_cut
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.body.skinning import KinematicTree

__all__ = ["open_ehm", "open_head"]

#: the body's joints that stand for FLAME's root, neck, jaw, left eye and right eye
_JOINTS = tuple(JOINT_INDEX[n] for n in ("neck", "head", "jaw", "left_eye", "right_eye"))
_PARENTS = (-1, 0, 1, 1, 1)
_EYES = [3, 4]


def open_ehm(body: BodyModel, variant: Variant = "pear", *, blend: float = BLEND_WIDTH) -> EhmModel:
    """EHM-s of a body and the head cut from it."""
    head, vertices, betas_to_head = open_head(body)
    return EhmModel.build(body, head, vertices, variant, blend=blend, betas_to_head=betas_to_head)


def open_head(body: BodyModel) -> tuple[BodyModel, Tensor, Tensor]:
    """Cut the head off a body.

    The head's origin is the midpoint of its eyes, for every shape. Its joints are exactly the
    body's; ``joint_index`` names the vertices among those it has.

    Returns:
        The head model, (Vh,) its vertices in the body, and (S, S) head coefficients per unit of
        the body's betas.
    """
    vertices = head_cut(body)
    joints = list(_JOINTS)
    rows = body.shape_dirs[vertices].double()
    joint_rows = body.joint_shape_dirs[joints].double()
    eyes = joint_rows[_EYES].mean(0)
    betas_to_head = _principal_axes((rows - eyes).flatten(0, 1))
    origin = body.joint_template[joints][_EYES].mean(0)
    kind = body.v_template.dtype
    index, weight = _regressors(body, vertices)
    faces, face_rows = _inner_faces(body, vertices)
    head = replace(
        body,
        v_template=body.v_template[vertices] - origin,
        faces=faces,
        shape_dirs=((rows - eyes) @ betas_to_head.T).to(kind),
        expression_dirs=body.expression_dirs[vertices],
        pose_dirs=_corrective_rows(body, vertices),
        skin_joints=torch.arange(5).expand(len(vertices), 5).contiguous(),
        skin_weights=_skin_weights(body, vertices),
        tree=KinematicTree.from_parents(_PARENTS),
        joint_index=index,
        joint_weight=weight,
        joint_template=body.joint_template[joints] - origin,
        joint_shape_dirs=((joint_rows - eyes) @ betas_to_head.T).to(kind),
        joint_expression_dirs=body.joint_expression_dirs[joints],
        uv_faces=body.uv_faces[face_rows],
        face_part=body.face_part[face_rows],
        eyelid_dirs=body.eyelid_dirs[vertices],
        scalp=body.scalp[vertices],
        landmark_sets={},
    )
    return head, vertices, betas_to_head.to(kind)


def _principal_axes(dirs: Tensor) -> Tensor:
    """(S, S) rows: directions in the space of betas, by how much of the head (P, S) they move.

    An eigendecomposition of the small S x S matrix; each axis has the sign that makes its largest
    entry positive, so that every machine computes the same coefficients.
    """
    _, axes = torch.linalg.eigh(dirs.T @ dirs)
    axes = axes.flip(1).T
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)


def _skin_weights(body: BodyModel, vertices: Tensor) -> Tensor:
    """(Vh, 5): what lower bones carry is the root's."""
    own = body.skin_weights_t[:, vertices]
    upper = own[list(_JOINTS[1:])]
    return torch.cat([1 - upper.sum(0, keepdim=True), upper]).clamp_min(0).T.contiguous()


def _regressors(body: BodyModel, vertices: Tensor) -> tuple[Tensor, Tensor]:
    """(5, Q) the body's regressors of the five joints, as far as they lie on the head."""
    place = torch.full((body.num_vertices,), -1)
    place[vertices] = torch.arange(len(vertices))
    index = place[body.joint_index[list(_JOINTS)]]
    weight = body.joint_weight[list(_JOINTS)] * (index >= 0)
    return index.clamp_min(0), weight / weight.sum(1, keepdim=True).clamp_min(1e-12)


def _inner_faces(body: BodyModel, vertices: Tensor) -> tuple[Tensor, Tensor]:
    place = torch.full((body.num_vertices,), -1)
    place[vertices] = torch.arange(len(vertices))
    faces = place[body.faces]
    rows = torch.nonzero((faces >= 0).all(1)).squeeze(-1)
    return faces[rows], rows


def _corrective_rows(body: BodyModel, vertices: Tensor) -> Tensor | None:
    """(Vh, 3, 36): FLAME's joints but the root; the neck of a posed head stays at rest."""
    if body.pose_dirs is None:
        return None
    columns = [9 * (joint - 1) + k for joint in _JOINTS[1:] for k in range(9)]
    return body.pose_dirs[vertices][:, :, columns]
