"""Hard bounds on the splats: flat, near the skin, no larger than their spacing asks for.

Soft penalties lose against a photometric loss exactly where the video shows a splat from one
side only; a bound does not, and a bounded splat cannot become a spike in a view outside the video.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pear_avatar import _native
from pear_avatar.body.joints import FINGERS
from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.adam import fits_core
from pear_avatar.fitting.fit_config import LimitsConfig
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.visibility import neighbours_on_surface

_HEAD = (12, 15, 22, 23, 24)
_WRISTS = (20, 21)
_LOGIT_BOUNDS = (-4.0, 6.0)
#: the tables as the C++ core takes them
_CORE_ORDER = ("offsets", "log_scales", "local_quats", "logit_opacities", "colors")


def joint_mass(body: BodyModel, joints: tuple[int, ...] | range) -> Tensor:
    """(V,) summed skinning weight of some joints."""
    return body.skin_weights_t[list(joints)].sum(0)


def head_and_hands(body: BodyModel) -> Tensor:
    """(V,) in [0, 1], how much a vertex belongs to head or hands."""
    return (joint_mass(body, _HEAD) + joint_mass(body, (*_WRISTS, *FINGERS))).clamp(0, 1)


def hands_only(body: BodyModel) -> Tensor:
    """(V,) in [0, 1], how much a vertex belongs to a hand."""
    return joint_mass(body, (*_WRISTS, *FINGERS)).clamp(0, 1)


class SplatLimits:
    """The bounds of one fit, applied in place after each step."""

    def __init__(self, body: BodyModel, state: FitState, config: LimitsConfig) -> None:
        """Per-splat bounds from the body parts and the spacing of the splats."""
        fine = head_and_hands(body)[state.binding.face_vertices].mean(1)
        spacing = state.binding.spacing
        self._offset = config.offset + (config.offset_head_hands - config.offset) * fine
        self._offset = self._offset[:, None]
        center = state.log_scales0[:, :2]
        self._low = torch.cat([center - config.log_scale_down, (spacing * 0.05).log()[:, None]], 1)
        self._high = torch.cat(
            [center + config.log_scale_up, (spacing * config.thickness_max).log()[:, None]], 1
        )
        self._tilt = config.tilt
        self._contrast, self._pull = config.color_contrast, config.color_pull
        self._ring = neighbours_on_surface(body, state, 8)

    def apply(self, state: FitState, *, backend: str = "auto") -> None:
        """Project every splat into its bounds.

        backend: "cpu" (the C++ core: contiguous float32), "torch", or "auto".
        """
        s = state.splats
        tables = [s[name] for name in _CORE_ORDER]
        bounds = (self._offset, self._low, self._high)
        if backend == "cpu" or (backend == "auto" and fits_core(*tables, *bounds)):
            _native.check(
                _native.fit_library().pear_bound_splats(
                    len(self._offset),
                    *(table.data_ptr() for table in tables),
                    *(bound.data_ptr() for bound in bounds),
                    self._tilt,
                    *_LOGIT_BOUNDS,
                )
            )
            return
        length = s["offsets"].norm(dim=-1, keepdim=True).clamp_min(1e-9)
        s["offsets"].mul_((self._offset / length).clamp_max(1.0))
        torch.minimum(torch.maximum(s["log_scales"], self._low), self._high, out=s["log_scales"])
        quats = s["local_quats"]
        quats.div_(quats.norm(dim=-1, keepdim=True).clamp_min(1e-9))
        quats[:, 1:3].clamp_(-self._tilt, self._tilt)
        s["logit_opacities"].clamp_(*_LOGIT_BOUNDS)
        s["colors"].clamp_(0.0, 1.0)

    def limit_contrast(self, state: FitState) -> None:
        """Draw back colours that differ wildly from those around them.

        A splat hidden under half-transparent neighbours can take any colour at no cost to the
        pictures it was fitted to, and shows it in the next view.
        """
        colors = state.splats["colors"]
        around = colors[self._ring].mean(1)
        away = colors - around
        length = away.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        colors.sub_(away * self._pull * (1 - self._contrast / length).clamp_min(0))
