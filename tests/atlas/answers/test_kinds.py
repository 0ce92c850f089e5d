"""Texts of a kind: what a table makes of them, and that every other format has them whole."""

from __future__ import annotations

import csv
import io
import json

from atlas.answers.formats import writer
from atlas.answers.kinds import Digest, Prose
from atlas.answers.result import Document, Result

TEXT = "\n\nOne line,\n two lines\x1b[2J\n"
HASH = "sha256:0123abcd" + "f" * 56
KINDS = Result(["hash", "text"], [(Digest(HASH), Prose(TEXT))], single=True)
PLAIN = Result(["hash", "text"], [(HASH, TEXT)])


def written(answer, name):
    stream = io.BytesIO()
    writer(name)(answer, stream)
    return stream.getvalue()


def test_a_table_keeps_the_lines_of_prose_and_shortens_a_digest():
    lines = written(KINDS, "table").decode().splitlines()
    assert [line.split() for line in lines[2:]] == [["0123abcd", "One", "line,"], ["two", "lines\\x1b[2J"]]
    assert lines[3].startswith(" " * len("0123abcd") + "   two")


def test_other_formats_have_the_plain_texts():
    from pyarrow import ipc, parquet

    for name in ("json", "jsonl", "csv", "csv_safe"):
        assert written(KINDS, name) == written(PLAIN, name)
    assert json.loads(written(KINDS, "json")) == [{"hash": HASH, "text": TEXT}]
    assert next(csv.reader(io.StringIO(written(KINDS, "csv").decode().split("\n", 1)[1], newline="")))[0] == HASH
    for table in (parquet.read_table(io.BytesIO(written(KINDS, "parquet"))), ipc.open_file(written(KINDS, "arrow"))):
        table = table if hasattr(table, "to_pylist") else table.read_all()
        assert table.to_pylist() == [{"hash": HASH, "text": TEXT}]


def test_a_document_shows_what_it_names_and_holds_the_rest():
    document = Document({"a": 1, "b": {"c": [1]}}, {"one": KINDS, "many": PLAIN}, shown=["a", "many"])
    assert json.loads(written(document, "document_json")) == {
        "a": 1,
        "b": {"c": [1]},
        "one": {"hash": HASH, "text": TEXT},
        "many": [{"hash": HASH, "text": TEXT}],
    }
    lines = written(document, "document_table").decode().splitlines()
    assert lines[:3] == ["a  1", "", "many"] and "one" not in lines
    assert written(Document({}, {"many": PLAIN}), "document_table").decode().splitlines()[0] == "many"
