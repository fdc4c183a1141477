"""Drawing Gaussian splats, and the image loss that goes with it, each behind one call."""

from pear_avatar.splatting.api import rasterise
from pear_avatar.splatting.gaussians import Gaussians
from pear_avatar.splatting.image_loss import l1_ssim_loss, ssim
from pear_avatar.splatting.skin_and_bind import SkinnedSplats, skin_and_bind

__all__ = ["Gaussians", "SkinnedSplats", "l1_ssim_loss", "rasterise", "skin_and_bind", "ssim"]
