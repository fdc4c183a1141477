"""``avatar.safetensors``: one self-contained, versioned file without pickle.

It holds the person's rigged template (no body model file is needed to animate it), the splats
and their binding. Layout, version 1 (V vertices, F faces, N splats, K influences, E expressions):

==========================  ==================  =======================================
tensor                      shape, dtype        meaning
==========================  ==================  =======================================
template.vertices           (V, 3) f32          rest pose, metres, clothes included
template.faces              (F, 3) i32
template.joints             (55, 3) f32         rest joints
template.joint_index        (55, Q) i32         vertices each joint is regressed from, and
template.joint_weight       (55, Q) f32         their weights (on the body without clothes)
template.skin_joints        (V, K) u8
template.skin_weights       (V, K) f32          rows sum to 1
template.expression_dirs    (V, 3, E) f16
template.arkit_coef         (52, E) f32         ARKit weights -> expression
template.arkit_pose         (52, 9) f32         ARKit weights -> jaw, left, right eye
template.eyelid_dirs        (V, 3, 2) f16       left and right lid closing
template.scalp              (V,) u8             1 where hair grows
template.uv, .uv_faces      (T, 2) f32, (F, 3) i32
template.face_part          (F,) u8             index into ``part_names``
splat.face                  (N,) i32            triangle
splat.barycentric           (N, 3) f32
splat.offsets               (N, 3) f32          metres along e, t, n of the triangle
splat.quats_wxyz            (N, 4) f32          relative to the triangle's frame
splat.log_scales            (N, 3) f32          log metres
splat.logit_opacities       (N,) f32
splat.colors                (N, 3) f32          RGB in [0, 1]
splat.spacing               (N,) f32            metres
betas                       (S,) f32            of the body model named in the metadata
==========================  ==================  =======================================

A body with pose correctives (SMPL-X) adds ``template.pose_dirs`` (V, 3, 486) f16, and one whose
joints expressions move ``template.joint_expression_dirs`` (55, 3, E) f32.

Metadata (strings): ``format`` = "pear-avatar", ``version``, ``body``, ``joint_names``,
``parents``, ``part_names`` and ``arkit_names`` (JSON lists), and ``info.*`` from the fit.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar, SplatSet
from pear_avatar.avatar.binding import SplatBinding
from pear_avatar.body.joints import JOINT_NAMES, NUM_JOINTS, PARENTS
from pear_avatar.body.model import BodyModel
from pear_avatar.body.skinning import KinematicTree
from pear_avatar.errors import AvatarFileError, MissingFileError, content_errors
from pear_avatar.io.tensors import read_tensors, write_tensors

FORMAT = "pear-avatar"
VERSION = 1
_INFO = "info."
_MAX_BYTES = 1 << 30
_WHOLE = frozenset(
    ("template.faces", "template.joint_index", "template.skin_joints", "template.scalp",
     "template.uv_faces", "template.face_part", "splat.face")
)  # fmt: skip
_WHOLE_TYPES = (torch.uint8, torch.int32, torch.int64)
_REAL_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save_avatar(path: str | Path, avatar: Avatar) -> None:
    """Write ``avatar.safetensors``, whole or not at all."""
    body, splats, binding = avatar.body, avatar.splats, avatar.binding
    tensors: dict[str, Tensor] = {
        "template.vertices": body.v_template.float(),
        "template.faces": body.faces.int(),
        "template.joints": body.joint_template.float(),
        "template.joint_index": body.joint_index.int(),
        "template.joint_weight": body.joint_weight.float(),
        "template.skin_joints": body.skin_joints.to(torch.uint8),
        "template.skin_weights": body.skin_weights.float(),
        "template.expression_dirs": body.expression_dirs.half(),
        "template.arkit_coef": body.arkit_coef.float(),
        "template.arkit_pose": body.arkit_pose.float(),
        "template.eyelid_dirs": body.eyelid_dirs.half(),
        "template.scalp": body.scalp.to(torch.uint8),
        "template.uv": body.uv.float(),
        "template.uv_faces": body.uv_faces.int(),
        "template.face_part": body.face_part.to(torch.uint8),
        "splat.face": binding.face_index.int(),
        "splat.barycentric": binding.barycentric.float(),
        "splat.spacing": binding.spacing.float(),
        "splat.offsets": splats.offsets.float(),
        "splat.quats_wxyz": splats.local_quats_wxyz.float(),
        "splat.log_scales": splats.log_scales.float(),
        "splat.logit_opacities": splats.logit_opacities.float(),
        "splat.colors": splats.colors.float(),
        "betas": avatar.betas.float(),
    }
    tensors |= _optional_tensors(body)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "body": avatar.body_name,
        "joint_names": json.dumps(JOINT_NAMES),
        "parents": json.dumps(PARENTS),
        "part_names": json.dumps(list(body.part_names)),
        "arkit_names": json.dumps(list(body.arkit_names)),
        **{_INFO + k: v for k, v in avatar.metadata.items()},
    }
    write_tensors(path, tensors, metadata)


def _optional_tensors(body: BodyModel) -> dict[str, Tensor]:
    """What only some bodies have: SMPL-X does, the open body does not."""
    optional: dict[str, Tensor] = {}
    if body.pose_dirs is not None:
        optional["template.pose_dirs"] = body.pose_dirs.half()
    if bool(body.joint_expression_dirs.any()):
        optional["template.joint_expression_dirs"] = body.joint_expression_dirs.float()
    return optional


def load_avatar(path: str | Path) -> Avatar:
    """Read an avatar file; only its own numbers are used, no body model file is needed.

    Raises FileNotFoundError, or AvatarFileError where the file is not an avatar, is damaged, of
    a newer version, or inconsistent (indices out of range, NaN, wrong shapes).
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no avatar file at {path}")
    if path.stat().st_size > _MAX_BYTES:
        raise AvatarFileError(f"{path.name}: larger than {_MAX_BYTES >> 20} MiB, not an avatar")
    try:
        tensors, metadata = read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise AvatarFileError(f"{path.name}: not a readable safetensors file ({error})") from error
    _check_header(path, metadata)
    with content_errors(AvatarFileError, path.name):
        _check_tensors(path, tensors, len(_names(metadata, "part_names")))
        for key, count in (("arkit_names", 52), ("part_names", 1)):
            if len(set(_names(metadata, key))) < count:
                raise AvatarFileError(f"{path.name}: the header's {key} are missing or damaged")
        return _assemble(tensors, metadata)


