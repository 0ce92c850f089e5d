"""Corpora in every format: the same examples in, the same corpus out, and one-line refusals."""

from __future__ import annotations

import csv
import json
import pkgutil
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

import builders.corpora
from atlas.errors import AtlasError, CorpusError, UsageError
from builders.corpora.registry import FORMATS, load_corpus

EXAMPLES = [
    ('He said "goal", twice.', "sports"),
    ("A field\nwith a line break, and a comma", "politics"),
    ("Grüße\u2028aus Köln 🙂", "sports"),
    ("tab\there", "politics"),
    ("third of its kind", "sports"),
]


def write_jsonl(path: Path, examples=EXAMPLES) -> Path:
    path.write_text(
        "".join(json.dumps({"text": t, "concept": c}, ensure_ascii=False) + "\n" for t, c in examples),
        encoding="utf-8",
    )
    return path


def write_delimited(path: Path, header: bool = True) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([("id", "text", "concept")] * header)
        writer.writerows((i, *example) for i, example in enumerate(EXAMPLES))
    return path


def write_parquet(path: Path) -> Path:
    texts, concepts = zip(*EXAMPLES, strict=True)
    table = pyarrow.table({"text": texts, "concept": pyarrow.array(concepts).dictionary_encode()})
    pyarrow.parquet.write_table(table, path)
    return path


WRITERS = {".jsonl": write_jsonl, ".csv": write_delimited, ".tsv": write_delimited, ".parquet": write_parquet}


def test_every_format_module_is_registered():
    modules = {info.name for info in pkgutil.iter_modules(builders.corpora.__path__, "builders.corpora.")}
    shared = {f"builders.corpora.{name}" for name in ("base", "registry", "limits", "lines", "names", "text_hash")}
    shared |= {"builders.corpora.images", "builders.corpora.words"}  # read by a build of a tower, whatever the suffix
    assert modules - shared == set(FORMATS.values())
    assert set(WRITERS) | {"hf:"} == set(FORMATS)


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_same_examples_make_the_same_corpus_in_any_format(suffix, tmp_path):
    corpus = load_corpus(WRITERS[suffix](tmp_path / f"mine{suffix}"))
    assert corpus.family == "mine"
    assert corpus.concepts == ["sports", "politics"]
    assert corpus.texts == [text for text, _ in EXAMPLES]
    assert [corpus.concepts[i] for i in corpus.labels] == [concept for _, concept in EXAMPLES]
    assert corpus.notes == []
    assert corpus.sha256 == load_corpus(write_jsonl(tmp_path / "other.jsonl")).sha256


def test_the_hash_is_of_content_and_order(tmp_path):
    one = load_corpus(write_jsonl(tmp_path / "one.jsonl"))
    turned = load_corpus(write_jsonl(tmp_path / "two.jsonl", EXAMPLES[::-1]), family="else")
    assert one.sha256 != turned.sha256 and turned.family == "else"
    assert len(one.sha256) == 64


