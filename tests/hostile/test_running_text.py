"""Running text that no builder writes: rows of it in an atlas, and files to read it from."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasError, UsageError
from atlas.schema.exemplar_tables import EXEMPLAR_TABLES
from atlas.store.reader import open_atlas
from atlas.store.verify import BROKEN, checks_of
from builders.exemplars.documents import PIECE, pieces
from queries.card import neuron_card
from queries.exemplars import exemplars
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import FULL, count, generator
from tests.hostile.tables import hostile_text

CASES = count(12, 600)
QUESTIONS = {
    "card": lambda atlas: neuron_card(atlas, "L1N7"),
    "exemplars": lambda atlas: exemplars(atlas, "L1N7"),
    "bands": lambda atlas: exemplars(atlas, "L0N3", kind="band", width=40),
    "view": lambda atlas: atlas.query("SELECT * FROM exemplar WHERE layer = 1 AND neuron = 7"),
    "firing": lambda atlas: atlas.query("SELECT * FROM firing WHERE layer = 1"),
}
VALUES = {
    "VARCHAR": ["''", "'\\x1b[31m'", "repeat('x', 70000)"],
    "BLOB": ["''::BLOB", "'\\x01'::BLOB", "repeat('x', 70000)::BLOB", "'\\x00\\xFF'::BLOB"],
    "FLOAT": ["'nan'", "'inf'", "-1e30", "0"],
    "DOUBLE": ["'nan'", "'inf'", "-1e300", "0"],
    "BOOLEAN": ["NOT words"],
}
NUMBERS = ["-1", "0", "7", "2147483647", "-2147483648", "123456"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb", texts=True, intervals=False)


def asked(path: Path) -> dict[str, str]:
    """Question -> its answer or refusal; anything else comes through."""
    found = {}
    try:
        with open_atlas(path) as atlas:
            for name, ask in QUESTIONS.items():
                try:
                    found[name] = repr(ask(atlas))
                except AtlasError as error:
                    assert "\n" not in str(error)
                    found[name] = f"refused: {error}"
    except AtlasError as error:
        found = dict.fromkeys(QUESTIONS, f"refused: {error}")
    return found


@pytest.fixture(scope="module")
def answers(whole: Path) -> dict[str, str]:
    return asked(whole)


def mangle(path: Path, rng: random.Random) -> str:
    """Change values of one column of one table about running text; returns the statement."""
    table = rng.choice([table for table in EXEMPLAR_TABLES if table.name != "token_count"])
    column = rng.choice(table.columns)
    base, _, length = column.type.partition("[")
    value = rng.choice(VALUES.get(base, NUMBERS))
    if length:
        size = length.rstrip("]") or rng.choice(["0", "1", "16", "70"])
        value = f"(SELECT list({value}) FROM range({size}))::{column.type}"
    ways = [f"UPDATE {table.name} SET {column.name} = {value}", f"DELETE FROM {table.name} WHERE rowid % 3 = 0"]
    ways += [f"INSERT INTO {table.name} SELECT * FROM {table.name}"]
    statement = rng.choice([ways[0], ways[0], ways[0], *ways[1:]])
    with duckdb.connect(str(path)) as connection:
        try:
            connection.execute(statement)
        except duckdb.Error:  # such as a value that its type does not have
            return ""
        connection.execute("DELETE FROM _digest")
    return statement


@pytest.mark.parametrize("case", range(CASES))
def test_mangled_rows_are_answered_or_refused(whole: Path, answers: dict[str, str], tmp_path: Path, case: int) -> None:
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    done = mangle(path, generator(f"running_text/{case}"))
    found, right = asked(path), answers
    if found != right and not done.startswith(("UPDATE _text SET document", "UPDATE _text SET source")):
        allowed = ("_text_set SET run_id", "_text_set SET seed", "_text_set SET sha256", "_text SET start")
        if not any(each in done for each in allowed):
            assert [check.name for check in checks_of(path) if check.result == BROKEN], done


# Of those that are done together none breaks the rule of another.
TOGETHER: list[dict[str, str]] = [
    {
        "UPDATE _text SET tokens = [40 for x in tokens]": "tokens of texts are of the vocabulary",
        "UPDATE _text SET tokens = tokens[2:]": "texts have their tokens where words are stored",
        "UPDATE _exemplar SET position = [12 for x in position]": "exemplars are at a token of a text that is there",
        "UPDATE _exemplar SET value = ['nan'::FLOAT for x in value]": "values of exemplars are finite and in order",
        "UPDATE _exemplar SET windows = '\\x00'::BLOB WHERE kind = 2": "exemplars have the windows of their kind",
        "UPDATE _exemplar SET neuron = neuron + 100": "exemplars are of a neuron of their site",
        "UPDATE _firing SET positive = 481": "firing counts within its tokens",
        "UPDATE _firing SET quantiles = list_reverse(quantiles)": "quantiles rise",
        "DELETE FROM _firing WHERE neuron = 3": "firing is of all neurons of its layers",
        "INSERT INTO _text_set SELECT * FROM _text_set": "running text is read once",
        "UPDATE token_count SET token_id = -1": "tokens are counted once, and only where words are stored",
    },
    {
        "UPDATE _text SET tokens = [-1 for x in tokens]": "tokens of texts are of the vocabulary",
        "UPDATE _exemplar SET text_id = [x + 40 for x in text_id]": "exemplars are at a token of a text that is there",
        "UPDATE _exemplar SET value = list_reverse(value) WHERE kind = 1":
            "values of exemplars are finite and in order",
        "UPDATE _firing SET mean = 'inf'": "firing is finite",
        "UPDATE _text_set SET words = false": "texts have their tokens where words are stored",
    },
    {
        "UPDATE _exemplar SET kind = 11": "exemplars are no more than their kind has",
    },
]  # fmt: skip
ALONE = [{statement: rule} for together in TOGETHER for statement, rule in together.items()]


@pytest.mark.parametrize("promises", ALONE if FULL else TOGETHER)
def test_every_promise_is_checked(whole: Path, tmp_path: Path, promises: dict[str, str]) -> None:
    path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
    with duckdb.connect(str(path)) as connection:
        for statement in promises:
            connection.execute(statement)
        connection.execute("DELETE FROM _digest")
    assert set(promises.values()) <= {check.name for check in checks_of(path) if check.result == BROKEN}
    asked(path)


def test_documents_of_any_text_come_back_whole(tmp_path: Path) -> None:
    rng = generator("documents")
    texts = [hostile_text(rng).replace("\0", "") * rng.choice([1, 40]) for _ in range(count(60, 2000))]
    texts += ["x" * (2 * PIECE + 7), "word " * PIECE, "line\n" * PIECE]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    found: dict[int, str] = {}
    for piece in pieces(str(source), "text", None):
        assert 0 < len(piece.text) <= PIECE
        found[piece.number] = found.get(piece.number, "") + piece.text
    assert found == {number: text for number, text in enumerate(texts, start=1) if text.strip()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"\xff\xfe\x00"),
        ("b.txt", b"a\0b"),
        ("c.jsonl", b'{"txt": "a"}\n'),
        ("d.jsonl", b'{"text": 5}\n'),
        ("e.jsonl", b"[1]\n"),
        ("f.parquet", b"PAR1 no"),
        ("g.txt.gz", b"\x1f\x8b"),
        ("h.doc", b"text"),
        ("i.csv", b"text,concept\na,b,c\n"),
    ],
)
def test_files_that_are_no_text_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    with pytest.raises(AtlasError) as refused:
        list(pieces(str(source), "text", None))
    assert "\n" not in str(refused.value) and name in str(refused.value)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for source in (tmp_path / "none.txt", tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(AtlasError):
            list(pieces(str(source), "text", None))
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UsageError, match="split"):
        list(pieces(str(tmp_path / "a.txt"), "text", "train"))
