"""Many visitors at once, and some who never end what they say: the server goes on for the others."""

from __future__ import annotations

import socket
import threading
import urllib.request
from urllib.parse import urlsplit


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
