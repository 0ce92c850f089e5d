"""Run the explorer: one process, one line that says where it is, an end with Ctrl-C."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from atlas.errors import UsageError
from queries.web.app import make_app
from queries.web.guard import LOOPBACK
from queries.web.impatient import ImpatientProtocol
from queries.web.live import Live
from queries.web.served import Served

_KEEP_ALIVE_S, _GRACE_S = 15, 2
_MOST_CONNECTIONS = 256


def serve(
    served: Sequence[Served],
    *,
    host: str = LOOPBACK[0],
    port: int = 0,
    live: Live | None = None,
    opened: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve these atlases until Ctrl-C; port 0 takes a free one. `say` is told the address once it answers.

    Where `host` is none of LOOPBACK every path begins with a token, which is part of the address that is said.
    `opened`: show it in this machine's browser. Raises UsageError for a host or port that cannot be listened on.
    """
    listener = _listen(host, port)
    at = listener.getsockname()[1]
    named = "localhost" if host in LOOPBACK else host
    token = None if host in LOOPBACK else secrets.token_urlsafe(24)
    hosts = () if token is None else (host, socket.gethostname().lower())
    address = f"http://{f'[{named}]' if ':' in named else named}:{at}/{f'{token}/' if token else ''}"
    server = _Server(config_of(make_app(served, live=live, hosts=hosts, token=token)), live)
    say(address)
    if opened:
        webbrowser.open(address)
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()


def config_of(app: Starlette, **more: Any) -> uvicorn.Config:
    """How the application is served: limits on connections, and on what is said on one."""
    return uvicorn.Config(
        app,
        http=ImpatientProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=64 * 1024,
        **more,
    )


class _Server(uvicorn.Server):
    """One that ends what the model computes when it is told to end: a thread cannot be ended from outside."""

    def __init__(self, config: uvicorn.Config, live: Live | None) -> None:
        super().__init__(config)
        self._live = live

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Of Ctrl-C and SIGTERM."""
        if self._live is not None:
            self._live.close()
        super().handle_exit(sig, frame)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, so that asyncio sends small answers at once (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who asks before the server runs waits for it
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"cannot listen on {host}:{port}: {reason}", "Choose another --port, or 0 for a free one."
        ) from None
    return listener
