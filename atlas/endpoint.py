"""An endpoint that speaks as OpenAI's does: one JSON object posted, one read back, and little trusted.

The key comes from $OPENAI_API_KEY. It is sent to the host that was named and to nobody else: redirects are not
followed, proxies of the environment are not used, and over http it goes to this machine alone. What the endpoint
answers is bounded in size and time, and never repeated in a message: it might repeat the key.
"""

from __future__ import annotations

import contextlib
import http
import http.client
import ipaddress
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from atlas.errors import QuestionError, UsageError
from atlas.json_text import CHECKED, JsonError, read_json

KEY_VARIABLE = "OPENAI_API_KEY"
MAX_REPLY = 4 * 2**20
"""Bytes of an answer."""
TIMEOUT_S = 120.0
"""Seconds for one request, from its first byte to the last of the answer."""
TRIES = 5
LONGEST_WAIT_S = 60.0
"""Between two tries, whatever the endpoint asks for."""
_AGAIN = (408, 429, 500, 502, 503, 504)


class EndpointError(QuestionError):
    """An endpoint did not answer, or not with what was asked for."""


@dataclass(frozen=True)
class EndpointName:
    """`url`: http(s), without the path of a question and without a last slash; `model`: as the endpoint calls it."""

    url: str
    model: str


def parse_endpoint(text: str) -> EndpointName:
    """'https://api.openai.com/v1#gpt-4o-mini' -> its parts. Raises UsageError, without repeating what may be secret."""
    url, _, model = text.partition("#")
    hint = "Write it as in openai:https://api.openai.com/v1#gpt-4o-mini."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError("the address of the endpoint is malformed", hint) from None
    if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[!-~]+", url):
        raise UsageError("an endpoint is an http:// or https:// address", hint)
    if "@" in parts.netloc or parts.query:
        raise UsageError(
            "the address of an endpoint holds no user, password or query", f"A key is read from ${KEY_VARIABLE}."
        )
    if not model or not re.fullmatch(r"[!-~]{1,150}", model):
        raise UsageError("the address of the endpoint names no model after #", hint)
    return EndpointName(url.rstrip("/"), model)


def is_local(host: str) -> bool:
    """Whether the host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass
class Endpoint:
    """`requests_per_minute`: at most; None: no limit. `sleep` and `clock`: of time, for tests."""

    name: EndpointName
    requests_per_minute: float | None = None
    timeout_s: float = TIMEOUT_S
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Raise UsageError for a key that no header takes, or that would go over the network in the clear."""
        parts = urlsplit(self.name.url)
        self._host, self._port, self._secure = str(parts.hostname), parts.port, parts.scheme == "https"
        self._path = parts.path
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        if self._key and not re.fullmatch(r"[!-~]+", self._key):
            raise UsageError(f"${KEY_VARIABLE} is no key: it holds characters that none has", "Set it anew.")
        if self._key and not self._secure and not is_local(self._host):
            raise UsageError(
                f"${KEY_VARIABLE} would go to {self._host} unencrypted", "Use https://, or unset the variable."
            )

    def ask(self, path: str, question: dict[str, Any]) -> Any:
        """The JSON value that the endpoint answers to a POST of `question` at its URL and `path`.

        Busy and broken endpoints are asked again, a few times, after a wait that doubles or that they name. Raises
        EndpointError where that does not help, and for an answer that is too long, too late, or no JSON.
        """
        body = json.dumps({"model": self.name.model, **question}).encode()
        for attempt in range(1, TRIES + 1):
            self._take_turn()
            problem, wait = "", 0.0
            try:
                status, content, wait = self._post(f"{self._path}/{path}", body)
            except (OSError, http.client.HTTPException) as error:
                problem = f"does not answer ({type(error).__name__})"
            else:
                if status == 200:
                    return self._read(content)
                problem = f"answers {status} {_phrase(status)}".rstrip()
                if status not in _AGAIN:
                    raise EndpointError(f"the endpoint at {self._host} {problem}", _hint(status))
            if attempt < TRIES:
                self.sleep(min(LONGEST_WAIT_S, max(wait, 2.0 ** (attempt - 1))))
        raise EndpointError(
            f"the endpoint at {self._host} {problem}, {TRIES} times", "Try again later: a build goes on with --resume."
        )

    def _take_turn(self) -> None:
        if self.requests_per_minute is None:
            return
        now = self.clock()
        if self._next > now:
            self.sleep(self._next - now)
        self._next = max(now, self._next) + 60.0 / self.requests_per_minute

    def _post(self, path: str, body: bytes) -> tuple[int, bytes, float]:
        """Status, content and the seconds that Retry-After names. Raises OSError or HTTPException."""
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=min(30.0, self.timeout_s))
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            connection.connect()
            with _ended_after(self.timeout_s, connection):
                connection.sock.settimeout(self.timeout_s)
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                content = response.read(MAX_REPLY + 1)
                wait = response.getheader("Retry-After") or ""
        finally:
            connection.close()
        return response.status, content, float(wait) if re.fullmatch(r"[0-9]{1,4}", wait) else 0.0

    def _read(self, content: bytes) -> Any:
        if len(content) > MAX_REPLY:
            raise EndpointError(f"the endpoint at {self._host} answers more than {MAX_REPLY // 2**20} MiB")
        try:
            return read_json(content, numbers=CHECKED, repeated=lambda name: None)
        except JsonError:
            raise EndpointError(f"the endpoint at {self._host} answers something that is no JSON") from None


@contextmanager
def _ended_after(seconds: float, connection: http.client.HTTPConnection) -> Iterator[None]:
    """Whatever waits for the other end gives up then, also where a byte comes now and then."""
    sock = connection.sock
    ended = threading.Event()

    def end() -> None:
        ended.set()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
        if ended.is_set():
            raise TimeoutError
    finally:
        timer.cancel()


def _phrase(status: int) -> str:
    """What the standard calls it: what the endpoint does is its own affair."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _hint(status: int) -> str:
    if status in (401, 403):
        return f"Set ${KEY_VARIABLE} to a key of that endpoint."
    if status == 404:
        return "Check the address, which ends before /chat/completions, and the name of the model after #."
    if 300 <= status < 400:
        return "It sends elsewhere, and your key goes nowhere but to the address that you give: name the other one."
    return "Check the name of the model after #, and what the endpoint asks for."
