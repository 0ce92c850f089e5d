"""The explorer over the small atlas with planted answers, asked without a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")

from starlette.testclient import TestClient

from atlas.store.reader import open_atlas
from queries.web.app import make_app
from queries.web.served import open_all
from tests.queries.web.full import write_full_atlas


@pytest.fixture(scope="package")
def full(small, tmp_path_factory):
    """The small atlas with running text and facts of weights, open."""
    with open_atlas(write_full_atlas(tmp_path_factory.mktemp("web") / "full.duckdb", small.path)) as atlas:
        yield atlas


@pytest.fixture(scope="module")
def client(small) -> Iterator[TestClient]:
    """A visitor of the server of one atlas."""
    served = open_all([small.path], 2**26)
    with TestClient(make_app(served), base_url="http://localhost") as visitor:
        yield visitor
    for each in served:
        each.close()


@pytest.fixture(scope="module")
def home(client: TestClient) -> str:
    """The address of the first page of the atlas."""
    answer = client.get("/", follow_redirects=False)
    return answer.headers["location"]


@pytest.fixture(scope="module")
def two(full, small) -> Iterator[TestClient]:
    """A visitor of the server of two atlases, `full` and `small`."""
    served = open_all([full.path, small.path], 2**26)
    with TestClient(make_app(served), base_url="http://localhost") as visitor:
        yield visitor
    for each in served:
        each.close()
