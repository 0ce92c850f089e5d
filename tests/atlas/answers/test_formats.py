"""One Result with every hard value, in every format; one golden file per text format."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import json
import math
import re

import pytest

from atlas.answers.formats import FORMATS, suffixes, writer
from atlas.answers.result import Document, Result
from tests import golden_files

HARD = Result(
    ["address", "share", "token", "tokens", "text", "flag", "when", "amount", "big"],
    [
        (
            "L29N808",
            0.123456789,
            " dog",
            [" dog", "\n", 'say "hi"'],
            "plain, text",
            True,
            dt.datetime(2025, 11, 21, 11, 25, 0),
            decimal.Decimal("1.50"),
            2**40,
        ),
        ("L0N0", float("nan"), "\x1b[31m", [], "[bold]no markup[/bold] :dog:", False, None, None, -1),
        ("L1N7", float("-inf"), "日本 \u00a0", None, "two\nlines", None, None, None, 0),
        ("L2N2", 1.5e-9, "\\", [None], " padded ", None, None, None, None),
    ],
)


def written(result, name):
    stream = io.BytesIO()
    writer(name)(result, stream)
    return stream.getvalue()


@pytest.mark.parametrize("name", sorted(name for name, row in FORMATS.items() if not row.binary))
def test_golden(name):
    golden_files.check(f"formats/hard.{name}.txt", written(HARD, name))


def test_json_and_jsonl_are_valid_and_agree():
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    rows = json.loads(written(HARD, "json"), parse_constant=refuse)
    lines = written(HARD, "jsonl").decode().splitlines()
    assert [json.loads(line, parse_constant=refuse) for line in lines] == rows
    assert [row["share"] for row in rows] == [0.123456789, None, None, 1.5e-9]
    assert rows[0]["tokens"] == [" dog", "\n", 'say "hi"']
    assert list(rows[0]) == HARD.columns


def test_csv_agrees_with_json_cell_for_cell():
    rows = json.loads(written(HARD, "json"))
    cells = list(csv.DictReader(io.StringIO(written(HARD, "csv").decode(), newline="")))
    assert len(cells) == len(rows)
    for row, line in zip(rows, cells, strict=True):
        for name, value in row.items():
            match value:
                case None:
                    assert line[name] == ""
                case bool() | list():
                    assert json.loads(line[name]) == value
                case _:
                    assert line[name] == str(value)


def test_the_columnar_formats_keep_every_value():
    from pyarrow import ipc, parquet

    tables = [
        parquet.read_table(io.BytesIO(written(HARD, "parquet"))),
        ipc.open_file(io.BytesIO(written(HARD, "arrow"))).read_all(),
    ]
    for table in tables:
        assert table.column_names == HARD.columns
        for name in HARD.columns:
            for found, value in zip(table[name].to_pylist(), HARD.column(name), strict=True):
                same = found == value or (isinstance(value, float) and math.isnan(value) and math.isnan(found))
                assert same, name


@pytest.mark.parametrize("name", list(FORMATS))
def test_no_rows_keep_the_columns(name):
    content = written(Result(["address", "auc"], []), name)
    if name == "json":
        assert json.loads(content) == []
    elif name == "jsonl":
        assert content == b""
    elif name in ("csv", "table"):
        assert b"address" in content and b"auc" in content
    else:
        assert len(content) > 0


def test_a_table_never_moves_the_cursor_and_shows_spaces():
    text = written(HARD, "table").decode()
    assert "\x1b" not in text and '"\\x1b[31m"' in text
    assert '" dog"' in text and '"日本 \\xa0"' in text
    assert "[bold]no" in text and ":dog:" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_document_is_one_json_object_and_one_text():
    document = Document({"address": "L1N7", "share": float("inf")}, {"first": HARD, "empty": Result(["n"], [])})
    whole = json.loads(written(document, "document_json"))
    assert whole["address"] == "L1N7" and whole["share"] is None
    assert whole["first"] == json.loads(written(HARD, "json")) and whole["empty"] == []
    text = written(document, "document_table").decode()
    assert "first" in text and "empty" not in text


def test_suffixes_name_known_formats():
    assert set(suffixes().values()) <= set(FORMATS)
    assert set(FORMATS) - set(suffixes().values()) == {"table"}


def test_a_table_that_does_not_fit_cuts_no_number():
    wide = Result([f"column{index}" for index in range(20)], [tuple(index + 0.12345 for index in range(20))])
    text = written(wide, "table").decode()
    assert all(name in text for name in wide.columns)
    assert "0.1235" in text and "19.12" in text


CONTROLS = "\x1b[2J\x7f\x85\x9b\u202e\u2066\u2028\ufeff\U000e0001 \u00a0 é 日本 🐕"


def test_json_shows_no_control_and_reads_back_equal():
    result = Result(["a" + CONTROLS], [(CONTROLS,), ([CONTROLS, {"k" + CONTROLS: CONTROLS}],)])
    for name in ("json", "jsonl"):
        text = written(result, name).decode()
        assert {c for c in text if c in "\x1b\x7f\x85\x9b\u202e\u2066\u2028\ufeff\U000e0001"} == set()
        assert all(letter in text for letter in "é日本🐕")
        rows = json.loads(text) if name == "json" else [json.loads(line) for line in text.split("\n")[:-1]]
        assert [list(row.items()) for row in rows] == [
            [("a" + CONTROLS, CONTROLS)],
            [("a" + CONTROLS, [CONTROLS, {"k" + CONTROLS: CONTROLS}])],
        ]


def test_csv_is_exact_and_csv_safe_holds_no_formula():
    texts = [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20x",
        "plain",
        "",
        "a=1",
        "'=1",
        CONTROLS,
    ]
    result = Result(["=name"], [(text,) for text in texts] + [(-1,), (-1.5,), (["=1"],), (True,)])

    def cells(name):
        return [row[0] for row in csv.reader(io.StringIO(written(result, name).decode(), newline=""))]

    assert cells("csv") == ["=name", *texts, "-1", "-1.5", '["=1"]', "true"]
    safe = cells("csv_safe")
    assert safe[0] == "'=name"
    assert safe[1:12] == ["'" + text for text in texts[:11]]
    assert safe[12:] == cells("csv")[12:]  # numbers stay numbers


def test_a_heading_of_sql_moves_no_cursor():
    text = written(Result(["a\x1b[2J", "b"], [(1, 2)]), "table").decode()
    assert "\x1b" not in text and '"a\\x1b[2J"' in text


def test_a_private_character_of_a_token_is_no_space():
    text = written(Result(["tokens", "\ue000"], [(["a\ue000b", "a b"], "c\ue000d")]), "table").decode()
    assert "\ue000" not in text
    assert '"a\\ue000b" "a b"' in text and '"c\\ue000d"' in text and text.split()[1] == '"\\ue000"'


@pytest.mark.parametrize("room", [40, 80, 100])
def test_a_list_of_tokens_is_folded_between_tokens_only(room, monkeypatch):
    monkeypatch.setattr("atlas.answers.table.PLAIN_WIDTH", room)
    tokens = [" the dog", 'say "hi"', "\n  \n", "-" * 40, "日本", " a b c"] * 5
    text = written(Result(["weight", "sign", "tokens"], [("up_proj", -1, tokens)]), "table").decode()
    _, rule, *lines = text.splitlines()
    parts = [part for line in lines for part in re.findall(r'"(?:[^"\\]|\\.)*"|\S+', line)]
    assert parts[:2] == ["up_proj", "-1"]
    assert [part[:3] for part in parts[2:]] == ['" t', '"sa', '"\\n', '"--', '"日本"'[:3], '" a'] * 5
    assert all(part[0] == part[-1] == '"' for part in parts[2:])
    assert len(rule) <= room


def test_an_unbroken_text_pushes_no_number_out(monkeypatch):
    monkeypatch.setattr("atlas.answers.table.PLAIN_WIDTH", 40)
    rows = [("x" * 5000, "日" * 5000, 0.25, 2**30)]
    heading, rule, first, *more = written(Result(["text", "wide", "share", "big"], rows), "table").decode().splitlines()
    assert len(heading) == len(rule) == 40
    assert first.split()[2:] == ["0.2500", str(2**30)] and len(more) > 5
    lines = [line.split() for line in (first, *more)]
    assert "".join(parts[0] for parts in lines if parts[0][0] in "x…") == "x" * 79 + "…"


def test_the_lines_of_a_field_begin_where_no_name_does():
    forged = "short " + "x" * 90 + "\nfingerprint  sha256:" + "0" * 64 + " fingerprint  sha256:" + "0" * 200
    text = written(Document({"model_id": forged, "fingerprint": "sha256:" + "1" * 64}, {}), "document_table").decode()
    assert [line for line in text.splitlines() if line.startswith("fingerprint")] == ["fingerprint  sha256:" + "1" * 64]
    assert text.count("model id") == 1


def test_formats_for_programs_cut_nothing():
    long = Result(["token", "text", "tokens"], [("-" * 9000, "日" * 9000, ["-" * 9000] * 3)])
    assert "…" in written(long, "table").decode()
    for name in ("json", "jsonl", "csv"):
        text = written(long, name).decode()
        assert (text.count("-"), text.count("日"), "…" in text) == (36000, 9000, False)
