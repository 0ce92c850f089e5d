"""The question `exemplars`, the card and `info` of an atlas with running text, and of one without."""

from __future__ import annotations

import json

import pytest

from atlas.__main__ import main
from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.store.reader import open_atlas
from queries.card import neuron_card
from queries.exemplars import COLUMNS, exemplars
from queries.info import info
from queries.running_text import stored_exemplars
from tests.atlas_factory import WORDS, write_small_atlas
from tests.exemplar_factory import EPSILON, N_TEXTS, TOKENS, planted_texts


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_small_atlas(tmp_path_factory.mktemp("exemplars") / "a.duckdb", texts=True, intervals=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_small_atlas(tmp_path_factory.mktemp("plain") / "a.duckdb", intervals=False)


@pytest.fixture
def atlas(path):
    with open_atlas(path) as atlas:
        yield atlas


def test_each_row_says_where_and_shows_the_words_around(atlas):
    found = exemplars(atlas, "L1N7", width=6)
    rows, stored = found.sections["exemplars"], stored_exemplars(atlas, 1, 7, "mlp_post")
    assert rows.columns == COLUMNS and len(rows) == len(stored) == 16 + 16 + 32 + 16
    for row, each in zip(rows, stored, strict=True):
        words = [WORDS[token] for token in planted_texts(WORDS, 0)[row["text_id"]]]
        assert row["token"] == words[row["position"]]
        start = max(0, min(row["position"] - 4, TOKENS - 6))
        marked = words[start : start + 6]
        bare = row["token"].lstrip(" ")
        marked[row["position"] - start] = " " * (row["token"] != bare) + f"«{bare}»"
        assert row["text"] == "".join(marked).strip(" ")
        if each.activations is not None:
            assert row["tokens"] == words[row["window_start"] :][: len(row["activations"])]
            assert row["activations"][row["position"] - row["window_start"]] == pytest.approx(
                row["value"], abs=row["error"]
            )
    assert found.fields["tokens"] == N_TEXTS * TOKENS


def test_a_kind_alone(atlas):
    for kind, parts, count in (("top", {0}, 16), ("bottom", {0}, 16), ("band", {1, 2, 3, 4}, 32)):
        rows = exemplars(atlas, "L1N2", kind=kind).sections["exemplars"]
        assert {row["kind"] for row in rows} == {kind} and {row["part"] for row in rows} == parts and len(rows) == count
    lowest = exemplars(atlas, "L1N2", kind="bottom").sections["exemplars"].column("token")
    assert set(lowest[:10]) == {" dog"}


def test_statistics_go_together(atlas):
    found = exemplars(atlas, "L0N5")
    firing = found.sections["firing"].dicts()[0]
    quantiles = {row["probability"]: row["value"] for row in found.sections["quantiles"]}
    assert (firing["min"], firing["max"], firing["epsilon"]) == (quantiles[0], quantiles[1], EPSILON)
    assert sum(found.sections["quadrants"].column("share")) == pytest.approx(1)
    histogram = found.sections["histogram"].dicts()
    assert sum(row["n"] for row in histogram) == firing["n"]
    above = sum(row["n"] for row in histogram if row["side"] == "above 0")
    assert above / firing["n"] == pytest.approx(firing["share_positive"])
    assert histogram[0]["lower"] <= max(firing["max"], -firing["min"]) < histogram[0]["upper"]


def test_the_card_and_info_say_so_where_there_is_running_text(atlas, plain):
    card = neuron_card(atlas, "L1N7")
    assert [row["rank"] for row in card.sections["exemplars"]] == [1, 2, 3, 4, 5] * 2
    assert card.sections["exemplars"].rows == [
        row
        for row in exemplars(atlas, "L1N7").sections["exemplars"].rows
        if row[0] in ("top", "bottom") and row[2] <= 5
    ]
    assert card.sections["firing"].rows == exemplars(atlas, "L1N7").sections["firing"].rows
    assert "exemplars" not in neuron_card(atlas, "L1N7", fit=FitChoice(site="resid_post")).sections
    assert info(atlas).sections["texts"].dicts()[0]["sources"] == ["small.txt"]
    assert dict(info(atlas).sections["rows"].rows)["firing"] == 48
    with open_atlas(plain) as other:
        assert not {"exemplars", "firing", "quadrants"} & neuron_card(other, "L1N7").sections.keys()
        assert "texts" not in info(other).sections


def test_what_cannot_be_is_refused(atlas, plain):
    for wrong, kind in (
        ({"address": "L1N99"}, QuestionError),
        ({"address": "L9N1"}, QuestionError),
        ({"address": "l1n7"}, UsageError),
        ({"address": "L1N7", "kind": "tops"}, UnknownNameError),
        ({"address": "L1N7", "site": "mlp"}, UnknownNameError),
        ({"address": "L1N7", "site": "resid_post"}, QuestionError),
        ({"address": "L1N7", "width": 0}, UsageError),
        ({"address": "L1N7", "width": 10**9}, UsageError),
    ):
        with pytest.raises(kind):
            exemplars(atlas, **wrong)
    with open_atlas(plain) as other, pytest.raises(QuestionError) as refused:
        exemplars(other, "L1N7")
    assert "build --add" in refused.value.hint and "--texts" in refused.value.hint


def test_the_command_prints_a_table_and_json(path, plain, capsys):
    assert main(["exemplars", "L1N7", "-a", str(path), "--kind", "top", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["exemplars"][0]["text"] == "two adog run and vote scientific «ball» scientific a one cat"
    assert said["firing"]["n"] == N_TEXTS * TOKENS
    assert main(["exemplars", "L1N7", "-a", str(path), "--section", "exemplars"]) == 0
    out = capsys.readouterr().out
    assert "«ball»" in out and "band" in out
    assert main(["exemplars", "L1N7", "-a", str(plain)]) == 1
    assert "no running text" in capsys.readouterr().err
