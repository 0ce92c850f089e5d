"""Tables, fields, headings and messages of texts of every kind: what stands beside one never moves.

Widths are counted by tests.hostile.tables, which asks neither rich nor atlas.printable.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from itertools import pairwise

import pytest
from pyarrow import ipc, parquet
from rich.cells import cell_len

from atlas.answers import table
from atlas.answers.cells import LIST_WIDTH, TOKEN_LIST_WIDTH, TOKEN_WIDTH, cell
from atlas.answers.formats import writer
from atlas.answers.result import Document, Result
from atlas.printable import TEXT_WIDTH, printable, say, width
from tests.hostile.counts import count, generator
from tests.hostile.tables import CLASSES, HALVES, assert_settled, hostile_text, slots

ALONE = [text for texts in (*CLASSES.values(), HALVES) for text in texts]
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"')


def written(result: Result | Document, name: str) -> bytes:
    stream = io.BytesIO()
    writer(name)(result, stream)
    return stream.getvalue()


def texts(name: str, halves: bool = True) -> list[str]:
    """Each text of each class alone, and random mixtures."""
    random = generator(name)
    mixed = [hostile_text(random, halves) for _ in range(count(300, 20_000))]
    return [*(text for text in ALONE if halves or text not in HALVES), *mixed]


def test_a_token_reads_back_or_shows_that_it_was_cut() -> None:
    shown: dict[str, str] = {}
    for token in texts("tokens"):
        text = cell("token", token)
        assert len(slots(text)) <= TOKEN_WIDTH, ascii(token)
        assert TOKEN.fullmatch(text), ascii(token)
        if text.endswith('…"'):
            assert token.startswith(ast.literal_eval(text[:-2] + '"')), ascii(token)
        else:
            assert ast.literal_eval(text) == token, ascii(token)
            assert shown.setdefault(text, token) == token


def test_a_text_reads_back_or_shows_that_it_was_cut() -> None:
    shown: dict[str, str] = {}
    for text in texts("texts"):
        found = cell("concept", text)
        assert len(slots(found)) <= TEXT_WIDTH, ascii(text)
        if not re.search(r'…"?\Z', found):
            assert (ast.literal_eval(found) if found[:1] == '"' else found) == text, ascii(text)
            assert shown.setdefault(found, text) == text


def test_lists_end() -> None:
    random = generator("lists")
    for _ in range(count(20, 500)):
        values = [hostile_text(random, halves=True) for _ in range(random.randrange(400))]
        assert len(slots(cell("tokens", values))) <= TOKEN_LIST_WIDTH
        assert len(slots(cell("names", [values, values]))) <= LIST_WIDTH
        assert len(TOKEN.findall(cell("tokens", values[:40]))) == min(40, len(values))


def test_no_table_of_widths_disagrees_about_what_is_shown() -> None:
    shown = 0
    for code in range(0x20, 0x110000, count(13, 1)):
        character = chr(code)
        if printable(character) == character:
            shown += 1
            assert_settled(character)
            assert width(character) == len(slots(character)) == cell_len(character), hex(code)
            # Beside others it takes what it takes alone.
            assert cell_len(f"a{character}{character}日") == 2 * width(character) + 3, hex(code)
        else:
            assert printable(character).isascii()
    assert shown > count(10_000, 130_000)


@pytest.mark.parametrize("room", [40, 80, 100])
def test_every_line_of_a_table_has_the_same_columns(room: int, monkeypatch) -> None:
    monkeypatch.setattr(table, "PLAIN_WIDTH", room)
    random = generator(f"table {room}")
    for _ in range(count(15, 600)):
        rows = [
            (
                1_000_000 + row,
                hostile_text(random, halves=True),
                [hostile_text(random, halves=True) for _ in range(random.randrange(4))],
                hostile_text(random, halves=True),
                row + 1.5,
            )
            for row in range(random.randrange(1, 6))
        ]
        check_columns(Result(["n", "token", "reads", "text", "share"], rows), room)


def check_columns(result: Result, room: int) -> None:
    heading, rule, *lines = written(result, "table").decode().splitlines()
    places = [heading.index(name) for name in result.columns]
    starts = [0, *places[1:4], len(rule) - 5]
    assert len(rule) == len(heading)
    # Only numbers and short texts may need more than the room.
    assert len(rule) <= room or max(end - start - 2 for start, end in pairwise(starts[1:])) <= 20
    found, numbers = [], iter(result.rows)
    for line in lines:
        filled = slots(line)
        filled += [" "] * (len(rule) - len(filled))
        assert len(filled) == len(rule), line
        for start in starts[1:4]:
            assert filled[start - 2 : start] == [" ", " "], line
        parts = ["".join(filled[start:end]).strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        if parts[0]:
            row = next(numbers)
            assert (parts[0], parts[-1]) == (str(row[0]), cell("share", row[-1]))
            found.append([])
        else:
            assert not parts[-1], "a number below its row"
        assert not TOKEN.sub("", parts[1]).strip() and not TOKEN.sub("", parts[2]).strip(" …"), "a broken token"
        found[-1] += TOKEN.findall(parts[2])
    assert next(numbers, None) is None
    for row, tokens in zip(result.rows, found, strict=True):
        assert len(tokens) == len(row[2])


def test_fields_headings_and_messages_are_as_safe(capsys) -> None:
    random = generator("fields")
    for _ in range(count(60, 3000)):
        values = {f"field_{number}": hostile_text(random, halves=True) for number in range(4)}
        lines = written(Document(values, {}), "document_table").decode().splitlines()
        assert [line[:7] for line in lines if not line.startswith("  ")] == [f"field {number}" for number in range(4)]
        assert max(len(slots(line)) for line in lines) <= 100
        heading = hostile_text(random, halves=True)
        first, rule, row = written(Result([heading, "after"], [(1, 2)]), "table").decode().splitlines()
        assert len(slots(first)) == len(rule) <= TOKEN_WIDTH + 2 + len("after")
        assert len(row) == len(rule) and row.split() == ["1", "2"]
        say("note", heading * 100)
        (said,) = capsys.readouterr().err.removesuffix("\n").split("\n")
        assert len(slots(said)) <= len("note: ") + 4000


def test_formats_for_programs_have_every_text_as_it_is() -> None:
    rows = [(text, [text, text]) for text in texts("formats", halves=False)]
    result = Result(["token", "tokens"], rows)
    values = [{"token": text, "tokens": both} for text, both in rows]
    assert json.loads(written(result, "json")) == values
    assert [json.loads(line) for line in written(result, "jsonl").decode().split("\n")[:-1]] == values
    cells = list(csv.reader(io.StringIO(written(result, "csv").decode(), newline="")))[1:]
    assert [(text, json.loads(both)) for text, both in cells] == rows
    assert parquet.read_table(io.BytesIO(written(result, "parquet"))).to_pylist() == values
    assert ipc.open_file(io.BytesIO(written(result, "arrow"))).read_all().to_pylist() == values


def test_the_test_can_fail() -> None:
    for bad in ("\x1b", "\u0301", "\u202e", "\u05d0", "\ufe0f", "\ue000", "\u200d", "\ud800", "🇩", "\u3000"):
        with pytest.raises(AssertionError):
            slots(f"a{bad}b")
    assert len(slots("a日b")) == 4
