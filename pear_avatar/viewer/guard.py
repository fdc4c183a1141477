"""What every request passes before anything is looked up: the host, the token, the origin.

The page lives under a path that begins with a random token, so that every relative URL in it
carries the token. Another page in the same browser can guess the port but not the token; a
name that it makes point to this machine (DNS rebinding) fails at the ``Host`` header.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Scripts, styles and the worker come from this server only; blob: is for what the page itself
#: makes (screenshots, recordings, the detector's program), and WebAssembly may run; nothing is ever fetched from elsewhere.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self' blob:",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), payment=(), usb=(), serial=(), midi=()",
}

_WELCOME = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>pear-avatar</title>
<h1>pear-avatar</h1>
<p>Open the whole address that <code>pear-avatar view</code> printed; it ends in a random part
that keeps other pages out.</p></html>
"""


@dataclass(frozen=True)
class HostPolicy:
    """Which ``Host`` headers are ours.

    names:        host names, lower case.
    any_address:  whether any plain IP address is (a server for the whole network has several);
                  rebinding needs a name, so addresses are safe.
    port:         the port that must be named with them.
    """

    names: frozenset[str]
    any_address: bool
    port: int

    def allows(self, header: str) -> bool:
        """Whether a ``Host`` header names this server."""
        host, colon, port = header.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = header, "80"
        if not (port.isascii() and port.isdigit() and int(port[:6]) == self.port):
            return False
        host = host.strip("[]").lower()
        return host in self.names or (self.any_address and _is_address(host))


class Guard:
    """ASGI middleware: checks host, token and origin, adds the security headers."""

    def __init__(self, app: ASGIApp, token: str, hosts: HostPolicy) -> None:
        self._app, self._token, self._hosts = app, token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no WebSockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _headers(scope)
        given, _, rest = scope["path"].removeprefix("/").partition("/")
        # Compared first and always, so that the time of an answer reveals nothing about the token.
        known = hmac.compare_digest(given.encode("utf-8", "replace"), self._token)
        if not self._hosts.allows(headers.get("host", "")):
            await _refuse(send, 403, "this address is not the viewer's: open the one it printed")
        elif not known and scope["path"] == "/":
            await _answer(send, 403, _WELCOME.encode(), "text/html; charset=utf-8")
        elif not known:
            await _refuse(send, 403, "wrong or missing token: open the address that was printed")
        elif scope["path"] == f"/{given}":  # relative addresses need the slash
            moved = {"Location": f"/{given}/"}
            await _answer(send, 307, b"", "text/plain; charset=utf-8", moved)
        elif _is_foreign(headers):
            await _refuse(send, 403, "requests from other pages are not answered")
        else:
            await self._pass_on(scope, receive, send, rest)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, rest: str) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_encode(SECURITY_HEADERS)]
            await send(message)

        inner = dict(scope, path=f"/{rest}", raw_path=f"/{rest}".encode("utf-8", "replace"))
        await self._app(inner, receive, send_with_headers)


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by lower-case name; one that comes twice is joined, and then matches nothing."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _is_foreign(headers: dict[str, str]) -> bool:
    """Whether another site's page made this request (opening the address itself is fine)."""
    if headers.get("sec-fetch-mode") == "navigate":
        return False
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and origin != f"http://{headers.get('host', '')}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _refuse(send: Send, status: int, reason: str) -> None:
    await _answer(send, status, json.dumps({"error": reason}).encode(), "application/json")


async def _answer(
    send: Send, status: int, body: bytes, kind: str, more: dict[str, str] | None = None
) -> None:
    headers = {
        **SECURITY_HEADERS,
        **(more or {}),
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    start = {"type": "http.response.start", "status": status, "headers": _encode(headers)}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _encode(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
