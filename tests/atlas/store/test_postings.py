"""Postings and the order of rows, against their definitions in plain SQL and plain Python."""

from __future__ import annotations

import itertools

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from atlas.schema.statements import Layout, schema_sql
from atlas.store import columns, postings
from atlas.store.columns import misplaced_rows, read_lists, unsorted_tokens
from atlas.store.postings import insert_postings
from builders.decoding.rows import decoding_rows

TOP, N_LAYERS, D_MLP, D_VOCAB = 5, 2, 60, 40
BY_DEFINITION = """
    SELECT token_id, sign, nid, rank, logit FROM (
        SELECT nid, 1 AS sign, unnest(range(1, $top + 1)) AS rank,
               unnest(raised_token::INTEGER[]) AS token_id, unnest(raised_logit::FLOAT[]) AS logit FROM _decoding
        UNION ALL
        SELECT nid, -1, unnest(range(1, $top + 1)),
               unnest(lowered_token::INTEGER[]), unnest(lowered_logit::FLOAT[]) FROM _decoding)
    ORDER BY token_id, sign DESC, sign * nid"""


def decodings(seed: int = 0, vocabulary: tuple[range, range] | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory with random rows of `_decoding`, many of their logits equal."""
    raised, lowered = vocabulary or (range(D_VOCAB), range(D_VOCAB))
    rng = np.random.default_rng(seed)
    connection = duckdb.connect()
    connection.execute(schema_sql(Layout(TOP, 10, 8, N_LAYERS, D_MLP)))
    connection.execute("INSERT INTO vocab SELECT range, 'word', 1 FROM range($1)", [D_VOCAB])
    for weight in ("up_proj", "down_proj"):
        for layer in range(N_LAYERS):
            norm_N = rng.random(D_MLP)
            sides = {}
            for side, sign, tokens in (("raised", 1, raised), ("lowered", -1, lowered)):
                token_NK = np.stack([np.sort(rng.choice(tokens, TOP, replace=False)) for _ in range(D_MLP)])
                sides[f"{side}_token_NK"] = token_NK.astype(np.int32)
                sides[f"{side}_logit_NK"] = -sign * np.sort(-rng.integers(1, 9, (D_MLP, TOP)) / 4, axis=1)
                order_NK = np.lexsort((token_NK, -sign * sides[f"{side}_logit_NK"]))
                for name in (f"{side}_token_NK", f"{side}_logit_NK"):
                    sides[name] = np.take_along_axis(sides[name], order_NK, axis=1)
            rows = decoding_rows(  # noqa: F841  read by name below
                weight=weight,
                layer=layer,
                n_layers=N_LAYERS,
                norm_N=norm_N,
                raised_lse_N=norm_N,
                lowered_lse_N=norm_N,
                **sides,
            )
            connection.execute("INSERT INTO _decoding BY NAME SELECT * FROM rows")
    return connection


def unsorted_neighbours(connection: duckdb.DuckDBPyConnection) -> int:
    """Over both lists of every row."""
    unsorted = 0
    for sign, side in ((1, "raised"), (-1, "lowered")):
        for token_B, logit_B in read_lists(connection, f"{side}_token, {side}_logit", TOP):
            unsorted += unsorted_tokens(token_B.reshape(-1, TOP), sign * logit_B.reshape(-1, TOP))
    return unsorted


def same_as_definition(connection: duckdb.DuckDBPyConnection) -> bool:
    stored = connection.execute("SELECT * FROM _posting ORDER BY rowid").fetchall()
    return stored == connection.execute(BY_DEFINITION, {"top": TOP}).fetchall()


# Of all 2400 postings: all at once; about seven passes; a pass for each token.
@pytest.mark.parametrize("memory_bytes", [10**6, 16 * 400, 1])
def test_postings_are_the_decodings_sorted_by_token(monkeypatch: pytest.MonkeyPatch, memory_bytes: int) -> None:
    monkeypatch.setattr(columns, "_VALUES", 7 * TOP)
    monkeypatch.setattr(postings, "_WRITTEN", 33)
    connection = decodings()
    insert_postings(connection, TOP, memory_bytes)
    assert connection.execute("SELECT count(*) FROM _posting").fetchall() == [(2 * TOP * 2 * N_LAYERS * D_MLP,)]
    assert same_as_definition(connection)
    assert misplaced_rows(connection, "_posting") == 0


@pytest.mark.parametrize("memory_bytes", [10**6, 16 * 400])
def test_a_token_may_be_only_raised_or_only_lowered(memory_bytes: int) -> None:
    connection = decodings(1, (range(10, 25), range(24, 33)))
    insert_postings(connection, TOP, memory_bytes)
    assert same_as_definition(connection)


@pytest.mark.parametrize("memory_bytes", [10**6, 16 * 400])
def test_tokens_outside_the_vocabulary_are_kept_for_the_check(memory_bytes: int) -> None:
    connection = decodings()
    connection.execute("UPDATE _decoding SET raised_token = [-7, 1, 2, 2147483647, -2147483648] WHERE nid = 3")
    connection.execute("CREATE TABLE updated AS FROM _decoding ORDER BY nid; DELETE FROM _decoding")
    connection.execute("INSERT INTO _decoding FROM updated")
    insert_postings(connection, TOP, memory_bytes)
    assert same_as_definition(connection)


@pytest.mark.parametrize("memory_bytes", [10**6, 1])
def test_no_decodings_no_postings(memory_bytes: int) -> None:
    connection = duckdb.connect()
    connection.execute(schema_sql(Layout(TOP, 10, 8, N_LAYERS, D_MLP)))
    insert_postings(connection, TOP, memory_bytes)
    assert connection.execute("SELECT count(*) FROM _posting").fetchall() == [(0,)]


def test_what_is_too_large_for_the_fast_sort_is_sorted_by_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postings, "_SLOTS", 10)
    monkeypatch.setattr(postings, "_Postings", None)
    connection = decodings()
    insert_postings(connection, TOP, 10**6)
    assert same_as_definition(connection)


@pytest.mark.parametrize("rows_read", [2, 3, 100])
def test_misplaced_rows_are_those_not_after_the_row_before_them(
    monkeypatch: pytest.MonkeyPatch, rows_read: int
) -> None:
    rng = np.random.default_rng(2)
    keys = [(int(token), int(sign), int(nid)) for token, sign, nid in rng.integers((0, 0, 0), (5, 2, 3), (5000, 3))]
    token, side, nid = zip(*keys, strict=True)
    sign = 1 - 2 * np.array(side, np.int8)
    rows = pa.table(  # noqa: F841  read by name below
        {"token_id": token, "sign": sign, "nid": nid, "rank": np.ones(5000, np.int16), "logit": np.ones(5000)}
    )
    connection = duckdb.connect()
    connection.execute(schema_sql(Layout(TOP, 10, 8, N_LAYERS, D_MLP)))
    connection.execute("INSERT INTO _posting SELECT * FROM rows")
    places = [(t, -s, s * n) for t, s, n in zip(token, sign.tolist(), nid, strict=True)]
    expected = sum(not before < after for before, after in itertools.pairwise(places))
    monkeypatch.setattr(columns, "_ROWS", rows_read)
    assert misplaced_rows(connection, "_posting") == expected > 1000


def test_vectors_are_ordered_as_the_weights_are_listed() -> None:
    connection = duckdb.connect()
    connection.execute(schema_sql(Layout(TOP, 10, 1, N_LAYERS, D_MLP)))
    assert misplaced_rows(connection, "neuron_vector") == 0
    for weight in ("up_proj", "gate_proj", "down_proj"):
        connection.execute("INSERT INTO neuron_vector VALUES ($1, 0, 0, [1.0])", [weight])
    assert misplaced_rows(connection, "neuron_vector") == 0
    connection.execute("INSERT INTO neuron_vector VALUES ('gate_proj', 0, 1, [1.0])")
    assert misplaced_rows(connection, "neuron_vector") == 1


@pytest.mark.parametrize(
    ("column", "values", "unsorted"),
    [
        ("raised_logit", [5.0, 4.0, 3.0, 2.0, 1.0], 0),
        ("raised_logit", [5.0, 4.0, 4.5, 2.0, 1.0], 1),
        ("raised_logit", [5.0, 4.0, float("nan"), 2.0, 1.0], 2),
        ("lowered_logit", [-5.0, -4.0, -3.0, -2.0, -1.0], 0),
        ("lowered_logit", [-1.0, -2.0, -3.0, -4.0, -5.0], 4),
        ("raised_logit", [5.0, 5.0, 3.0, 2.0, 1.0], 0),
        ("lowered_logit", [-5.0, -5.0, -3.0, -3.0, -1.0], 0),
    ],
)
def test_tokens_of_a_neuron_go_from_strong_to_weak(column: str, values: list[float], unsorted: int) -> None:
    connection = decodings()
    connection.execute(f"UPDATE _decoding SET {column} = $1, raised_token = [1, 2, 3, 4, 5] WHERE nid = 3", [values])
    connection.execute("UPDATE _decoding SET lowered_token = [1, 2, 3, 4, 5] WHERE nid = 3")
    assert unsorted_neighbours(connection) == unsorted


def test_equal_logits_go_by_token_id() -> None:
    connection = decodings()
    equal = "raised_token = [2, 1, 3, 4, 4], raised_logit = [5, 5, 3, 2, 2]"
    connection.execute(f"UPDATE _decoding SET {equal} WHERE nid = 3")
    assert unsorted_neighbours(connection) == 2
