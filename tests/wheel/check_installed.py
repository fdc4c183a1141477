"""Run by hand, by `make wheel` and by the release workflow in an environment with only the wheel.

Nothing of the repository may be importable here: the installed package must do it all.
"""

import sys
from pathlib import Path

import torch

import pear_avatar as pear
from pear_avatar import _native

package = Path(pear.__file__).parent
assert "site-packages" in package.parts, f"{package} is not an installed package"
for absent in ("tools", "tests", "standins"):
    assert not (package / absent).exists()
    try:
        __import__(absent)
    except ImportError:
        continue
    raise AssertionError(f"{absent} can be imported from {sys.modules[absent]}")

body = pear.load_body()
pose = torch.eye(3).expand(55, 3, 3)
vertices = body.shape().pose(pose, torch.zeros(3)).vertices()
camera = pear.Camera(
    pear.intrinsics(200.0, 96, 128),
    pear.look_at(torch.tensor([0.0, 0.0, 3.5]), vertices.mean(0)),
    96,
    128,
)
count = len(vertices)
splats = pear.Gaussians(
    vertices,
    torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4),
    torch.full((count, 3), -5.0),
    torch.full((count,), 3.0),
    vertices.sin() * 0.5 + 0.5,
)
drawn = splats.render(camera).alpha
twin = splats.render(camera, backend="torch").alpha
assert float(drawn.mean()) > 0.02, "nothing was drawn"
assert torch.allclose(drawn, twin, atol=1e-3), "the C++ core draws other pictures than its twin"
presets = pear.load_fit_config("fast"), pear.load_fit_config("high")
assert presets[0].fitting.num_splats < presets[1].fitting.num_splats
print(f"pear-avatar {pear.__version__} works: core {_native.isa()}, torch {torch.__version__}")
