from pathlib import Path

from atlas.store.reader import open_atlas
from benchmarks.postgres.parameters import FORMS, parameters
from benchmarks.postgres.questions import ours
from queries.tokens import token_ids
from tests.atlas_factory import write_small_atlas


def test_parameters_are_the_same_each_time_and_can_be_asked(tmp_path: Path) -> None:
    with open_atlas(write_small_atlas(tmp_path / "atlas.duckdb")) as atlas:
        asked = parameters(atlas, "topics", 5)
        assert asked == parameters(atlas, "topics", 5)
        asks = ours(atlas, "topics")
        for kind, sets in asked.values():
            assert len(sets) == 5
            assert all(isinstance(rows, list) for rows in asks[kind](sets[0]))


def test_a_set_has_as_many_forms_as_it_says_and_hubs_come_first(tmp_path: Path) -> None:
    with open_atlas(write_small_atlas(tmp_path / "atlas.duckdb")) as atlas:
        asked = parameters(atlas, "topics", 4)
        for words in asked[f"set of {FORMS} forms, any words"][1]:
            assert len(token_ids(atlas, words.words)) >= FORMS
        places = dict(atlas.query("SELECT token, count(*) FROM token_decoding GROUP BY token")[1])
        hub, rare = ([places[word.words[0]] for word in asked[name][1]] for name in ("hub token", "rare token"))
        assert sorted(hub, reverse=True) == hub and min(hub) >= max(rare)
