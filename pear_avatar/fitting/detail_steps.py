"""Added looks at head and hands, at the video's own resolution, within the joint stage.

Every few steps the objective gets a second, small picture: a window of a detail crop of another
frame. Both share one backward pass and one update of the splats; of the second frame's pose only
the joints of the part may move, or a picture of a head would push the whole body about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.details import PART_JOINTS, Detail, DetailView
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import Scene, render_frame, stored_pose
from pear_avatar.fitting.frames import Split
from pear_avatar.fitting.objective import DetailLook, StepView
from pear_avatar.fitting.step import frame_of_step

#: the order of looks; parts that a clip does not show are skipped
_ROUND = ("head", "left_hand", "head", "right_hand")


class DetailSteps:
    """Chooses the windows of one fit's detail crops, step by step; the same on resuming."""

    def __init__(self, scene: Scene, details: Mapping[str, Detail], config: FittingConfig) -> None:
        """``details``: what there is to look at; may be empty."""
        self._scene, self._config = scene, config
        self._fitted = {part: d.frames.indices(Split.FITTED) for part, d in details.items()}
        self._details = {part: d for part, d in details.items() if self._fitted[part]}
        self._round = [part for part in _ROUND if part in self._details]
        self._only = {part: pose_columns(scene.body, part) for part in self._details}

    def due(self, step: int) -> bool:
        """Whether the step (from 0) has an added picture."""
        every = self._config.detail_every
        return bool(self._round) and every > 0 and step % every == every - 1

    def look(self, view: StepView) -> DetailLook:
        """Draw the window of a step with the step's own splats, on its background."""
        config = self._config
        count = view.step // config.detail_every
        part = self._round[count % len(self._round)]
        detail, fitted = self._details[part], self._fitted[part]
        k = frame_of_step(count // len(self._round), fitted, config.seed + 7)
        window = self._window(detail, k, view.step)
        i = int(detail.crop[k])
        leaves = replace(view.leaves, pose=stored_pose(view.state, i).leaf())
        out = render_frame(
            self._scene, view.state, i, leaves, background=view.background, camera=window.camera
        )
        seen = replace(view, leaves=leaves, i=i, out=out, target=window.target)
        return DetailLook(seen, self._weight(window), self._only[part])

    def _window(self, detail: Detail, k: int, step: int) -> DetailView:
        """A window of the crop, anywhere in it where it is larger."""
        size = self._config.detail_size
        generator = torch.Generator().manual_seed(self._config.seed * 15_485_863 + step)
        spare = (detail.frames.camera.width - size, detail.frames.camera.height - size)
        left, top = (int(torch.randint(0, max(0, s) + 1, (1,), generator=generator)) for s in spare)
        return detail.window(k, left, top, size)

    def _weight(self, view: DetailView) -> float:
        """A pixel of the video counts here what it counts in the person's crop, times a weight.

        Both losses are means over their own pictures, of which one shows far more of the person.
        """
        person, window = self._scene.frames.camera, view.camera
        ratio = float(person.K[0, 0, 0]) / float(window.K[0, 0])
        share = window.width * window.height * ratio**2 / (person.width * person.height)
        return self._config.detail_weight * self._config.detail_every * share


def pose_columns(body: BodyModel, part: str) -> dict[str, Tensor]:
    """Which numbers of a pose's correction a picture of a part may move."""
    rotations = torch.zeros(body.num_joints, 3, dtype=torch.bool)
    rotations[list(PART_JOINTS[part])] = True
    only = {"rotations": rotations.flatten()}
    if part == "head":
        only["expression"] = torch.ones(body.num_expression, dtype=torch.bool)
    return only
