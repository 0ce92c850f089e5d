"""What stands before every request: whose name it calls, how long it is, how many come, and what a browser may do.

Atlases hold texts of strangers, and a page on the internet can make a browser send requests to a server on loopback.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MOST_TARGET, MOST_BODY = 16_384, 4 * 2**20
"""Bytes of a path with its query, and of what is sent with a request."""
RATE, BURST = 400.0, 800.0
"""Requests a second, of all visitors together, and how many may come at once."""


class Guard:
    """ASGI middleware. `hosts`: names besides LOOPBACK that a Host header may have. `token`: see `make_app`."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = (), token: str | None = None) -> None:
        self.app, self.token = app, token
        self.hosts = {*LOOPBACK, *hosts}
        self._left, self._since = BURST, time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, _with_headers(send))
            return
        if self.token is not None:
            path = scope["path"].removeprefix(f"/{self.token}")
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, _bounded(receive), _with_headers(send))

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if _host(headers.get("host", "")) not in self.hosts:
            return PlainTextResponse("this server does not go by that name", status_code=400)
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_TARGET:
            return PlainTextResponse("the address is too long", status_code=414)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > MOST_BODY:
            return PlainTextResponse("too much was sent", status_code=413)
        origin = headers.get("origin")
        if (
            scope["method"] not in ("GET", "HEAD")
            and origin is not None
            and _host(origin.partition("://")[2]) not in self.hosts
        ):
            return PlainTextResponse("this was sent by another site", status_code=403)
        if not self._allowed(scope["path"]):
            return PlainTextResponse("the address lacks the token that the server printed", status_code=403)
        return None if self._in_time() else PlainTextResponse("too many requests; try again", status_code=429)

    def _allowed(self, path: str) -> bool:
        """Whether the path begins with the token."""
        if self.token is None:
            return True
        given = path[1 : len(self.token) + 2]
        return secrets.compare_digest(given.encode(), f"{self.token}/".encode())

    def _in_time(self) -> bool:
        """A bucket that fills by RATE a second."""
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._since) * RATE)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _host(header: str) -> str:
    """The name in a Host header, without the port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent


def _bounded(receive: Receive) -> Receive:
    """A body without a stated length is cut off where it grows too long."""
    taken = 0

    async def received() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return {"type": "http.disconnect"} if taken > MOST_BODY else message

    return received
