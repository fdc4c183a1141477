"""Carrying the open body's landmarks, parts and facial actions to a licensed body."""

from pear_avatar.body.transfer.complete import Transfer, complete_body, complete_head
from pear_avatar.body.transfer.register import KnownSets

__all__ = ["KnownSets", "Transfer", "complete_body", "complete_head"]
