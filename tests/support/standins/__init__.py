"""Stand-ins for licensed model files, made from the open body.

SMPL-X, FLAME and MANO may not be passed on. These files have exactly their names, keys, shapes
and types, with the open body's geometry, so that every program that reads the real ones can be
tried and tested without them::

    python -m standins DIR
    pear-avatar fit clip.mp4 --body smplx --body-models DIR
"""

from standins.write import write_standins

__all__ = ["write_standins"]
