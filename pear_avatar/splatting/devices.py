"""Where torch computes, by the name that the user gives."""

from __future__ import annotations

import importlib.util

import torch

from pear_avatar.errors import PearError


def choose_device(name: str, *, gsplat: bool = True) -> torch.device:
    """The device for ``auto``, ``cpu`` or ``cuda``; ``auto`` is CUDA where it can be used.

    Args:
        name: one of the three.
        gsplat: whether the work draws splats, for which CUDA needs the gsplat package too.

    Raises:
        PearError: ``cuda`` cannot be used here.
    """
    usable = torch.cuda.is_available()
    usable = usable and (not gsplat or importlib.util.find_spec("gsplat") is not None)
    if name == "cuda" and not usable:
        needs = " and gsplat (pip install 'pear-avatar[gpu]')" if gsplat else ""
        raise PearError(
            f"device = cuda needs a CUDA GPU that torch can use{needs}; "
            "leave --device out, or say cpu"
        )
    return torch.device("cuda" if usable and name != "cpu" else "cpu")
