"""Loading the C++ core, its instruction sets, threads and forks."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from pear_avatar import _native
from pear_avatar.splatting import l1_ssim_loss, rasterise
from pear_avatar.types import Camera

_ISAS = ["sse4", "avx2", "avx512", "generic"]
_ROOT = Path(_native.__file__).parents[2]


def _scene(dtype=torch.float32, count=150):
    g = torch.Generator().manual_seed(0)
    pose = torch.eye(4)
    pose[2, 3] = 3
    K = torch.tensor([[90.0, 0, 40], [0, 95.0, 30], [0, 0, 1]])
    leaves = [
        (torch.rand(count, 3, generator=g) - 0.5) * 2,
        torch.randn(count, 4, generator=g),
        0.05 * torch.exp(0.7 * torch.randn(count, 3, generator=g)),
        torch.rand(count, generator=g) * 0.9 + 0.05,
        torch.rand(count, 6, generator=g),
    ]
    return [t.to(dtype).requires_grad_() for t in leaves], Camera(K, pose, 80, 60).to(dtype)


def _everything(dtype=torch.float32, backend="cpu"):
    """Image, gradients, and the loss of the image's first channels against a ramp."""
    leaves, camera = _scene(dtype)
    output = rasterise(*leaves, camera=camera, backend=backend)
    image = output.color[..., :3].permute(2, 0, 1)
    ramp = torch.linspace(0, 1, 80, dtype=dtype).expand(3, 60, 80)
    loss = l1_ssim_loss(image, ramp, backend=backend)
    total = loss + 1e-3 * (output.color.sum() + output.depth.sum())
    return [output.color.detach(), loss.detach(), *torch.autograd.grad(total, leaves)]


def _run(code: str, isa: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "PEAR_AVATAR_ISA": isa, "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(_ROOT), str(Path(__file__).parent)])
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("isa", _ISAS)
def test_every_instruction_set_matches_the_twin(isa, tmp_path):
    """Each is a copy of the same kernels with other vector lengths; a fresh process for each."""
    code = (
        "import torch, test_native_library as t; from pear_avatar import _native\n"
        f"torch.save((_native.isa(), t._everything()), {str(tmp_path / 'out.pt')!r})"
    )
    done = _run(code, isa)
    if "names no kernels that this processor can run" in done.stderr:
        pytest.skip(f"this processor or build has no {isa} kernels")
    assert done.returncode == 0, done.stderr
    name, found = torch.load(tmp_path / "out.pt")
    assert name == isa
    truth = _everything(torch.float64, "torch")
    for f, t in zip(found, truth, strict=True):
        assert float((f.double() - t).norm() / t.norm()) < 2e-5


def test_unknown_instruction_set_is_refused():
    done = _run("from pear_avatar import _native; _native.isa()", "sse9")
    assert done.returncode != 0
    assert "PEAR_AVATAR_ISA='sse9'" in done.stderr


def test_missing_library_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(_native, "_LIBRARY_PATH", tmp_path / "pear_native.so")
    _native.library.cache_clear()
    try:
        assert not _native.is_available()
        with pytest.raises(_native.NativeLibraryError, match="make install"):
            _native.isa()
    finally:
        monkeypatch.undo()
        _native.library.cache_clear()
    assert _native.isa() in _ISAS


def test_thread_count():
    before = _native.num_threads()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert 1 <= before <= max(usable or 1, 1)
    _native.set_num_threads(3)
    assert _native.num_threads() == 3
    _native.set_num_threads(before)
    with pytest.raises(ValueError, match="not 0"):
        _native.set_num_threads(0)


def test_concurrent_callers_get_the_same_bits():
    expected = _everything()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: _everything(), range(16)):
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def _render_in_child(queue):
    torch.set_num_threads(1)  # torch's own OpenMP pool does not survive a fork
    leaves, camera = _scene()
    with torch.no_grad():
        queue.put(rasterise(*leaves, camera=camera).color.sum().item())


@pytest.mark.skipif(sys.platform != "linux", reason="fork is the default nowhere else")
def test_a_forked_child_can_draw():
    leaves, camera = _scene()
    before = _native.num_threads()
    _native.set_num_threads(2)
    with torch.no_grad():
        expected = rasterise(*leaves, camera=camera).color.sum().item()  # starts the workers
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_render_in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=30) == expected
    finally:
        child.join(5)
        child.kill()
        _native.set_num_threads(before)