def _check_header(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise AvatarFileError(f"{path.name}: a safetensors file, but not a pear-avatar avatar")
    version = metadata.get("version", "")
    if version != str(VERSION):
        raise AvatarFileError(
            f"{path.name}: avatar format version {version!r}, this program reads {VERSION}; "
            "fit the video again or update pear-avatar"
        )


def _check_tensors(path: Path, t: dict[str, Tensor], parts: int) -> None:
    """Names, shapes, finite numbers and indices in range."""
    try:
        v, f = t["template.vertices"].shape[0], t["template.faces"].shape[0]
        n, k = t["splat.face"].shape[0], t["template.skin_joints"].shape[1]
        e, uvs = t["template.expression_dirs"].shape[2], t["template.uv"].shape[0]
        q = t["template.joint_index"].shape[1]
        shapes = {
            "template.vertices": (v, 3), "template.faces": (f, 3), "template.joints": (55, 3),
            "template.joint_index": (55, q), "template.joint_weight": (55, q),
            "template.skin_joints": (v, k), "template.skin_weights": (v, k),
            "template.expression_dirs": (v, 3, e), "template.arkit_coef": (52, e),
            "template.arkit_pose": (52, 9), "template.eyelid_dirs": (v, 3, 2),
            "template.scalp": (v,), "template.uv": (uvs, 2),
            "template.uv_faces": (f, 3), "template.face_part": (f,),
            "splat.face": (n,), "splat.barycentric": (n, 3), "splat.spacing": (n,),
            "splat.offsets": (n, 3), "splat.quats_wxyz": (n, 4), "splat.log_scales": (n, 3),
            "splat.logit_opacities": (n,), "splat.colors": (n, 3),
        }  # fmt: skip
        optional = {
            "template.pose_dirs": (v, 3, 9 * (NUM_JOINTS - 1)),
            "template.joint_expression_dirs": (NUM_JOINTS, 3, e),
        }
        shapes |= {name: shape for name, shape in optional.items() if name in t}
        t["betas"].shape[0]
    except (KeyError, IndexError) as error:
        raise AvatarFileError(f"{path.name}: incomplete avatar ({error} is missing)") from error
    for name, shape in shapes.items():
        if name not in t or tuple(t[name].shape) != shape:
            found = tuple(t[name].shape) if name in t else "nothing"
            raise AvatarFileError(f"{path.name}: {name} should be {shape}, found {found}")
    for name in ("template.vertices", "template.faces", "splat.face"):
        if not len(t[name]):
            raise AvatarFileError(f"{path.name}: {name} is empty")
    if min(k, q) < 1:
        raise AvatarFileError(f"{path.name}: vertices without joints, or joints without vertices")
    _check_types(path, t, tuple(shapes))
    for name, tensor in t.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise AvatarFileError(f"{path.name}: {name} holds NaN or infinite numbers")
    limits = {
        "template.faces": v,
        "template.joint_index": v,
        "template.uv_faces": uvs,
        "template.skin_joints": 55,
        "splat.face": f,
        "template.face_part": parts,
    }
    for name, limit in limits.items():
        if t[name].numel() and not 0 <= int(t[name].min()) <= int(t[name].max()) < limit:
            raise AvatarFileError(f"{path.name}: {name} has an index outside 0..{limit - 1}")


def _check_types(path: Path, t: dict[str, Tensor], names: tuple[str, ...]) -> None:
    """Each tensor is of whole or of real numbers, as the layout says, never of truth values."""
    for name in (*names, "betas"):
        whole = name in _WHOLE
        dtype = t[name].dtype
        if dtype not in (_WHOLE_TYPES if whole else _REAL_TYPES):
            kind = "whole" if whole else "real"
            raise AvatarFileError(f"{path.name}: {name} must hold {kind} numbers, found {dtype}")
    if t["betas"].dim() != 1:
        raise AvatarFileError(f"{path.name}: betas must be one row of numbers")


def _assemble(t: dict[str, Tensor], metadata: dict[str, str]) -> Avatar:
    t = {name: v.float() if v.is_floating_point() else v for name, v in t.items()}
    faces = t["template.faces"].long()
    face = t["splat.face"].long()
    expressions = t["template.expression_dirs"].shape[-1]
    v_template = t["template.vertices"]
    pose_dirs = t.get("template.pose_dirs")
    joint_expression = t.get("template.joint_expression_dirs")
    if joint_expression is None:
        joint_expression = v_template.new_zeros(NUM_JOINTS, 3, expressions)
    body = BodyModel(
        v_template=v_template,
        faces=faces,
        shape_dirs=v_template.new_zeros(*v_template.shape, 0),
        expression_dirs=t["template.expression_dirs"],
        pose_dirs=pose_dirs,
        skin_joints=t["template.skin_joints"].long(),
        skin_weights=t["template.skin_weights"],
        tree=KinematicTree.from_parents(PARENTS),
        joint_index=t["template.joint_index"].long(),
        joint_weight=t["template.joint_weight"],
        joint_template=t["template.joints"],
        joint_shape_dirs=v_template.new_zeros(NUM_JOINTS, 3, 0),
        joint_expression_dirs=joint_expression,
        uv=t["template.uv"],
        uv_faces=t["template.uv_faces"].long(),
        part_names=_names(metadata, "part_names"),
        face_part=t["template.face_part"].long(),
        eyelid_dirs=t["template.eyelid_dirs"],
        arkit_names=_names(metadata, "arkit_names"),
        arkit_coef=t["template.arkit_coef"],
        arkit_pose=t["template.arkit_pose"],
        scalp=t["template.scalp"].bool(),
    )
    binding = SplatBinding(face, faces[face], t["splat.barycentric"], t["splat.spacing"])
    splats = SplatSet(
        t["splat.offsets"],
        t["splat.quats_wxyz"],
        t["splat.log_scales"],
        t["splat.logit_opacities"],
        t["splat.colors"],
    )
    info = {k[len(_INFO) :]: v for k, v in metadata.items() if k.startswith(_INFO)}
    return replace(Avatar(body, binding, splats, t["betas"]), metadata=info)


def _names(metadata: dict[str, str], key: str) -> tuple[str, ...]:
    """A list of names from the header; empty where it is absent or no list."""
    try:
        names = json.loads(metadata.get(key, "[]"))
    except ValueError:
        return ()
    return tuple(str(n) for n in names) if isinstance(names, list) else ()
