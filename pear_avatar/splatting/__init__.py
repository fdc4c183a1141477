"""Drawing Gaussian splats, and the image loss that goes with it, each behind one call."""

from pear_avatar.splatting.api import rasterise
from pear_avatar.splatting.image_loss import l1_ssim_loss, ssim

__all__ = ["l1_ssim_loss", "rasterise", "ssim"]
