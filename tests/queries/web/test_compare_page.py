"""Two atlases beside each other."""

from __future__ import annotations

import html
import json
import re
import shutil

import pytest

from atlas.errors import UsageError
from queries.card import neuron_concepts, neuron_tokens
from queries.cli.compare import compare as command
from queries.compare import compare
from queries.compare_neuron import SHOWN, compare_neuron
from queries.web.app import make_app
from queries.web.served import open_all
from tests.atlas_factory import changed_by_hand
from tests.commands import invoke

starlette = pytest.importorskip("starlette.testclient")


@pytest.fixture(scope="module")
def pair(small, tmp_path_factory):
    """(a visitor of a server of the small atlas and another of its kind, their paths)."""
    other = tmp_path_factory.mktemp("pair") / "other.duckdb"
    shutil.copyfile(small.path, other)
    with changed_by_hand(other) as connection:
        connection.execute("UPDATE atlas SET atlas_id = repeat('1', 32), fingerprint = 'sha256:other'")
        connection.execute("UPDATE _decoding SET raised_token = list_reverse(raised_token) WHERE neuron % 3 = 1")
        connection.execute("UPDATE _interval SET held_inside = held_inside // 2")
    served = open_all([small.path, other], 2**26)
    with starlette.TestClient(make_app(served), base_url="http://localhost") as visitor:
        with served[1].atlas() as atlas:
            yield visitor, atlas
    for each in served:
        each.close()


def test_the_agreement_is_that_of_the_command(pair, small):
    visitor, other = pair
    expected = compare(small, other, by="layer")
    data = visitor.get("/small/compare.json").json()
    assert data == [dict(zip(expected.columns, row, strict=True)) for row in expected.rows]
    page = html.unescape(visitor.get("/small/compare?with=other").text)
    for row in expected:
        if row["same_token"] > 0:
            assert f"{100 * row['same_token']:.1f} % of {row['neurons']:,} neurons have the same top token" in page
    assert "no mean_cosine" not in page and "build --vectors" in visitor.get("/small/compare?vectors=on").text


def test_a_neuron_in_both_is_the_two_cards(pair, small):
    visitor, other = pair
    found = compare_neuron(small, other, "L1N7")
    ours, theirs = neuron_tokens(small, "L1N7"), neuron_tokens(other, "L1N7")
    rows = found.sections["tokens"]
    assert [row["base_token"] for row in rows] == ours.column("token")
    assert [row["tuned_token"] for row in rows] == theirs.column("token")
    for row in rows:
        listed = {r["token"] for r in theirs if (r["weight"], r["sign"]) == (row["weight"], row["sign"])}
        assert row["in_both"] == (row["base_token"] in listed)
    for row in found.sections["lists"]:
        one, two = (
            {r["token"] for r in each if (r["weight"], r["sign"]) == (row["weight"], row["sign"])}
            for each in (ours, theirs)
        )
        assert (row["shared"], row["tokens"]) == (len(one & two), len(one))
    for side, atlas in (("base", small), ("tuned", other)):
        concepts = {(row["family"], row["concept"]): row for row in neuron_concepts(atlas, "L1N7")}
        assert len(concepts) == len(found.sections["concepts"])
        for row in found.sections["concepts"]:
            expected = concepts[row["family"], row["concept"]]
            assert {name: row[f"{side}_{name}"] for name in SHOWN} == {name: expected[name] for name in SHOWN}
    page = visitor.get("/small/compare?with=other&neuron=l1n7").text
    assert page.count('<svg class="density"') == 2 * len(found.sections["concepts"])
    assert len(re.findall('class="shared"', page)) == sum(
        2 * row["shared"] for row in found.sections["lists"] if row["weight"]
    )
    assert visitor.get("/small/compare.json?with=other&neuron=L1N7").json()["address"] == "L1N7"


def test_the_command_answers_what_the_page_shows(pair, small):
    visitor, other = pair
    files = [str(small.path), str(other.path)]
    said = invoke(command, [*files, "--neuron", "L1N7", "--format", "json"])
    assert json.loads(said.stdout) == visitor.get("/small/compare.json?with=other&neuron=L1N7").json()
    assert f"neuron-atlas compare {' '.join(files)} --neuron L1N7" in visitor.get("/small/compare?neuron=L1N7").text
    assert isinstance(invoke(command, [*files, "--section", "tokens"]).exception, UsageError)


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("?with=absent", 404, "absent"),
        ("?neuron=L99N0", 200, "no layer 99"),
        ("?neuron=%3Cb%3E", 200, "not a neuron address"),
    ],
)
def test_what_is_not_there_is_told(pair, query, status, says):
    visitor, _ = pair
    answer = visitor.get(f"/small/compare{query}")
    assert answer.status_code == status and says in html.unescape(answer.text) and "<b>" not in says
    if status == 200:
        assert visitor.get(f"/small/compare.json{query}").status_code in (400, 422)


def test_one_atlas_alone_has_nothing_beside_it(client, home):
    answer = client.get(f"{home}compare")
    assert answer.status_code == 422 and "serve BASE TUNED" in answer.text
    assert f'href="{home}compare"' not in client.get(home).text


def test_atlases_that_cannot_be_compared_say_why(small, tmp_path):
    path = tmp_path / "renamed.duckdb"
    path.write_bytes(small.path.read_bytes())
    with changed_by_hand(path) as connection:
        connection.execute("UPDATE vocab SET token = 'another' WHERE token_id = 3")
    served = open_all([small.path, path], 2**20)
    with starlette.TestClient(make_app(served), base_url="http://localhost") as visitor:
        page = visitor.get("/small/compare?neuron=L1N7")
    assert page.status_code == 200 and "different vocabularies" in page.text and "L1N7 in both" in page.text
    for each in served:
        each.close()