def test_other_columns(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"sentence": f"s{i}", "label": i % 2}) + "\n\n" for i in range(4)))
    corpus = load_corpus(str(path), text_column="sentence", concept_column="label")
    assert corpus.concepts == ["0", "1"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_columns_by_number_mean_that_there_is_no_header(suffix, tmp_path):
    path = write_delimited(tmp_path / f"mine{suffix}", header=False)
    corpus = load_corpus(path, text_column="2", concept_column="3")
    assert corpus.texts == [text for text, _ in EXAMPLES]
    with pytest.raises(CorpusError, match=r"no column 'text'.*The columns are: 0, "):
        load_corpus(path)


def test_bom_and_windows_line_ends(tmp_path):
    jsonl, table = tmp_path / "a.jsonl", tmp_path / "a.csv"
    jsonl.write_bytes(b"\xef\xbb\xbf" + b'{"text": "x", "concept": "a"}\r\n{"text": "y", "concept": "b"}\r\n' * 2)
    table.write_bytes(b"\xef\xbb\xbftext,concept\r\n" + b"x,a\r\n\r\ny,b\r\n" * 2)
    assert load_corpus(jsonl).texts == load_corpus(table).texts == ["x", "y", "x", "y"]


def test_oddities_are_counted_and_kept(tmp_path):
    examples = [("x", "a"), ("x", "a"), ("x", "b"), ("y ", "b"), ("x", "a")]
    corpus = load_corpus(write_jsonl(tmp_path / "a.jsonl", examples))
    assert len(corpus.texts) == 5 and corpus.texts[3] == "y "
    assert corpus.notes == [
        "examples that repeat an earlier one (same text and concept): 2",
        "texts that stand under more than one concept: 1",
        "texts that end in white space, which can be their last token: 1",
    ]


def test_limit_draws_per_concept_and_keeps_the_order(tmp_path):
    examples = [(f"text {i}", "abc"[i % 3]) for i in range(300)]
    path = write_jsonl(tmp_path / "a.jsonl", examples)
    limited = load_corpus(path, limit_per_concept=10)
    assert [limited.labels.count(i) for i in range(3)] == [10, 10, 10]
    drawn = [int(text.split()[1]) for text in limited.texts]
    assert drawn == sorted(drawn) and drawn != list(range(30))
    assert limited.notes == ["30 of 300 examples used: at most 10 per concept, seed 0"]
    assert load_corpus(path, limit_per_concept=10).sha256 == limited.sha256
    assert load_corpus(path, limit_per_concept=10, seed=1).sha256 != limited.sha256
    fewer = load_corpus(write_jsonl(tmp_path / "b.jsonl", [e for e in examples if e[1] != "b"]), limit_per_concept=10)
    assert set(fewer.texts) < set(limited.texts)


GOOD = '{"text": "x", "concept": "a"}\n'
BAD = {
    "latin.jsonl": (
        GOOD.encode() + b'{"text": "caf\xe9", "concept": "a"}',
        r"latin\.jsonl line 2: not UTF-8",
    ),
    "latin.csv": (b"text,concept\nx,a\ncaf\xe9,a\n", r"line 3: not UTF-8"),
    "utf16.jsonl": (GOOD.encode("utf-16"), "line 1: not UTF-8"),
    "empty.jsonl": (b"", "no examples"),
    "empty.csv": (b"", "no examples"),
    "header.csv": (b"text,concept\n", "no examples"),
    "json.jsonl": (GOOD.encode() + b'{"text": "x", ', r"line 2: not JSON"),
    "deep.jsonl": (b"[" * 100_000, r"line 1: not JSON"),
    "list.jsonl": (b'["x", "a"]', "line 1: a JSON list, not an object"),
    "column.jsonl": (b'{"text": "x", "label": "a"}', r"no column 'concept' .*The columns are: text, label"),
    "column.csv": (b"sentence,concept\nx,a\n", r"no column 'text' .*The columns are: sentence, concept"),
    "twice.csv": (b"text,concept,text\nx,a,y\n", "two columns are named 'text'"),
    "ragged.csv": (b'text,concept\n"two\nlines",a\nx,a,b\n', r"ragged\.csv line 4: 3 fields"),
    "quote.csv": (b'text,concept\nx,a\n"never closed,a\n', r"quote\.csv line 3: not readable"),
    "blank.csv": (b"text,concept\n  ,a\n", r"line 2: the text is empty"),
    "null.jsonl": (b'{"text": null, "concept": "a"}', "line 1: the text is empty"),
    "number.jsonl": (b'{"text": 3, "concept": "a"}', "line 1: the text is of type int"),
    "unlabelled.jsonl": (b'{"text": "x", "concept": ""}', "line 1: the concept is empty"),
    "float.jsonl": (b'{"text": "x", "concept": 0.5}', "line 1: the concept is of type float"),
    "bool.jsonl": (b'{"text": "x", "concept": true}', "line 1: the concept is of type bool"),
    "surrogate.jsonl": (b'{"text": "\\ud800", "concept": "a"}', "line 1: a lone surrogate"),
    "one.jsonl": (GOOD.encode() * 3, "all examples have the concept 'a'"),
    "lone.jsonl": (GOOD.encode() * 2 + b'{"text": "x", "concept": "b"}', "concept 'b' has a single example"),
    "text.txt": (b"x", r"unknown format '\.txt'.*\.jsonl, \.csv, \.tsv, \.parquet"),
    "fake.parquet": (b"PAR1 nothing", "not a readable Parquet file"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_in_one_line(name, tmp_path):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message) as caught:
        load_corpus(tmp_path / name)
    assert name in caught.value.message and "\n" not in str(caught.value)


def test_parquet_rows_are_counted_from_one(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["x", None], "concept": [1, 2]}), path)
    with pytest.raises(CorpusError, match=r"a\.parquet row 2: the text is empty"):
        load_corpus(path)
    with pytest.raises(CorpusError, match=r"no column 'body'.*The columns are: text, concept"):
        load_corpus(path, text_column="body")


def test_parquet_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "a.parquet"
    broken = pyarrow.array([b"caf\xe9", b"x"]).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": broken, "concept": ["a", "b"]}), path)
    with pytest.raises(CorpusError, match=r"a\.parquet row 1: not UTF-8"):
        load_corpus(path)


def test_parquet_with_two_columns_of_one_name(tmp_path):
    path = tmp_path / "a.parquet"
    columns = [pyarrow.array(["x", "y"])] * 3
    pyarrow.parquet.write_table(pyarrow.table(columns, names=["text", "concept", "text"]), path)
    with pytest.raises(CorpusError, match="two columns are named 'text'"):
        load_corpus(path)


def test_sources_and_options_that_make_no_sense(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl")
    for source, message in [("absent.jsonl", "no such file"), (tmp_path, "not a file")]:
        with pytest.raises(CorpusError, match=message):
            load_corpus(source)
    for options in (
        {"split": "train"},
        {"limit_per_concept": 1},
        {"family": " "},
        {"text_column": "concept"},
    ):
        with pytest.raises(UsageError):
            load_corpus(path, **options)
    with pytest.raises(CorpusError, match="needs a split"):
        load_corpus("hf:someone/something")
    assert issubclass(CorpusError, AtlasError)
