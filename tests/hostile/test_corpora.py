"""Corpora from strangers: bytes changed, cut, repeated and mixed in files of every format.

Whatever comes in, a corpus comes out or one line of error: no other exception, no hang, no memory without bound. What
comes out is printable where it names something, and has at least two concepts of two examples.
"""

from __future__ import annotations

import csv
import io
import json
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from atlas.errors import AtlasError
from builders.corpora.registry import load_corpus
from tests.hostile.counts import count, generator

HANG = 10.0
"""Seconds."""
PEAK = 200_000_000
"""Bytes; the files are of some kilobytes, or a few megabytes where they are meant to be large."""

EXAMPLES = [(f'Text {i}, "quoted"\nand Grüße 🙂', f"concept {i % 3}") for i in range(12)]
NASTY_TEXTS = ["", " ", "\0", "\ud800", "\u202eevil", "\x1b[2J", "x" * 300_000, "=cmd()", '"', "\r\n", "NaN", "{text}"]
NASTY_CONCEPTS: list = [*NASTY_TEXTS, None, True, 1.5, -1, 10**30, [], {}, ["a"], {"a": 1}, "\u2028", "a\tb", "n" * 999]
NASTY_BYTES = [
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\0",
    b"\x80",
    b"\xed\xa0\x80",
    b"\r",
    b"\n",
    b'"',
    b",",
    b"\t",
    b"{",
    b"[" * 999,
]


def jsonl(draw: random.Random, rows: list[tuple]) -> bytes:
    lines = []
    for text, concept in rows:
        record = {"text": text, "concept": concept}
        line = json.dumps(record, ensure_ascii=draw.random() < 0.5)
        if draw.random() < 0.1:
            line = line[:-1] + draw.choice(
                [', "text": "again"}', ', "x": NaN}', ', "n": ' + "9" * 6000 + "}", "", "}}"]
            )
        lines.append(line)
    return draw.choice(["\n", "\r\n", "\n\n"]).join(lines).encode("utf-8", "surrogatepass")


def delimited(delimiter: str) -> Callable[[random.Random, list[tuple]], bytes]:
    def make(draw: random.Random, rows: list[tuple]) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter, lineterminator=draw.choice(["\n", "\r\n", "\r"]))
        header = draw.choice([("text", "concept")] * 6 + [("text", "text"), ("a\x1b", "b"), ("concept", "text", "x")])
        writer.writerow(header)
        writer.writerows(rows)
        return out.getvalue().encode("utf-8", "surrogatepass")

    return make


def parquet(draw: random.Random, rows: list[tuple]) -> bytes:
    texts = [text if isinstance(text, str) and text.isprintable() else "x" for text, _ in rows]
    names = [concept if isinstance(concept, str) and "\ud800" not in concept else "y" for _, concept in rows]
    columns = {"text": pyarrow.array(texts), "concept": pyarrow.array(names)}
    change = draw.randrange(8)
    if change == 0:
        columns["text"] = pyarrow.array([draw.randbytes(9) for _ in rows]).view(pyarrow.string())
    elif change == 1:
        columns["concept"] = pyarrow.array([draw.choice([1, 2, None, -(2**62)]) for _ in rows])
    elif change == 2:
        columns["text"] = columns["text"].dictionary_encode()
    elif change == 3:
        columns["concept"] = pyarrow.array([{"a": i} for i in range(len(rows))])
    elif change == 4:
        columns["concept"] = pyarrow.array([2**62] * len(rows), pyarrow.timestamp("us"))  # year 148,109
    out = io.BytesIO()
    options = {"row_group_size": draw.choice([1, 5, 1000]), "compression": draw.choice(["none", "snappy", "zstd"])}
    pyarrow.parquet.write_table(pyarrow.table(columns), out, **options)
    return out.getvalue()


FORMATS = {".jsonl": jsonl, ".csv": delimited(","), ".tsv": delimited("\t"), ".parquet": parquet}


