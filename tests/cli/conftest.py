"""What several tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.avatar.file_format import save_avatar
from pear_avatar.body import load_body


@pytest.fixture(scope="session")
def avatar_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare body with a few splats."""
    body = load_body()
    binding = sample_surface(body.v_template, body.faces, torch.ones(len(body.faces)), 50, seed=0)
    n = binding.count
    splats = SplatSet(
        torch.zeros(n, 3),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(n, 4).contiguous(),
        torch.full((n, 3), -4.0),
        torch.zeros(n),
        torch.full((n, 3), 0.5),
    )
    betas = torch.zeros(10)
    person = personalise(body, betas, torch.zeros_like(body.v_template))
    path = tmp_path_factory.mktemp("avatar") / "avatar.safetensors"
    save_avatar(path, Avatar(person, binding, splats, betas))
    return path
