import re
from pathlib import Path

import pytest

from atlas.store.reader import Atlas, open_atlas
from benchmarks.postgres import sql as postgres_sql
from benchmarks.postgres.load import atlas_bytes, batches
from benchmarks.postgres.tables import BY_TOKEN, TABLES
from tests.atlas_factory import D_MLP, write_small_atlas

STATEMENTS = {name: text for name, text in vars(postgres_sql).items() if name.isupper() and not name.startswith("_")}
PARAMETERS = {
    "IDS_BY_TEXT": {"texts"},
    "IDS_BY_FORM": {"texts"},
    "FIT_OF_CONCEPT": {"concept", "family"},
    "NEURONS_FOR_TOKEN": {"ids", "limit"},
    "NEURONS_FOR_CONCEPT": {"fit", "concept", "limit"},
    "NEURONS_FOR_BOTH": {"ids", "fit", "concept", "limit"},
    "NEURONS_FOR_BOTH_BY_WALK": {"ids", "fit", "concept", "limit"},
    "CARD_TOKENS": {"nids", "top"},
    "CARD_CONCEPTS": {"spot"},
    "CARD_BACKGROUND": {"spot"},
    "LAYER_SUMMARY": {"up", "gate", "down", "limit"},
}


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory):
    path: Path = write_small_atlas(tmp_path_factory.mktemp("rival") / "atlas.duckdb")
    with open_atlas(path) as opened:
        yield opened


def rows_of(atlas: Atlas, name: str) -> list[tuple]:
    table = next(table for table in TABLES if table.name == name)
    return [
        row
        for batch in batches(atlas, table)
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    ]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_source_has_the_columns_of_its_table(atlas: Atlas, table) -> None:
    for batch in batches(atlas, table):
        assert batch.num_columns == len(table.columns)
        assert batch.num_rows > 0


def test_statements_name_their_columns() -> None:
    table = next(table for table in TABLES if table.name == "neuron")
    assert table.create() == "CREATE TABLE neuron (nid int4, norm float4, raised_lse float4, lowered_lse float4)"
    assert table.copy().startswith("COPY neuron (nid, norm, raised_lse, lowered_lse) FROM STDIN WITH (FORMAT binary")


def test_the_rival_holds_every_posting_of_the_public_view(atlas: Atlas) -> None:
    _, expected = atlas.query(
        "SELECT nid_of(weight, layer, neuron) AS nid, sign, rank, token_id, logit FROM token_decoding "
        "ORDER BY nid, sign DESC, rank"
    )
    assert [row[:5] for row in rows_of(atlas, "decoding")] == expected


def test_the_rival_holds_every_gaussian_with_its_range(atlas: Atlas) -> None:
    _, expected = atlas.query(
        "SELECT fit_id, concept_id, layer * $d_mlp + neuron, mean, std, auc, tau, coverage FROM concept_range",
        {"d_mlp": D_MLP},
    )
    names = list(next(table for table in TABLES if table.name == "gaussian").columns)
    wanted = [names.index(name) for name in ("fit_id", "concept_id", "spot", "mean", "std", "auc", "tau")]
    inside, n = names.index("inside"), names.index("n")
    held = [(*tuple(row[i] for i in wanted), row[inside] / row[n]) for row in rows_of(atlas, "gaussian")]
    assert sorted(held) == sorted(expected)


def test_statements_ask_for_known_parameters_only() -> None:
    assert set(STATEMENTS) == set(PARAMETERS)
    for name, text in STATEMENTS.items():
        assert set(re.findall(r"%\((\w+)\)s", text)) == PARAMETERS[name], name
        assert "%" not in re.sub(r"%\(\w+\)s", "", text), name
        assert "{" not in text.replace("{spots}", "").replace("{width}", ""), name


def test_both_variants_index_the_token() -> None:
    assert all("ON decoding (token_id" in statement for statement in BY_TOKEN.values())


def test_bytes_of_the_same_tables_fit_into_the_file(atlas: Atlas) -> None:
    assert 0 < atlas_bytes(atlas) <= atlas.path.stat().st_size
