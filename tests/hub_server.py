"""A server on loopback that answers as the Hugging Face hub does of data sets, as far as publishing and reading ask.

Every file is committed in the request itself: what the hub keeps elsewhere (LFS, Xet) is not imitated.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

_REPOSITORY = re.compile(r"/(?:api/)?datasets/([^/]+/[^/]+)/?(.*)")


class HubServer(http.server.ThreadingHTTPServer):
    """`files`: path -> content of each data set, by OWNER/NAME. `commits`: how many there were."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.commits = 0
        self.refuses: str | None = None
        """What it says instead of committing."""

    @property
    def url(self) -> str:
        """As HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave are no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *said: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            said = json.loads(body)
            name = f"{said['organization']}/{said['name']}"
            there = name in self.server.files
            self.server.files.setdefault(name, {})
            self._say(409 if there else 200, {"url": f"{self.server.url}/datasets/{name}"})
            return
        if self.path == "/api/validate-yaml":
            self._say(200, {"errors": [], "warnings": []})
            return
        name, what = self._asked()
        files = self.server.files.get(name)
        if files is None:
            self._missing("RepoNotFound")
        elif what.startswith("preupload/"):
            paths = [each["path"] for each in json.loads(body)["files"]]
            said = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
            self._say(200, {"files": said})
        elif what.startswith("paths-info/"):
            wanted = json.loads(body)["paths"]
            self._say(200, [self._entry(path, files[path]) for path in wanted if path in files])
        elif what.startswith("commit/"):
            self._commit(files, body)

    def do_GET(self) -> None:
        name, what = self._asked()
        files = self.server.files.get(name)
        if files is None:
            self._missing("RepoNotFound")
        elif what.startswith("tree/"):
            folder = what.removeprefix("tree/").partition("/")[2]
            self._say(200, [self._entry(path, each) for path, each in files.items() if path.startswith(folder)])
        elif what.startswith("resolve/"):
            self._file(files.get(what.removeprefix("resolve/").partition("/")[2]))
        else:
            self._say(200, {"id": name, "sha": f"{self.server.commits:040x}", "siblings": []})

    def _commit(self, files: dict[str, bytes], body: bytes) -> None:
        if self.server.refuses is not None:
            self._say(403, {"error": self.server.refuses})
            return
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.server.commits += 1
        url = f"{self.server.url}/datasets/{self._asked()[0]}/commit/{self.server.commits:040x}"
        self._say(200, {"commitOid": f"{self.server.commits:040x}", "commitUrl": url})

    def _file(self, content: bytes | None) -> None:
        if content is None:
            self._missing("EntryNotFound")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(wanted[1]), int(wanted[2]) + 1) if wanted else (0, len(content))
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{min(end, len(content)) - 1}/{len(content)}")
        part = content[start:end]
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def _asked(self) -> tuple[str, str]:
        found = _REPOSITORY.fullmatch(unquote(urlsplit(self.path).path))
        return (found[1], found[2]) if found else ("", "")

    def _entry(self, path: str, content: bytes) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def _missing(self, code: str) -> None:
        self._say(404, {"error": "not found"}, {"X-Error-Code": code})

    def _say(self, code: int, said: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(said).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """An empty hub for as long as the context lasts."""
    server = HubServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
