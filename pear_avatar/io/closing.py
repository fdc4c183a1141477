"""What holds something that must be given back: a network, a thread, a socket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

_T = TypeVar("_T", bound="Closing")


class Closing(ABC):
    """A ``with`` block calls :meth:`close` at its end, whatever happened in it."""

    def __enter__(self: _T) -> _T:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Give back what is held."""
