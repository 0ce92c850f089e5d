"""What an atlas keeps of running text, read back: against the brute force that it was made by."""

from __future__ import annotations

import pytest

from atlas.errors import QuestionError, UnknownNameError
from atlas.schema.exemplar_tables import KINDS, PROBABILITIES
from atlas.store.reader import open_atlas
from atlas.store.verify import OK, checks_of
from queries.running_text import all_quantiles, has_texts, stored_exemplars, stored_firing, text_set, texts_of
from tests.atlas_factory import D_MLP, N_LAYERS, WORDS, write_small_atlas
from tests.exemplar_factory import EPSILON, N_TEXTS, TOKENS, planted_reads, planted_texts
from tests.exemplar_reference import firing_of, lists_of


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_small_atlas(tmp_path_factory.mktemp("texts") / "small.duckdb", texts=True)


@pytest.fixture
def atlas(path):
    with open_atlas(path) as atlas:
        yield atlas


def test_an_atlas_with_texts_keeps_all_promises(path):
    assert [check for check in checks_of(path) if check.result != OK] == []


def test_exemplars_are_those_of_brute_force(atlas):
    reads, texts = planted_reads(WORDS, 1, D_MLP, 0), planted_texts(WORDS, 0)
    found = stored_exemplars(atlas, 1, 7, "mlp_post")
    expected = lists_of(reads, 1, 7)
    for kind in KINDS:
        here = [each for each in found if (each.kind, each.part) == (kind.kind, kind.part)]
        assert [(each.text.text_id, each.position, each.value) for each in here] == expected[kind.code]
        assert [each.rank for each in here] == list(range(1, len(here) + 1))
    for each in found:
        assert each.text.tokens == texts[each.text.text_id]
        if each.activations is None:
            assert each.kind == "quadrant" and each.error is None
            continue
        there = reads[each.text.text_id].acts_TN[:, 7]
        assert each.window_start <= each.position < each.window_start + len(each.activations)
        for place, activation in enumerate(each.activations, start=each.window_start):
            assert activation == pytest.approx(there[place], abs=each.error * 1.001)
    assert {WORDS[each.text.tokens[each.position]] for each in found if each.kind == "top"} == {
        " game",
        " team",
        " ball",
    }


def test_the_view_says_the_same(atlas):
    _, rows = atlas.query(
        "SELECT kind, part, rank, text_id, position, value, token, window_start, activations FROM exemplar "
        "WHERE layer = 1 AND neuron = 7 "
        "ORDER BY array_position(['top', 'bottom', 'band', 'quadrant'], kind), part, rank"
    )
    for row, each in zip(rows, stored_exemplars(atlas, 1, 7, "mlp_post"), strict=True):
        assert row[:6] == (each.kind, each.part, each.rank, each.text.text_id, each.position, each.value)
        assert row[6] == WORDS[each.text.tokens[each.position]]
        if each.activations is not None:
            assert row[7] == each.window_start
            assert row[8][: len(each.activations)] == pytest.approx(each.activations)


def test_firing_is_that_of_brute_force(atlas):
    expected = firing_of(planted_reads(WORDS, 1, D_MLP, 0), 2, EPSILON)
    found = stored_firing(atlas, 1, 2, "mlp_post")
    n = N_TEXTS * TOKENS
    assert found.n == n and (found.share_positive, found.share_beyond) == (
        expected["positive"] / n,
        expected["beyond"] / n,
    )
    for name in ("mean", "std", "position_correlation", "quantiles"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-5, abs=1e-6)
    assert found.histogram == expected["histogram"] and sum(found.histogram) == n
    assert found.quadrants == pytest.approx([count / n for count in expected["quadrants"]])
    assert (found.min, found.max) == (found.quantiles[0], found.quantiles[-1])


def test_the_quantiles_of_a_site_come_as_arrays(atlas):
    found = all_quantiles(atlas, "mlp_post")
    assert found["quantiles"].shape == (N_LAYERS * D_MLP, len(PROBABILITIES))
    row = 1 * D_MLP + 7
    assert (found["layer"][row], found["neuron"][row]) == (1, 7)
    assert found["quantiles"][row].tolist() == stored_firing(atlas, 1, 7, "mlp_post").quantiles


def test_without_words_there_are_places_and_no_tokens(tmp_path):
    path = write_small_atlas(tmp_path / "private.duckdb", texts=True, words=False, intervals=False)
    assert [check for check in checks_of(path) if check.result != OK] == []
    with open_atlas(path) as atlas:
        assert not text_set(atlas).words
        assert {each.text.tokens for each in stored_exemplars(atlas, 1, 7, "mlp_post")} == {None}
        assert texts_of(atlas, [3])[3].document == 4
        assert atlas.query("SELECT count(*) FROM token_count")[1] == [(0,)]
        assert atlas.query("SELECT count(token), count(*) > 0 FROM exemplar")[1] == [(0, True)]


def test_what_is_not_there_is_said(atlas, tmp_path):
    assert has_texts(atlas)
    with pytest.raises(QuestionError, match="not read at resid_post") as refused:
        text_set(atlas, "resid_post")
    assert "mlp_post" in refused.value.hint
    with pytest.raises(UnknownNameError):
        text_set(atlas, "mlp_pots")
    with open_atlas(write_small_atlas(tmp_path / "plain.duckdb", intervals=False)) as plain:
        assert not has_texts(plain)
        with pytest.raises(QuestionError, match="no running text") as refused:
            stored_exemplars(plain, 1, 7, "mlp_post")
        assert "--texts" in refused.value.hint
