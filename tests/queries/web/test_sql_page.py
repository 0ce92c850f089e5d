"""The SQL console: what the sandbox answers, in a table, a picture and files; what it refuses, in one line."""

from __future__ import annotations

import html
import re
import shlex
from urllib.parse import urlencode

import anyio
import pytest

from queries.web import app
from queries.web.pages import sql as console
from queries.web.sql_help import EXAMPLES, MACROS, relations

NEURONS = "SELECT layer, neuron, held_out_leakage AS a, held_out_coverage AS b FROM concept_interval WHERE layer = 1"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Processes start slowly on a busy machine."""
    monkeypatch.setattr(console, "TIMEOUT_S", 100.0)


def _ask(visitor, home, suffix="", **query):
    return visitor.get(f"{home}sql{suffix}?{urlencode(query)}")


def test_an_answer_is_a_table_a_picture_and_files(client, home, small):
    expected = small.query(f"{NEURONS} AND concept = 'sports' ORDER BY neuron")[1]
    statement = f"{NEURONS} AND concept = 'sports' ORDER BY neuron"
    page = _ask(client, home, q=statement, x="a", y="b").text
    assert html.unescape(page).count(statement) == 2  # in the field, and for the next picture
    assert f"sql {shlex.quote(statement)} -a" in html.unescape(page)
    chart = page[page.index("chart scatter") : page.index("</svg>", page.index("chart scatter"))]
    assert re.findall(r"/neuron/L1N(\d+)", chart) == [str(row[1]) for row in expected]
    data = _ask(client, home, ".json", q=statement).json()
    assert [(row["neuron"], row["a"]) for row in data] == [(row[1], pytest.approx(row[2])) for row in expected]
    assert _ask(client, home, ".parquet", q=statement).content[:4] == b"PAR1"


def test_names_are_drawn_as_bars(client, home):
    statement = "SELECT * FROM (VALUES ('one', 2), ('<b>two</b>', -1), (NULL, 0.5)) AS t(name, n)"
    page = _ask(client, home, q=statement, x="name", y="n").text
    assert page.count('<rect class="below"') == 1 and "&lt;b&gt;two&lt;/b&gt;" in page and "<b>two" not in page


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("SELEC 1", "syntax error"),
        ("COPY vocab TO '/tmp/stolen.csv'", "refused"),
        ("SELECT repeat('x', 9000000) AS x", "larger than 1 MiB"),
    ],
)
def test_what_is_refused_or_stopped_is_said_in_one_line(client, home, monkeypatch, statement, says):
    monkeypatch.setattr(console, "MOST_MB", 1)
    page = html.unescape(_ask(client, home, q=statement).text)
    said = re.findall(r'<p class="problem" role="alert">([^<]*)</p>', page)
    assert len(said) == 1 and says in said[0] and "\n" not in said[0]
    assert statement in page  # it is still there, to be mended
    data = _ask(client, home, ".json", q=statement)
    assert data.status_code == 422 and says in data.json()["error"]


def test_a_statement_that_takes_too_long_is_stopped(client, home, monkeypatch):
    monkeypatch.setattr(console, "TIMEOUT_S", 0.5)
    endless = "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)"
    assert "stopped: the query ran longer" in _ask(client, home, q=endless).text


def test_rows_and_columns_that_a_page_has_no_room_for_are_in_the_files(client, home):
    statement = "SELECT i" + "".join(f", {n} AS c{n}" for n in range(60)) + " FROM range(300) AS t(i)"
    page = _ask(client, home, q=statement).text
    assert page.count("<tr>") == 1 + console.SHOWN_ROWS and "200 of 300 rows, 40 of 61 columns" in page
    assert len(_ask(client, home, ".csv", q=statement).text.splitlines()) == 301


def test_a_column_that_is_none_is_told(client, home):
    page = _ask(client, home, q="SELECT 1 AS a, 'x' AS b", x="a", y="c").text
    assert "unknown column" in page and "<svg" not in page[page.index('id="answer"') :]
    assert "not one of numbers" in html.unescape(_ask(client, home, q="SELECT 1 AS a, 'x' AS b", x="a", y="b").text)


def test_a_statement_that_is_too_long_is_told(client, home):
    page = _ask(client, home, q="SELECT " + "1 + " * 2000 + "1")
    assert "characters" in page.text


def test_the_examples_are_answered_and_the_schema_is_that_of_the_file(full):
    for each in EXAMPLES:
        columns, rows = full.query(each.sql)
        assert rows or "token_ids" in each.sql
        assert {each.x, each.y} - {None} <= set(columns)
    for each in relations():
        assert [column.name for column in each.columns] == full.query(f"SELECT * FROM {each.name} LIMIT 0")[0]
    defined = {name for (name,) in full.query("SELECT function_name FROM duckdb_functions()")[1]}
    assert {name.partition("(")[0] for name, _ in MACROS} <= defined


def test_long_questions_wait_with_their_like_and_too_many_are_sent_away(client, home, monkeypatch):
    monkeypatch.setattr(app, "MOST_WAITING", 0)
    busy = _ask(client, home, q="SELECT 1")
    assert busy.status_code == 503 and "Ask again" in busy.text
    assert client.get(home).status_code == 200

    async def both() -> tuple[int, int]:
        explorer = client.app.state.explorer
        return explorer.slow.total_tokens, explorer.threads.total_tokens

    assert anyio.run(both) == (app.SLOW, app.WORKERS)
