"""A local server that speaks as S3 does, for the tests that have moto and s3fs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[Any]:
    """A server with one empty bucket, which s3fs finds by the variables that AWS's own tools read."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()  # the last one is of another server
    httpx.post(f"http://{host}:{port}/moto-api/reset")  # all servers of a process have the same buckets
    s3fs.S3FileSystem().mkdir(name)
    yield server
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[Any]:
    """The files of such a bucket, as s3fs shows them."""
    import s3fs

    with serving(monkeypatch, name):
        yield s3fs.S3FileSystem()
