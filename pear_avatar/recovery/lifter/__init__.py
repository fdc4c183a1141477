"""The landmark lifter: detected landmarks of one frame in, an expressive posed body out."""

from pear_avatar.recovery.lifter.lifter import LiftedClip, Lifter, PartConfidence

__all__ = ["LiftedClip", "Lifter", "PartConfidence"]
