"""What goes to an endpoint, and what is made of what comes back; all on loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import pytest

from atlas.endpoint import MAX_REPLY, TRIES, Endpoint, EndpointError, EndpointName, parse_endpoint
from atlas.errors import UsageError
from tests.endpoint_stub import completion, endpoint_stub

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def endpoint(url: str, **options: Any) -> Endpoint:
    slept: list[float] = options.pop("slept", [])
    return Endpoint(EndpointName(url, "m"), sleep=slept.append, **options)


def test_a_question_and_its_answer() -> None:
    with endpoint_stub(lambda asked: (200, {}, b'{"a": [1, 2.5]}')) as stub:
        assert endpoint(stub.url).ask("chat/completions", {"temperature": 0}) == {"a": [1, 2.5]}
    (asked,) = stub.asked
    assert (asked.path, asked.body) == ("/v1/chat/completions", {"model": "m", "temperature": 0})
    assert asked.headers["Authorization"] == f"Bearer {KEY}"


def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with endpoint_stub(lambda asked: completion("x")) as stub:
        endpoint(stub.url).ask("x", {})
    assert "Authorization" not in stub.asked[0].headers


def test_busy_endpoints_are_asked_again_later_and_later() -> None:
    answers = [(429, {"Retry-After": "7"}, b""), (503, {}, b""), (500, {"Retry-After": "9999"}, b""), completion("x")]
    slept: list[float] = []
    with endpoint_stub(lambda asked: answers.pop(0)) as stub:
        endpoint(stub.url, slept=slept).ask("x", {})
    assert slept == [7.0, 2.0, 60.0] and len(stub.asked) == 4


@pytest.mark.parametrize(
    ("status", "tries"), [(500, TRIES), (429, TRIES), (400, 1), (401, 1), (404, 1), (302, 1), (999, 1)]
)
def test_what_does_not_help_is_said_in_one_line_without_the_key(status: int, tries: int) -> None:
    body = f"Incorrect key provided: {KEY}\x1b[2J".encode()
    with endpoint_stub(lambda asked: (status, {"Location": "http://127.0.0.1:1/steal"}, body)) as stub:
        with pytest.raises(EndpointError) as found:
            endpoint(stub.url).ask("x", {})
    assert len(stub.asked) == tries
    assert str(status) in str(found.value) and KEY not in repr(found.value) and "\x1b" not in str(found.value)


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN', b"x" * (MAX_REPLY + 10), b"<html>"]
)
def test_what_is_no_json_is_met_in_one_line(body: bytes) -> None:
    with endpoint_stub(lambda asked: (200, {}, body)) as stub, pytest.raises(EndpointError) as found:
        endpoint(stub.url).ask("x", {})
    assert "\n" not in str(found.value) and len(str(found.value)) < 300


def raw_server(script: Any) -> int:
    """A server for one connection after another, each given to `script`; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=script, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def drip(connection: socket.socket) -> None:
    """A byte of a header now and then, for ever."""
    connection.recv(65536)
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X: y\r\n"[:1])
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize("script", [drip, lambda connection: connection.close(), lambda connection: time.sleep(9)])
def test_slow_and_silent_endpoints_are_given_up(script: Any) -> None:
    begun = time.monotonic()
    with pytest.raises(EndpointError, match="does not answer"):
        endpoint(f"http://127.0.0.1:{raw_server(script)}", timeout_s=0.3).ask("x", {})
    assert time.monotonic() - begun < 60  # a hang limit


def test_a_rate_is_kept() -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    with endpoint_stub(lambda asked: completion("x")) as stub:
        asked = Endpoint(EndpointName(stub.url, "m"), 30, sleep=sleep, clock=lambda: now[0])
        for _ in range(4):
            asked.ask("x", {})
    assert slept == pytest.approx([2.0, 2.0, 2.0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://a.b/v1",
        "https://#m",
        "ftp://a.b/v1#m",
        "file:///etc/passwd#m",
        f"https://user:{KEY}@a.b/v1#m",
        f"https://a.b/v1?key={KEY}#m",
        "https://a.b:99999/v1#m",
        "https://[::1/v1#m",
        "https://a.b/v 1#m",
        "https://a.b/v1#m\r\nX: y",
        "https://a.b/\r\nX: y#m",
        "https://a.b/v1#" + "m" * 151,
    ],
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(UsageError) as found:
        parse_endpoint(text)
    assert KEY not in str(found.value)


def test_addresses() -> None:
    found = parse_endpoint("https://api.openai.com/v1/#gpt-4o-mini")
    assert found == EndpointName("https://api.openai.com/v1", "gpt-4o-mini")


@pytest.mark.parametrize("value", ["a\nb", "a b", "ключ", "a\x7f"])
def test_keys_that_no_header_takes_are_not_repeated(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}{value}")
    with pytest.raises(UsageError) as found:
        endpoint("https://a.b/v1")
    assert KEY not in str(found.value)


def test_no_key_goes_over_the_network_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("a.b", "10.0.0.1", "localhost.a.b", "127.0.0.1.a.b"):
        with pytest.raises(UsageError, match="unencrypted"):
            endpoint(f"http://{host}/v1")
    monkeypatch.delenv("OPENAI_API_KEY")
    endpoint("http://a.b/v1")


def test_proxies_of_the_environment_see_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with endpoint_stub(lambda asked: completion("x")) as stub:
        assert endpoint(stub.url).ask("x", {})
    assert json.dumps(stub.asked[0].body) == '{"model": "m"}'
