"""Many visitors at once, and some who never end what they say: the server goes on for the others."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from urllib.parse import urlsplit

from tests.browser.conftest import _need, running
from tests.queries.web.stub_live import StubLive


def test_fifty_visitors_are_served_beside_fifty_who_never_finish_their_request(address, home) -> None:
    place = urlsplit(address)
    slow = [socket.create_connection((place.hostname, place.port)) for _ in range(50)]
    try:
        for index, connection in enumerate(slow):
            connection.sendall(b"GET /small/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * index)
        found: list[bytes] = []

        def visit(index: int) -> None:
            with urllib.request.urlopen(f"{home}neuron/L1N{index % 5}") as answer:
                found.append(answer.read())

        visitors = [threading.Thread(target=visit, args=(index,)) for index in range(50)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        assert len(found) == 50 and len(set(found)) == 5
        assert all(f">L1N{index}</h1>".encode() in b"".join(set(found)) for index in range(5))
    finally:
        for connection in slow:
            connection.close()


def test_who_never_finishes_a_request_is_cut_and_who_waits_for_an_answer_is_not(atlases, monkeypatch) -> None:
    _need("uvicorn")
    monkeypatch.setattr("queries.web.impatient.REQUEST_S", 0.3)

    class Thinking(StubLive):
        """A model that takes longer for an answer than a visitor may take for a question."""

        def fires(self, *asked, **more):
            time.sleep(0.9)
            return super().fires(*asked, **more)

    with running(atlases[:1], Thinking()) as address:
        place = urlsplit(address)
        for said in (b"", b"GET /small/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: a"):
            with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
                connection.sendall(said)
                assert connection.recv(1) == b""
        with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
            whole = b"GET /small/live?text=dog HTTP/1.1\r\nHost: localhost\r\n\r\n"
            for _ in range(2):  # the second one goes over the connection that the first one left
                connection.sendall(whole)
                answer = b""
                while b"</html>" not in answer:
                    answer += connection.recv(2**16)
                assert answer.startswith(b"HTTP/1.1 200")
