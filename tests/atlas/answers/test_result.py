from __future__ import annotations

import datetime as dt
import decimal
import sys

import pytest

from atlas.answers.result import Result
from atlas.errors import MissingExtraError

ROWS = [(1, " dog", 0.5, [1, 2]), (2, None, float("nan"), None)]
COLUMNS = ["n", "token", "share", "list"]


def test_rows_and_dicts():
    result = Result(COLUMNS, ROWS)
    assert len(result) == 2
    assert result.dicts()[0] == {"n": 1, "token": " dog", "share": 0.5, "list": [1, 2]}
    assert list(result) != [] and [row["n"] for row in result] == [1, 2]
    assert result.column("token") == [" dog", None]
    with pytest.raises(KeyError):
        result.column("tokn")


def test_repeated_columns_get_a_number():
    assert Result(["a", "a", "b", "a"], []).columns == ["a", "a_1", "b", "a_2"]
    assert Result(["a", "a_1", "a"], []).columns == ["a", "a_1", "a_2"]


def test_cut_says_so_only_when_it_cuts():
    assert Result(["n"], [(1,), (2,)]).cut(2).truncated_by is None
    cut = Result(["n"], [(1,), (2,)]).cut(1)
    assert (cut.rows, cut.truncated_by) == ([(1,)], "--limit")


def test_keep_and_narrow():
    result = Result(COLUMNS, ROWS, ["remark"], "--limit", shown=["token", "n"])
    assert result.narrow().columns == ["token", "n"]
    assert result.narrow().rows == [(" dog", 1), (None, 2)]
    assert (result.narrow().notes, result.narrow().truncated_by) == (["remark"], "--limit")
    assert result.keep(["n"]).shown == ["n"]
    assert Result(COLUMNS, ROWS).narrow().columns == COLUMNS


def test_to_arrow_keeps_values_and_types():
    import pyarrow

    table = Result(COLUMNS, ROWS).to_arrow()
    assert table.column_names == COLUMNS
    assert table.schema.field("n").type == pyarrow.int64()
    assert table.schema.field("share").type == pyarrow.float64()
    assert table["token"].to_pylist() == [" dog", None]
    assert table["list"].to_pylist() == [[1, 2], None]


def test_to_arrow_of_values_that_do_not_agree_is_text():
    mixed = Result(["x", "big"], [(1, 2**70), ("a", None)]).to_arrow()
    assert mixed["x"].to_pylist() == ["1", "a"]
    assert mixed["big"].to_pylist() == [str(2**70), None]


def test_to_arrow_without_rows_keeps_the_columns():
    assert Result(COLUMNS, []).to_arrow().column_names == COLUMNS
    assert Result(COLUMNS, []).to_arrow().num_rows == 0


def test_to_pandas():
    pandas = pytest.importorskip("pandas")
    when = dt.datetime(2025, 1, 2, 3, 4, 5)
    frame = Result(["when", "amount"], [(when, decimal.Decimal("1.50"))]).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc[0, "when"] == when


def test_to_pandas_without_pandas_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"neuron-atlas\[pandas\]"):
        Result(["n"], [(1,)]).to_pandas()


def test_many_columns_of_one_name_do_not_take_forever():
    names = Result(["1"] * 20_000, []).columns
    assert len(set(names)) == 20_000 and names[-1] == "1_19999"
