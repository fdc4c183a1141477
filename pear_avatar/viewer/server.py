"""Serving a library on this machine until Ctrl-C."""

from __future__ import annotations

import errno
import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from pear_avatar.errors import PearError
from pear_avatar.viewer.app import create_app, read_pages
from pear_avatar.viewer.guard import Guard, HostPolicy
from pear_avatar.viewer.library import Library
from pear_avatar.viewer.patience import BoundedProtocol

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def static_folder() -> Path:
    """Where the built web files lie."""
    return Path(str(resources.files("pear_avatar.viewer").joinpath("static")))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    library: Library,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        library: what is shown.
        host: the address to listen on.
        port: 0 takes any free one.
        on_ready: called with the page's address once requests are answered.

    Raises:
        PearError: the host is none of this machine's, or the port is taken.
        FileNotFoundError: the web files were not built.
    """
    pages = read_pages(static_folder())
    listening = listen(host, port)
    with listening:
        number = int(listening.getsockname()[1])
        token = secrets.token_urlsafe(24)
        app = Guard(create_app(library, pages), token, host_policy(host, number))
        url = page_url(host, number, token)
        server = _Server(server_config(app), lambda: on_ready(url) if on_ready else None)
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            logger.info("stopped")


def server_config(app: ASGIApp) -> uvicorn.Config:
    """A plain HTTP/1.1 server that keeps to itself and stops at once."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=128,
        timeout_graceful_shutdown=1,
    )


def host_policy(host: str, port: int) -> HostPolicy:
    """Which ``Host`` headers a server on ``host`` and ``port`` answers."""
    if is_loopback(host):
        return HostPolicy(_LOOPBACK_NAMES | {host}, False, port)
    own = {name.lower() for name in (host, socket.gethostname())}
    return HostPolicy(_LOOPBACK_NAMES | own, True, port)


def page_url(host: str, port: int, token: str) -> str:
    """The address to open."""
    shown = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/{token}/"


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, proto)
    except (OSError, UnicodeError) as error:
        raise PearError(f"{host!r} is not an address of this machine ({error})") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PearError(
                f"port {port} is taken: choose another with --port, or leave it out"
            ) from error
        if error.errno == errno.EACCES:
            raise PearError(f"port {port} may not be used: choose one above 1024") from error
        raise PearError(f"{host!r} is not an address of this machine ({error})") from error
    return listening
