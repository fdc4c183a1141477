"""Add a term of your own to a fit's objective: here one that makes splats opaque or clear.

python examples/10_own_loss.py holiday.mp4
"""

import argparse
from pathlib import Path

import torch

import pear_avatar as pear

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("video", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("opaque-avatar"))
parser.add_argument("--preset", default="fast")
parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="KEY=VALUE")
parser.add_argument("--weight", type=float, default=0.1)
args = parser.parse_args()


def half_transparent(view: pear.StepView) -> torch.Tensor:
    """Mean of 4 p (1 - p): 1 where all splats are half transparent, 0 where none is.

    A term sees one step: what was drawn (view.out) from which parameters (view.leaves), and the
    picture it is compared with (view.target). It returns a scalar that is differentiable in them.
    """
    opacity = view.leaves.splats["logit_opacities"].sigmoid()
    return (4 * opacity * (1 - opacity)).mean()


term = pear.Term("half transparent", weight=args.weight, value=half_transparent)
result = pear.fit(args.video, args.out, preset=args.preset, settings=args.settings, terms=[term])

# Each term has a curve of its own in report.html.
opacity = result.avatar.splats.logit_opacities.sigmoid()
middle = ((opacity > 0.1) & (opacity < 0.9)).float().mean()
print(f"{float(middle):.1%} of the splats are half transparent")
print(f"{result.report['heldout']['psnr_masked']:.1f} dB on frames that the fit never saw")