def mangled(draw: random.Random, data: bytes) -> bytes:
    """Some bytes flipped, inserted, cut out or repeated; or nothing."""
    found = bytearray(data)
    for _ in range(draw.choice([0, 0, 1, 1, 2, 5, 30])):
        at = draw.randrange(len(found) + 1)
        way = draw.randrange(5)
        if way == 0 and at < len(found):
            found[at] ^= 1 << draw.randrange(8)
        elif way == 1:
            found[at:at] = draw.choice(NASTY_BYTES)
        elif way == 2:
            del found[at : at + draw.choice([1, 4, 50])]
        elif way == 3:
            found[at:at] = found[at : at + draw.choice([8, 200])] * draw.choice([1, 3, 50])
        elif draw.random() < 0.2:
            del found[at:]
    return bytes(found)


def check_outcome(load: Callable[[], object], what: str) -> None:
    started = time.monotonic()
    tracemalloc.start()
    try:
        corpus = load()
    except AtlasError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000, what
        assert error.message.isprintable() and error.hint.isprintable(), what
    else:
        names = [corpus.family, *corpus.concepts]
        assert all(name.strip() and not any(c < " " or c in "\u202e\u2028\ud800" for c in name) for name in names), what
        sizes = [corpus.labels.count(i) for i in range(len(corpus.concepts))]
        assert len(sizes) >= 2 and min(sizes) >= 2, what
        assert all(text.strip() and "\0" not in text and text.encode() for text in corpus.texts), what
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.monotonic() - started < HANG, what
    assert peak < PEAK, what


@pytest.mark.parametrize("suffix", FORMATS)
def test_changed_files(suffix: str, tmp_path: Path) -> None:
    draw = generator(f"corpora{suffix}")
    arrow = pyarrow.default_memory_pool()
    for number in range(count(60, 2500)):
        rows = list(EXAMPLES)
        for _ in range(draw.choice([0, 0, 1, 2])):
            place = draw.randrange(len(rows))
            text, concept = rows[place]
            rows[place] = draw.choice([(draw.choice(NASTY_TEXTS), concept), (text, draw.choice(NASTY_CONCEPTS))])
        path = tmp_path / f"case{suffix}"
        path.write_bytes(mangled(draw, FORMATS[suffix](draw, rows)))
        options = draw.choice([{}, {}, {}, {"limit_per_concept": 2}, {"holdout": 0.5}, {"text_column": "2"}])
        check_outcome(lambda path=path, options=options: load_corpus(path, **options), f"{suffix} {number}")
        assert arrow.bytes_allocated() < PEAK, f"{suffix} {number}"


def test_files_that_are_something_else(tmp_path: Path) -> None:
    """Every format's bytes under every other's name, and noise."""
    draw = generator("corpora mixed")
    for number in range(count(40, 1000)):
        made, called = draw.choice(list(FORMATS)), draw.choice([*FORMATS, ".JSONL", ".gz", ".txt", ""])
        data = draw.randbytes(draw.randrange(4000)) if draw.random() < 0.3 else FORMATS[made](draw, EXAMPLES)
        path = tmp_path / f"case{called}"
        path.write_bytes(data)
        check_outcome(lambda path=path: load_corpus(path), f"{made} as {called or 'nothing'} {number}")
        path.unlink()


def test_large_ones(tmp_path: Path) -> None:
    """Long lines, many fields, many columns, deep values and a quote that never closes, of some megabytes each."""
    size = count(2_000_000, 30_000_000)
    cases = {
        "line.jsonl": b"x" * size,
        "string.jsonl": b'{"text": "' + b"x" * size,
        "deep.jsonl": b'{"text": ' + b"[" * size,
        "keys.jsonl": b"{" + b",".join(b'"%d": 1' % i for i in range(size // 40)) + b"}",
        "blank.jsonl": b"\n" * size,
        "quote.csv": b'text,concept\n"' + b"x\n" * (size // 2),
        "fields.csv": b"," * (size // 20),
        "columns.csv": b",".join(b"c%d" % i for i in range(size // 40)) + b"\n",
        "returns.csv": b"text,concept\r" + b"\r" * size,
        "names.csv": b"text,concept\n" + b"".join(b"t,c%d\n" % i for i in range(size // 40)),
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        started = time.monotonic()
        with pytest.raises(AtlasError) as caught:
            load_corpus(path)
        assert len(str(caught.value)) < 2000 and "\n" not in str(caught.value), name
        assert time.monotonic() - started < HANG * count(1, 6), name
        path.unlink()
