"""What one side of the body shows, the other side wears.

Every splat has a partner on the other side. Where a clip shows the partner in detail and the splat
hardly or only edge-on, the splat takes the partner's colour and shape, inside the fit: poses and
the splats around then settle on it. What is shown fairly stays as it is, however well the other
side is shown: halves that are blended over a middle that misses by millimetres show it twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pear_avatar.avatar.binding import SplatBinding
from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.geometry.meshes import face_normals
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz, quat_wxyz_to_matrix

#: a partner may miss the mirrored place by this much (m), one radian of normal counting as much
_REACH, _NORMAL_WEIGHT = 0.02, 0.02
#: evidence of its own above which a splat takes nothing: what is shown fairly is the person's, and
#: a share taken every few steps, however small, outweighs what the pictures teach in between
_FAIR, _LEAST_SHARE = 0.4, 0.3
#: both of a pair count as shown above this when their light is compared
_BOTH = 0.5
#: light is smooth: sweeps that average it where it is known, then carry it on, fading
_SMOOTH_SWEEPS, _CARRY_SWEEPS, _FADE, _LIGHT_MAX = 12, 80, 0.985, 0.45


@dataclass(frozen=True)
class Partners:
    """The other side of N splats.

    index:  (N,) int64, each splat's partner.
    usable: (N,) bool, whether that one lies close to the mirrored place.
    to_own: (N, 3, 3) from the partner's triangle frame to one's own, mirrored.
    """

    index: Tensor
    usable: Tensor
    to_own: Tensor

    @staticmethod
    def of(body: BodyModel, binding: SplatBinding) -> Partners:
        """Nearest splat to each splat's mirrored place on the template, normals agreeing."""
        v = body.v_template
        points = binding.rest_points(v)
        normals = face_normals(v, binding.face_vertices)
        flip = v.new_tensor([-1.0, 1.0, 1.0])
        space = torch.cat([points, _NORMAL_WEIGHT * normals], 1).cpu().numpy()
        image = torch.cat([points * flip, _NORMAL_WEIGHT * normals * flip], 1).cpu().numpy()
        distance, index = cKDTree(space).query(image)
        partner = torch.from_numpy(index.astype(np.int64)).to(v.device)
        frames = _triangle_frames(v[binding.face_vertices])
        return Partners(
            index=partner,
            usable=torch.from_numpy(distance < _REACH).to(v.device),
            to_own=frames.mT @ torch.diag(flip) @ frames[partner],
        )


def _triangle_frames(corners: Tensor) -> Tensor:
    """(N, 3, 3) columns e, t, n of triangles (N, 3, 3), as in splatting.skin_and_bind."""
    a, b, c = corners.unbind(1)
    e = torch.nn.functional.normalize(b - a, dim=-1)
    n = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    return torch.stack((e, torch.linalg.cross(n, e), n), dim=-1)


def share_of_partner(partners: Partners, evidence: Tensor) -> Tensor:
    """(N,) in [0, 1], how much of its partner's looks each splat takes; evidence (N,) in [0, 1].

    Nothing where its own evidence is fair, all where it has none and the partner's is full.
    """
    theirs = torch.where(partners.usable, evidence[partners.index], torch.zeros_like(evidence))
    need = (1 - evidence / _FAIR).clamp(0, 1)
    share = need * need * (3 - 2 * need) * theirs
    return torch.where(share > _LEAST_SHARE, share, torch.zeros_like(share))


@torch.no_grad()
def take_after(state: FitState, partners: Partners, share: Tensor, light: Tensor) -> None:
    """Draw splats to their partners by ``share`` (N,), in place.

    ``light`` (N, 3): log of how much brighter a splat's side is than its partner's. Colours blend;
    shapes cannot, so whoever takes most of the partner takes its shape.
    """
    s, p = state.splats, partners.index
    copied = (s["colors"][p] * light.exp()).clamp(0, 1)
    s["colors"].lerp_(copied, share[:, None])
    rows = (share > 0.5).nonzero()[:, 0]
    source, to_own = p[rows], partners.to_own[rows]
    turn = torch.diag(to_own.new_tensor([1.0, -1.0, 1.0]))
    local = quat_wxyz_to_matrix(torch.nn.functional.normalize(s["local_quats"][source], dim=-1))
    moved = (to_own @ s["offsets"][source][..., None])[..., 0]
    scales = s["log_scales"][source] + state.log_scales0[rows] - state.log_scales0[source]
    s["offsets"][rows] = moved
    s["local_quats"][rows] = matrix_to_quat_wxyz(to_own @ local @ turn)
    s["log_scales"][rows] = scales
    s["logit_opacities"][rows] = s["logit_opacities"][source]


@torch.no_grad()
def light_between_sides(
    colors: Tensor, partners: Partners, evidence: Tensor, ring: Tensor
) -> Tensor:
    """(N, 3) log of how much brighter each splat's side is than its partner's.

    Measured where both sides are shown, smoothed along the surface (light is smooth, texture is
    not) and carried on from there, fading. ``ring``: (N, k) neighbours of each splat.
    """
    p = partners.index
    raw = ((colors + 0.04) / (colors[p] + 0.04)).log().clamp(-_LIGHT_MAX, _LIGHT_MAX)
    both = torch.minimum(evidence, torch.where(partners.usable, evidence[p], evidence * 0))
    weight = (both * (both > _BOTH))[:, None]
    value, total = raw * weight, weight.clone()
    for _ in range(_SMOOTH_SWEEPS):
        value = 0.5 * value + 0.5 * value[ring].mean(1)
        total = 0.5 * total + 0.5 * total[ring].mean(1)
    smooth = value / total.clamp_min(1e-4)
    fixed = (weight > 0) & (total > 0.05)
    light = torch.where(fixed, smooth, torch.zeros_like(smooth))
    for _ in range(_CARRY_SWEEPS):
        light = torch.where(fixed, smooth, _FADE * light[ring].mean(1))
    return light
