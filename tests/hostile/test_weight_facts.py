"""Facts of weights that no builder writes: questions over them answer or refuse, and `verify` says what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasError
from atlas.schema.weight_tables import WEIGHT_TABLES
from atlas.store.reader import open_atlas
from atlas.store.verify import BROKEN, checks_of
from queries.card import neuron_card
from queries.info import info
from queries.nearest import nearest
from queries.weights import neurons_by_weights
from tests.atlas_factory import D_MLP, N_LAYERS, changed_by_hand, write_small_atlas
from tests.hostile.counts import count, generator

CASES = count(8, 200)
VALUES = {
    "VARCHAR": ["''", "'none'", "repeat('x', 100000)", "NULL"],
    "FLOAT": ["'nan'", "'inf'", "'-inf'", "3e38", "-2", "NULL"],
    "INTEGER": ["-1", "2147483647", "-2147483648", "0", "NULL"],
    "INTEGER[]": ["[-1]", "[2147483647, NULL]", "[]", "NULL", "[0, 1, 2, 3]"],
    "FLOAT[]": ["['nan']", "[NULL, 1]", "[]", "NULL", "['inf', '2', '3']"],
}
ASKED = {
    "card": lambda atlas: neuron_card(atlas, "L1N7"),
    "info": info,
    "nearest": lambda atlas: nearest(atlas, "L1N7"),
    "nearest of the layer": lambda atlas: nearest(atlas, "L0N0", weight="up_proj", among="layer", limit=2),
    "by kurtosis": neurons_by_weights,
    "by null share": lambda atlas: neurons_by_weights(atlas, by="null_share", ascending=True),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small atlas with facts of its weights, as a build writes them."""
    path = write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb")
    n = N_LAYERS * D_MLP
    neurons = f"(SELECT range // {D_MLP} AS layer, range % {D_MLP} AS neuron, range FROM range({n}))"
    weights = f"(SELECT unnest(enum_range(NULL::weight_t))::weight_t AS weight), {neurons}"
    same = f"nid_of(weight, layer, (neuron + 1) % {D_MLP})"
    other = f"nid_of(weight, (layer + 1) % {N_LAYERS}, neuron)"
    with changed_by_hand(path) as connection:
        for rows in (
            f"_weight_fact SELECT weight, layer, neuron, 1, 0, 0.1, 0, range FROM {weights} ORDER BY ALL",
            f"_neuron_fact SELECT layer, neuron, 0, 0, 0, 'orthogonal output', 0.1, 0.2 FROM {neurons} ORDER BY ALL",
            f"_nearest SELECT weight, layer, neuron, [{same}], [0.5], [{other}], [0.4] FROM {weights} ORDER BY ALL",
            "_redundant VALUES (0, 1, 0), (1, 7, 0)",
            "weight_run VALUES (1, 'raw', 1, [1, 2], 'merges', 40, 1024, 0.7, 0.3, 0.5, 0.4, 1, 0.7)",
        ):
            connection.execute(f"INSERT INTO {rows}")
    return path


def test_what_builds_write_is_whole(whole: Path) -> None:
    assert [check for check in checks_of(whole) if check.result == BROKEN and check.name != "digests"] == []
    with open_atlas(whole) as atlas:
        assert all(ask(atlas) for ask in ASKED.values())


@pytest.mark.parametrize("case", range(CASES))
def test_any_rows_are_answered_or_refused(whole: Path, tmp_path: Path, case: int) -> None:
    rng = generator(f"weight_facts/{case}")
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    table = rng.choice(WEIGHT_TABLES)
    column = rng.choice([column for column in table.columns if column.type in VALUES])
    value = rng.choice(VALUES[column.type])
    done = f"UPDATE {table.name} SET {column.name} = {value}{rng.choice(['', ' WHERE rowid % 7 = 0'])}"
    with changed_by_hand(path) as connection:
        try:
            connection.execute(f"ALTER TABLE {table.name} ALTER {column.name} DROP NOT NULL")
            connection.execute(done)
        except duckdb.Error:
            pytest.skip(f"DuckDB does not do it: {done}")
    foreign = []
    try:
        with open_atlas(path) as atlas:
            for name, ask in ASKED.items():
                try:
                    ask(atlas)
                except AtlasError:
                    continue
                except Exception as error:
                    foreign.append((name, repr(error)))
    except AtlasError:
        pass  # a file that is not opened
    assert foreign == [], done


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE _nearest SET same_nid = [0] WHERE weight = 'down_proj'",
        "UPDATE _nearest SET other_cosine = [0.1, 0.2], other_nid = [other_nid[1], other_nid[1]]",
        "UPDATE _nearest SET same_cosine = []",
        "DELETE FROM _nearest WHERE rowid = 3",
        "DELETE FROM _weight_fact WHERE rowid = 3",
        "UPDATE _weight_fact SET cosine_kurtosis = 'nan'",
        "DELETE FROM _neuron_fact WHERE rowid = 3",
        "UPDATE _neuron_fact SET io_class = 'enriching'",
        "UPDATE _neuron_fact SET cos_in_out = 1.1",
        "UPDATE _redundant SET group_id = layer",
        "UPDATE weight_run SET mode = 'boiled'",
        "UPDATE weight_run SET run_id = 77",
    ],
)
def test_verify_finds_what_is_wrong(whole: Path, tmp_path: Path, change: str) -> None:
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    with changed_by_hand(path) as connection:
        connection.execute(change)
    assert [check.name for check in checks_of(path) if check.result == BROKEN and check.name != "digests"], change
