"""Neurons are drawn by the seed alone, agreement is counted as by hand, and cells of the page hold what they must."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from atlas.store.reader import open_atlas
from benchmarks.graphs.neurons import KNOWN
from benchmarks.neurons.agree import Comparison, agreement, agrees, most_frequent, of_one
from benchmarks.neurons.cells import code, counted
from benchmarks.neurons.comparisons import COMPARISONS, forms
from benchmarks.neurons.drawn import ANY, EACH, KNOWN_GROUP, READABLE, draw
from benchmarks.neurons.labels import distinctive
from benchmarks.neurons.report import page
from benchmarks.neurons.said import Atlases, Reader
from tests.atlas_factory import write_small_atlas
from tests.exemplar_factory import LOWERED, PLANTED

ALL = [(layer, neuron) for layer in range(12, 30) for neuron in range(1000)]
PAIR = Comparison("one is the other", lambda row: row["one"], lambda row: row["other"])


def test_the_draw_depends_on_nothing_but_the_seed_and_takes_no_neuron_twice():
    readable = [each for each in ALL if each[1] % 7 == 0]
    groups = draw(ALL, readable)
    assert draw(ALL[::-1], readable[::-1]) == groups
    assert [len(groups[name]) for name in (READABLE, ANY, KNOWN_GROUP)] == [EACH, EACH, len(KNOWN)]
    assert set(groups[READABLE]) <= set(readable) and not set(groups[ANY]) <= set(readable)
    assert len(set(itertools.chain(*groups.values()))) == 2 * EACH + len(KNOWN)


def test_known_neurons_are_never_drawn():
    near = [(29, 808), (29, 812), *[(29, neuron) for neuron in range(2 * EACH)]]
    groups = draw(near, near)
    assert sorted(groups[READABLE] + groups[ANY]) == near[2:]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"dog"}, {"cat", "dogs"}, True),
        ({"cities"}, {"city"}, True),
        ({"new"}, {"news"}, False),
        ({"dog"}, {"dogma"}, False),
        (set(), {"dog"}, False),
    ],
)
def test_words_agree_by_their_forms(one, other, expected):
    assert agrees(one, other) is agrees(other, one) is expected


def test_the_control_is_what_all_other_pairings_give():
    words = [{"dog"}, {"cat", "dog"}, {"house"}, {"tree"}, {"tree"}]
    others = [{"dogs"}, {"cats"}, {"dog"}, set(), {"trees"}]
    rows = [{"one": one, "other": other} for one, other in zip(words, others, strict=True)]
    found = agreement(rows, PAIR)
    kept = [0, 1, 2, 4]  # the fourth says nothing on one side
    table = [[agrees(words[i], others[j]) for j in kept] for i in kept]
    shuffles = [sum(table[i][order[i]] for i in range(4)) for order in itertools.permutations(range(4))]
    assert (found.n, found.agree) == (4, 3)
    away = [sum(table[i][j] for j in range(4) if j != i) / 3 for i in range(4)]
    assert found.chance == pytest.approx(sum(away))
    assert found.p == pytest.approx(sum(each >= 3 for each in shuffles) / 24, abs=0.02)
    assert [of_one(row, PAIR) for row in rows] == [True, True, False, None, True]


def test_methods_that_say_the_same_of_every_neuron_agree_no_more_than_by_chance():
    rows = [{"one": {"the"}, "other": {"the"}} for _ in range(6)]
    assert agreement(rows, PAIR) == (6, 6, 6.0, 1.0)


def test_one_neuron_has_no_control():
    found = agreement([{"one": {"a"}, "other": {"a"}}], PAIR)
    assert (found.n, found.agree) == (1, 1) and math.isnan(found.chance) and math.isnan(found.p)
    assert agreement([], PAIR).n == 0


def test_most_frequent_names_all_that_are():
    assert most_frequent(["a", "b", "a", "b", "c"]) == {"a", "b"} and most_frequent([]) == set()


def test_marks_and_parts_of_characters_are_no_words():
    assert forms([" Dog", "dog", ",", " ", "\ufffd", "\n", " 7"]) == {"dog", "7"}


def test_distinctive_words_are_of_the_concept_and_not_common_to_all():
    texts = [("The goal was late", "sports"), ("the goal stood", "sports"), ("the tax was late", "politics")]
    words = distinctive(texts, "sports")
    assert words[0] == "goal" and words.index("the") > words.index("stood") and "tax" not in words


@pytest.mark.parametrize("text", [" a|b", "\n", "`", "``|", "\u202e", "\x1b[2J", "a\r\n| b |", "\u2028"])
def test_a_cell_is_one_cell_of_one_line_and_code_ends_where_it_should(text):
    cell = code(text)
    fence = cell[: len(cell) - len(cell.lstrip("`"))]
    inside = cell[len(fence) : -len(fence)]
    assert cell.endswith(fence) and fence not in inside and cell.isprintable()
    assert cell.replace("\\|", "").count("|") == 0


def test_tokens_are_counted_with_their_spaces():
    assert counted(["cat", "dog", " dog", "bat", " dog"]) == '`" dog"` ×2 `"cat"` `"dog"` `"bat"`'


def test_the_page_is_written_from_what_an_atlas_says(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.neurons.comparisons.words_of", lambda family, concept: [concept, family])
    with open_atlas(write_small_atlas(tmp_path / "small.duckdb", texts=True)) as atlas:
        reader = Reader(Atlases(atlas, atlas, atlas))
        fires, lowered = reader.of(1, 7), reader.of(1, 2)
    assert set(fires["fires_at"]) <= set(PLANTED) and fires["sign"] == 1
    assert most_frequent(lowered["fires_at"]) == {LOWERED} and lowered["sign"] == -1
    rows = [{"group": READABLE, **fires}, {"group": ANY, **lowered}]
    measured = {
        "model": "m",
        "texts": {"texts": 40, "tokens": 480, "sources": "a.txt"},
        "random_kurtosis_95": 0.5,
        "neurons": 9,
        READABLE: 3,
        "attributions": None,
        "rows": json.loads(json.dumps(rows)),
    }
    text = page(measured)
    assert "### L1N7\n" in text and "### L1N2, below 0\n" in text and '`" dog"` ×' in text
    assert all(text.count(comparison.question) == 1 for comparison in COMPARISONS)
