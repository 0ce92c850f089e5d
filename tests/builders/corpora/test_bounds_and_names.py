"""What a corpus may hold, what a concept may be called, and files that are not quite text."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import pytest

from atlas.errors import CorpusError, UsageError
from builders.corpora import base, limits, lines, registry
from builders.corpora import csv as csv_format
from builders.corpora.names import listed, quoted, unfit
from builders.corpora.registry import load_corpus

GOOD = [("x", "a"), ("y", "b"), ("z", "a"), ("w", "b")]


def write(path: Path, examples) -> Path:
    """The examples in the format of the suffix, by other means than the readers use."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": t, "concept": c}) + "\n" for t, c in examples))
    elif path.suffix == ".parquet":
        texts, concepts = zip(*examples, strict=True)
        pyarrow.parquet.write_table(pyarrow.table({"text": texts, "concept": concepts}), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerows([("text", "concept"), *examples])
    return path


SUFFIXES = [".jsonl", ".csv", ".tsv", ".parquet"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_field_may_be_long(suffix, tmp_path):
    long = 'a "long" text,\twith a line\n' * 20_000  # more than the 131,072 characters that Python's csv stops at
    path = write(tmp_path / f"a{suffix}", [(long, "a"), *GOOD])
    assert load_corpus(path).texts[0] == long


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bounds_are_refused_at_the_row(suffix, tmp_path, monkeypatch):
    where = {".jsonl": "line 3", ".parquet": "row 3"}.get(suffix, "line 4")
    path = write(tmp_path / f"a{suffix}", [("x" * 9, "a"), ("y" * 9, "b"), ("z" * 11, "a"), ("w", "c")])
    for name, value, message in (
        ("MAX_TEXT", 10, "a text of 11 characters; 10 are taken"),
        ("MAX_TOTAL", 20, "more than 20 characters of text"),
        ("MAX_EXAMPLES", 2, "more than 2 examples"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(base, name, value)
            with pytest.raises(CorpusError, match=rf"a\{suffix} {where}: {message}"):
                load_corpus(path)
    monkeypatch.setattr(base, "MAX_CONCEPTS", 2)
    with pytest.raises(CorpusError, match=r"more than 2 concepts\. Is this the column of labels"):
        load_corpus(path)


def test_a_line_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 100)
    monkeypatch.setattr(csv_format, "MAX_LINE", 250)
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "concept": "a"}\n' + "x" * 101)
    with pytest.raises(CorpusError, match=r"a\.jsonl line 2: longer than 100 characters"):
        load_corpus(path)
    path = tmp_path / "a.csv"
    path.write_text("text,concept\nx,a\n" + 'a,"never closed\n' + "and more text\n" * 50)
    with pytest.raises(CorpusError, match=r"a\.csv line 3: a row of over 250 .*never closed\?"):
        load_corpus(path)


def test_a_file_is_read_as_it_streams(tmp_path):
    """Columns that nobody asked for, twenty times as large as the texts, are never in memory together."""
    path = tmp_path / "a.jsonl"
    with path.open("w") as file:
        for i in range(4000):
            file.write(json.dumps({"text": f"text {i}", "concept": i % 2, "other": "x" * 10_000}) + "\n")
    tracemalloc.start()
    try:
        load_corpus(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 40_000_000 and peak < 8_000_000


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a\x1b[31mb", "holds a control character (U+001B)"),
        ("a\nb", "holds a control character (U+000A)"),
        ("a\x85b", "holds a control character (U+0085)"),
        ("a\u202eb", "holds an invisible formatting character (U+202E)"),
        ("a\u2066b", "holds an invisible formatting character (U+2066)"),
        ("\ufeffab", "holds an invisible formatting character (U+FEFF)"),
        ("a\u2028b", "holds a line separator (U+2028)"),
        ("a\ud800b", "holds a lone surrogate (U+D800)"),
        ("n" * 201, "is longer than 200 characters"),
        *(
            (name, "holds nothing that can be seen")
            for name in ("\u200d", "\u200c\u200d", "\u3164", "\u2800", "\ufe0f")
        ),
    ],
)
def test_names_that_are_not_printable(name, why, tmp_path):
    assert unfit(name) == why
    path = write(tmp_path / "a.jsonl", [*GOOD, ("x", name)])
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    assert f"a.jsonl line 5: the concept {quoted(name)!r} {why}" in caught.value.message
    assert caught.value.message.isprintable() and len(caught.value.message) < 300
    with pytest.raises(UsageError, match="of the family"):
        load_corpus(write(tmp_path / "b.jsonl", GOOD), family=name)


def test_names_of_any_script_are_printable(tmp_path):
    for name in ("Grüße", "می‌شود", "👩‍💻", "क्ष", "日本語", "a b", "C++", "'; DROP TABLE", "n" * 200):
        assert unfit(name) is None
        assert name in load_corpus(write(tmp_path / "a.jsonl", [*GOOD, ("x", name), ("y", name)])).concepts


def test_names_of_strangers_in_messages():
    assert quoted("plain") == "plain" and quoted("a\x1bb") == r"a\x1bb" and quoted("x" * 99) == "x" * 60 + "..."
    assert listed([]) == "(none)" and listed(["a", "b"]) == "a, b"
    assert listed([str(i) for i in range(50)]).endswith("11 and 38 more")


def test_a_parquet_file_of_many_equal_rows_is_refused_before_it_is_read(tmp_path, monkeypatch):
    n_rows = limits.MAX_EXAMPLES + 1
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array(numpy.zeros(n_rows, numpy.int8)), ["x"])
    pyarrow.parquet.write_table(pyarrow.table({"text": column, "concept": column}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 1_000_000
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", lambda *args, **kwargs: pytest.fail("read"))
    with pytest.raises(CorpusError, match="more than 16777216 examples"):
        load_corpus(tmp_path / "a.parquet")


def test_a_key_that_stands_twice_after_many_others(tmp_path):
    path = tmp_path / "a.jsonl"  # finding it by counting every key takes hours
    path.write_text("{" + ",".join(f'"{i}":1' for i in range(300_000)) + ',"299999":1}')
    with pytest.raises(CorpusError, match="'299999' stands twice"):
        load_corpus(path)


def test_nul_and_packed_files(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,concept\nx,a\n".encode("utf-16-le"))
    with pytest.raises(CorpusError, match=r"line 1: a NUL character.*UTF-16"):
        load_corpus(path)
    with pytest.raises(CorpusError, match="row 1: a NUL character in the text"):
        load_corpus(write(tmp_path / "a.parquet", [("x\0", "a"), *GOOD]))
    with pytest.raises(CorpusError, match="line 1: a NUL character in the text"):
        load_corpus(write(tmp_path / "a.jsonl", [("x\0", "a"), *GOOD]))
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(b"{}"))
    with pytest.raises(CorpusError, match=r"a packed file\. Unpack it first"):
        load_corpus(packed)
    packed.rename(tmp_path / "b.jsonl")
    with pytest.raises(CorpusError, match="line 1: not text but packed by gzip"):
        load_corpus(tmp_path / "b.jsonl")


def test_the_line_of_bad_bytes_far_into_a_file(tmp_path):
    path = tmp_path / "a.jsonl"
    good = '{"text": "größer", "concept": "a"}\n'.encode()
    path.write_bytes(good * 70_000 + b'{"text": "\xe2\x82' + b'", "concept": "b"}\n' + good)
    with pytest.raises(CorpusError, match="line 70001: not UTF-8"):
        load_corpus(path)
    path.write_bytes(good * 3 + b'{"text": "\xe2\x82')
    with pytest.raises(CorpusError, match="line 4: not UTF-8"):
        load_corpus(path)


def test_a_key_that_stands_twice(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "concept": "a"}\n{"text": "y", "concept": "a", "text": "z"}\n')
    with pytest.raises(CorpusError, match="line 2: the key 'text' stands twice"):
        load_corpus(path)


def test_a_file_without_a_header_gets_a_hint(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a dog,pets\na cat,pets\na goal,sport\na team,sport\n")
    with pytest.raises(CorpusError, match=r"The columns are: a dog, pets\. If the file has no header, count them:"):
        load_corpus(path)
    assert load_corpus(path, text_column="1", concept_column="2").concepts == ["pets", "sport"]
    path.write_text("text,label\na dog,pets\n")
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    assert "header" not in caught.value.hint


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\n\r\n"])
def test_line_ends_of_all_systems_and_mixed_ones(ends, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(("text,concept\n" + "".join(f"t{i},{'ab'[i % 2]}{ends}" for i in range(4))).encode())
    assert load_corpus(path).texts == ["t0", "t1", "t2", "t3"]


def test_parquet_values_of_other_kinds_name_their_row(tmp_path):
    path = tmp_path / "a.parquet"
    for texts, message in (
        ([b"x", b"y"], "row 1: the text is of type bytes"),
        ([{"a": 1}, {"a": 2}], "row 1: the text is of type dict"),
        ([["x"], ["y"]], "row 1: the text is of type list"),
        ([1.5, 2.5], "row 1: the text is of type float"),
    ):
        pyarrow.parquet.write_table(pyarrow.table({"text": texts, "concept": ["a", "b"]}), path)
        with pytest.raises(CorpusError, match=message):
            load_corpus(path)


def test_a_small_file_of_many_long_texts_is_not_unpacked_whole(tmp_path, monkeypatch):
    """200 times the same 2 MB in 30 kB: refused after a few, with no more than a few in memory."""
    path = tmp_path / "a.parquet"
    texts = pyarrow.array(["x" * 2_000_000]).take(pyarrow.array([0] * 200)).dictionary_encode()
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "concept": ["a", "b"] * 100}), path)
    assert path.stat().st_size < 200_000
    monkeypatch.setattr(base, "MAX_TOTAL", 5_000_000)
    before = pyarrow.default_memory_pool().max_memory()
    with pytest.raises(CorpusError, match="row 3: more than 5000000 characters of text"):
        load_corpus(path)
    assert max(0, pyarrow.default_memory_pool().max_memory() - before) < 200_000_000


def test_a_name_that_no_file_can_have():
    for source in ("a\0b.jsonl", "x" * 300 + ".jsonl"):
        with pytest.raises(CorpusError, match="no such file"):
            registry.load_corpus(source)
