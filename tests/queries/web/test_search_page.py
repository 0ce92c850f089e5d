"""The search page takes words as a meaning where it can, else as tokens, and says which."""

from __future__ import annotations

import html
import shutil

import numpy as np
import pytest
from starlette.testclient import TestClient

from atlas.errors import ModelError
from queries.search import search
from queries.web.app import make_app
from queries.web.served import open_all
from tests.atlas_factory import changed_by_hand

PLACES = {(0, 3): [0.6, 0.8, 0.0], (1, 7): [0.0, 0.6, 0.8], (2, 5): [1.0, 0.0, 0.0]}


@pytest.fixture(scope="module")
def served(small, tmp_path_factory):
    """An atlas with three embedded descriptions, served."""
    path = tmp_path_factory.mktemp("meaning") / "small.duckdb"
    shutil.copyfile(small.path, path)
    with changed_by_hand(path) as connection:
        for (layer, neuron), unit in PLACES.items():
            key = [layer, neuron, "output", 1, "tokens"]
            connection.execute(
                "INSERT INTO description BY NAME SELECT ? AS layer, ? AS neuron, ? AS side, ? AS sign, ? AS author, "
                "'some words' AS text, 'decodings' AS evidence, 'mlp_post' AS site, now() AS created_at",
                key,
            )
            blob = np.array(unit, "<f2").tobytes()
            connection.execute("INSERT INTO _embedding VALUES (?, ?, ?, ?, ?, 'local:x', ?)", [*key, blob])
    (each,) = open_all([path], 2**26)
    yield each
    each.close()


@pytest.fixture
def visitor(served):
    """A visitor of it, without what embeds words."""
    served.embed = None
    with TestClient(make_app([served]), base_url="http://localhost") as client:
        yield client


def addresses(client, query: str) -> list[str]:
    return [row["address"] for row in client.get(f"/small/search.json?{query}").json()]


def test_words_are_taken_as_a_meaning(visitor, served):
    asked = []
    served.embed = lambda text: asked.append(text) or [0.0, 2.0, 1.0]
    direction = np.array([0.0, 2.0, 1.0])
    by_cosine = sorted(PLACES, key=lambda place: -float(np.dot(PLACES[place], direction)))
    assert addresses(visitor, "q=money+and+dogs") == [f"L{layer}N{neuron}" for layer, neuron in by_cosine]
    assert asked == ["money and dogs"]
    page = html.unescape(visitor.get("/small/search?q=money+and+dogs").text)
    assert "Taken as a meaning" in page and "by=tokens" in page and "embedded by local:x" in page


def test_they_are_taken_as_tokens_where_that_is_asked_for_or_nothing_embeds_them(visitor, served):
    with served.atlas() as atlas:
        by_tokens = search(atlas, "dog", limit=20).column("address")
    page = html.unescape(visitor.get("/small/search?q=dog").text)
    assert "Taken as tokens" in page and "serve --embedder local:x" in page and "--embedder tokens" in page
    assert addresses(visitor, "q=dog") == by_tokens

    def never(text: str) -> list[float]:
        raise AssertionError("it was embedded")

    served.embed = never
    assert addresses(visitor, "q=dog&by=tokens") == by_tokens
    assert "By meaning instead" in visitor.get("/small/search?q=dog&by=tokens").text


def test_an_embedder_that_fails_is_told_in_a_line(visitor, served):
    def broken(text: str) -> list[float]:
        raise ModelError("the endpoint does not answer", "Start it.")

    served.embed = broken
    answer = visitor.get("/small/search?q=dog")
    assert answer.status_code == 200 and "the endpoint does not answer. Start it." in answer.text
