"""HTTP connections with bounded patience: who does not ask makes room for those who do."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["BoundedProtocol"]

#: Seconds within which the head of a request has to arrive, however slowly it trickles.
_HEAD_SECONDS = 10.0
#: So many connections may wait for their request; beyond that the oldest goes.
_MOST_WAITING = 64


class BoundedProtocol(H11Protocol):
    """uvicorn's own protocol, which closes connections that ask for nothing."""

    _timer: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait, and close the connection that has waited longest if there are too many."""
        super().connection_made(transport)
        self._wait()
        bounded = [c for c in self.connections if isinstance(c, BoundedProtocol)]
        waiting = [c for c in bounded if c.is_waiting and not c.transport.is_closing()]
        if len(waiting) > _MOST_WAITING:
            min(waiting, key=lambda c: c._since)._give_up()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; the time for a head runs from its first byte."""
        super().data_received(data)
        if not self.is_waiting:
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _wait(self) -> None:
        self._since = self.loop.time()
        self._timer = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.is_waiting and not self.transport.is_closing():
            self.transport.abort()
