"""What makes a page quickly: what is read ahead, kept and written at once, against the plain way."""

from __future__ import annotations

import random
from contextlib import nullcontext
from html.parser import HTMLParser
from urllib.parse import quote, quote_plus

import numpy as np
import pytest

from atlas.answers.cells import cell
from atlas.answers.result import Result
from atlas.errors import QuestionError
from atlas.store.connections import Lane
from atlas.store.reader import Atlas, open_atlas
from queries.best_by_layer import GOOD, best_by_layer
from queries.running_text import texts_of
from queries.web.charts.scale import Scale
from queries.web.charts.scatter import Axis
from queries.web.links import ServerLinks, query_text
from queries.web.registry import PAGES
from queries.web.saved import NoLinks, one_page
from queries.web.tables import table_rows
from tests.atlas_factory import N_LAYERS


@pytest.fixture
def again(full):
    """The same atlas, in which nothing is kept yet."""
    with open_atlas(full.path) as atlas:
        yield atlas


def test_a_neuron_is_the_same_whether_it_is_read_ahead_and_no_statement_is_asked_twice(again, monkeypatch):
    asked: list[str] = []
    run = Lane.run
    monkeypatch.setattr(Lane, "run", lambda lane, sql, values: asked.append(sql) or run(lane, sql, values))
    for before in ("L1N0", "L1N1", "L1N3"):  # what is kept is kept then
        one_page(again, before)
    asked.clear()
    ahead = one_page(again, "L1N2")
    with_it = sorted(asked)
    monkeypatch.setattr(Atlas, "ahead", lambda atlas, statements: nullcontext())
    asked.clear()
    assert one_page(again, "L1N2") == ahead
    assert with_it == sorted(asked)
    assert len(with_it) == len(set(with_it)) > 10


def test_what_is_read_ahead_is_found_and_what_fails_fails_where_it_is_asked(again):
    good, other, bad = "SELECT $n + 1", "SELECT $n + 2", "SELECT $n + nothing"
    with again.ahead([(bad, {"n": 1}), (good, {"n": 1}), ("SELECT 'nobody asks'", {})]):
        assert again.rows([good, other], n=1) == [[(2,)], [(3,)]]
        assert again.rows([good], n=5) == [[(6,)]]
        with pytest.raises(QuestionError, match="nothing"):
            again.rows([bad], n=1)
    assert again.rows([good, other], n=2) == [[(3,)], [(4,)]]


def test_one_question_at_a_time_reads_ahead_and_the_other_reads_all_the_same(again):
    with again.ahead([("SELECT $n", {"n": 1})]), again.ahead([("SELECT $n", {"n": 2})]):
        assert [again.rows(["SELECT $n"], n=n) for n in (1, 2, 3)] == [[[(1,)]], [[(2,)]], [[(3,)]]]


def test_texts_from_memory_are_those_of_the_file(again):
    ids = [row[0] for row in again.query("SELECT text_id FROM _text ORDER BY text_id")[1]]
    answers = [texts_of(again, ids) for _ in range(4)]  # from the third on they are kept
    assert again.session.get("texts") is not None
    expected = again.query("SELECT text_id, source, document, start, n_tokens, tokens FROM _text ORDER BY text_id")[1]
    for found in answers:
        assert [tuple(found[text_id]) for text_id in ids] == expected


@pytest.mark.parametrize("layer", [None, *range(N_LAYERS)])
def test_the_best_of_a_layer_are_those_of_the_public_view(again, layer):
    rows = again.query(
        "SELECT family, concept, layer, neuron, held_out_coverage - held_out_leakage FROM concept_interval "
        "WHERE held_out_coverage - held_out_leakage IS NOT NULL AND ($layer IS NULL OR layer = $layer)",
        {"layer": layer},
    )[1]
    places: dict[tuple, list[tuple[int, float]]] = {}
    for *place, neuron, told in rows:
        places.setdefault(tuple(place), []).append((neuron, told))
    for turn in range(2):  # of the layer alone, and from all, which are kept then
        found = {(row["family"], row["concept"], row["layer"]): row for row in best_by_layer(again, layer=layer)}
        assert found.keys() == places.keys() and found, turn
        for place, row in found.items():
            told = dict(places[place])
            assert row["youden_j"] == max(told.values())
            first = min(neuron for neuron, each in told.items() if each == row["youden_j"])
            assert row["address"] == f"L{row['layer']}N{first}"
            assert (row["telling"], row["neurons"]) == (sum(each >= GOOD for each in told.values()), len(told))
        best_by_layer(again)


class _Cells(HTMLParser):
    """The texts and links of the cells of a table, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text.encode().decode())  # no Markup, which escapes what is added to it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


_HOSTILE = "<script>alert(\"1\")</script> & 'x'"


def test_a_table_says_what_a_terminal_says_and_escapes_it():
    rows = [("L1N2", _HOSTILE, 1.25, None, ["a", _HOSTILE], "sports"), ("L0N0", "b", 3, True, None, _HOSTILE)]
    found = Result(["address", "text", "number", "flag", "tokens", "concept"], rows)
    links = ServerLinks("some", PAGES.keys())
    told = _Cells(table_rows(found, links, hidden=("number",)))
    for row, cells in zip(rows, told.rows, strict=True):
        assert [each.strip() for each in (cells[0], cells[1], cells[2], cells[4])] == [
            row[0],
            cell("text", row[1]),
            cell("flag", row[3]),
            row[5],
        ]
    assert told.tags == {"tr", "td", "a"}
    assert told.links[:2] == ["/some/neuron/L1N2", "/some/token?word=a&exact=on"]
    assert told.links[3] == "/some/concept/sports" and told.links[5] == f"/some/concept/{quote(_HOSTILE, safe='')}"
    assert not _Cells(table_rows(found, NoLinks())).links


def test_addresses_are_quoted_as_the_standard_library_quotes_them():
    rng = random.Random(1)
    letters = "aZ09_.~-+ &=?/%é字\n\u00a0"
    for _ in range(2000):
        text = "".join(rng.choices(letters, k=rng.randint(1, 5)))
        assert query_text({"q": text}) == f"?q={quote_plus(text)}"
        assert ServerLinks("some", ["token"]).page("token", text) == f"/some/token/{quote(text, safe='')}"


@pytest.mark.parametrize("log", [False, True])
def test_many_values_are_placed_as_each_alone(log):
    values = np.random.default_rng(1).uniform(0.1, 9.0, 500).tolist()
    for scale in (Scale(0.5, 8.0, 10, 700), Scale(2.0, 2.0, 10, 700)):
        assert scale.places(values) == [scale(value) for value in values]
    axis = Axis((0.1, 9.0), log, 58, 712)
    assert axis.places(values) == [axis(value) for value in values]
