"""Pages say what the questions say, and give the same as data."""

from __future__ import annotations

import html
import json

import pytest

from queries.card import neuron_card
from queries.neurons import neurons_for_concept, neurons_for_token
from queries.web.registry import PAGES

ADDRESSES = {
    "atlas": "",
    "concept": "concept/sports",
    "neuron": "neuron/L1N7",
    "token": "token/dog",
    "search": "search?q=dog",
    "spec": "spec?concept=sports",
    "layer": "layer",
    "sql": "sql?q=SELECT+42+AS+answer",
}


@pytest.mark.parametrize("kind", [name for name, kind in PAGES.items() if not kind.live and name != "compare"])
def test_each_page_is_there_and_carries_the_policy(client, home, kind):
    answer = client.get(home + ADDRESSES[kind])
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "set-cookie" not in answer.headers
    assert "style=" not in answer.text and "onclick" not in answer.text  # the policy would not let them


def test_a_concept_lists_the_neurons_of_the_question(client, home, small):
    expected = neurons_for_concept(small, "sports", limit=25)
    page = client.get(f"{home}concept/sports").text
    places = [page.index(f">{address}</a></td>") for address in expected.column("address")]
    assert places == sorted(places)
    data = client.get(f"{home}concept/sports.json").json()
    assert [row["address"] for row in data] == expected.column("address")
    lines = client.get(f"{home}concept/sports.csv").text.splitlines()
    assert lines[0].split(",")[0] == expected.columns[0] and len(lines) == len(expected) + 1


def test_a_neuron_has_the_card_as_its_twin(client, home, small):
    expected = neuron_card(small, "L1N7")
    data = client.get(f"{home}neuron/L1N7.json").json()
    assert data["address"] == "L1N7"
    assert [row["token"] for row in data["tokens"]] == expected.sections["tokens"].column("token")


def test_a_token_finds_its_neurons(client, home, small):
    expected = neurons_for_token(small, "dog", limit=25).column("address")
    assert [row["address"] for row in client.get(f"{home}token/dog.json").json()] == expected


@pytest.mark.parametrize(
    ("address", "status", "says"),
    [
        ("neuron/L99N0", 422, "99"),
        ("neuron/nonsense", 400, "not a neuron address"),
        ("concept/absent", 404, "absent"),
        ("concept/sports?layer=x", 400, "Give a whole number"),
        ("concept/sports?max_leakage=nan", 400, "finite"),
        ("nothing", 404, "nothing"),
        ("concept", 404, "concept"),
    ],
)
def test_a_wrong_address_is_told_what_is_wrong(client, home, address, status, says):
    answer = client.get(home + address)
    assert answer.status_code == status
    assert says in html.unescape(answer.text)
    if "/" in address:
        path, _, query = address.partition("?")
        twin = client.get(f"{home}{path}.json?{query}")
        assert twin.status_code == status and json.loads(twin.text)["error"]


def test_a_foreign_host_another_site_and_a_long_address_are_refused(client, home):
    assert client.get(home, headers={"host": "attacker.example"}).status_code == 400
    assert client.post(f"{home}reopen", headers={"origin": "http://attacker.example"}).status_code == 403
    assert client.get(home + "search?q=" + "x" * 20_000).status_code == 414


def test_a_page_is_made_once_and_stays_what_it_was(client, home, monkeypatch):
    made = []
    kind = PAGES["neuron"]
    page = type(kind).page
    monkeypatch.setattr(type(kind), "page", lambda self, asked: made.append(asked.part) or page(self, asked))
    addresses = [f"{home}neuron/L0N3", f"{home}neuron/L0N3?family=topics", f"{home}neuron/L0N4"]
    first = [client.get(address) for address in addresses]
    again = [client.get(address) for address in addresses]
    assert made == ["L0N3", "L0N3", "L0N4"]
    assert [answer.text for answer in again] == [answer.text for answer in first]
    assert first[0].text != first[1].text and all(answer.status_code == 200 for answer in again)
    client.get(f"{home}neuron/L0N3.json")
    assert len(made) == 4  # data are asked for anew


def test_an_atlas_that_is_not_there_is_told_wherever_it_is_named(client):
    for answer in (client.get("/absent"), client.get("/absent/neuron/L1N7"), client.post("/absent/reopen")):
        assert answer.status_code == 404 and "absent" in answer.text
