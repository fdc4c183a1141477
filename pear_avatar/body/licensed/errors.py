"""What can be wrong with a file that a user brings."""

from __future__ import annotations

__all__ = ["ModelFileError", "RefusedPickleError"]


class ModelFileError(ValueError):
    """A model file that cannot be used; the message names file, key, what was found, a remedy."""


class RefusedPickleError(ModelFileError):
    """A pickle that asks for something other than plain arrays; nothing of it was run."""
