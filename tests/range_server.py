"""A web server on loopback that serves a folder by ranges, counts what it is asked, and can be told to fail."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RangeServer(http.server.ThreadingHTTPServer):
    """`asked`: (path, bytes) of each answer. `cut_from`: the first request whose answer is cut off."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: list[tuple[str, int]] = []
        self.begun = 0
        self.cut_from: int | None = None
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        """Of the folder."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave are no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RangeServer

    def log_message(self, *said: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        with self.server.guard:
            number, self.server.begun = self.server.begun, self.server.begun + 1
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self._say(404)
            return
        content = path.read_bytes()
        mark = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if self.headers.get("If-Match") not in (None, mark):
            self._say(412)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert wanted is not None
        start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(content))
        part = content[start:end]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("ETag", mark)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.server.cut_from is not None and number >= self.server.cut_from:
            self.wfile.write(part[: len(part) // 2])
            self.close_connection = True
            return
        self.wfile.write(part)
        with self.server.guard:
            self.server.asked.append((self.path, len(part)))

    def _say(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def range_server(folder: Path) -> Iterator[RangeServer]:
    """The server, for a block."""
    server = RangeServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
