"""The SQL console: one statement in the sandbox, its answer as a table, a picture and a file."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from atlas.answers.cells import number as written
from atlas.answers.result import Result
from atlas.errors import AtlasError, UnknownNameError, UsageError
from atlas.sites import format_neuron, parse_neuron
from queries.sandbox.sandbox import run_sql
from queries.web.asked import Asked
from queries.web.charts.bars import Bars, bars_of
from queries.web.charts.scatter import Scatter, points_of
from queries.web.commands import command
from queries.web.page import Page
from queries.web.sql_help import EXAMPLES, MACROS, relations

MOST_CHARACTERS, ROWS, TIMEOUT_S, MOST_MB = 6000, 10_000, 10.0, 8
"""Of a statement that is sent in an address; and the limits of the sandbox here: rows, seconds, MiB of answer."""
SHOWN_ROWS, SHOWN_COLUMNS, MOST_BARS = 200, 40, 60


def sql_page(asked: Asked) -> Page:
    """The answer to the statement in `q`, drawn by the columns `x` and `y` where they are named."""
    found: Result | None = None
    failure: AtlasError | None = None
    chart: Scatter | Bars | None = None
    problem = ""
    statement = ""
    try:
        statement = asked.text("q", MOST_CHARACTERS) or ""
        if statement:
            found = run_sql(asked.atlas, statement, max_rows=ROWS, timeout_s=TIMEOUT_S, max_mb=MOST_MB)
    except AtlasError as error:
        failure = error
    across, up = asked.text("x", 200), asked.text("y", 200)
    if found is not None and (across or up):
        try:
            chart = _chart(asked, found, across, up)
        except AtlasError as error:
            problem = _line(error)
    context: dict[str, Any] = {
        "statement": statement,
        "found": found,
        "shown": None if found is None else _shown(found),
        "problem": "" if failure is None else _line(failure),
        "chart": chart,
        "not_drawn": problem,
        "across": across,
        "up": up,
        "numeric": [] if found is None else [name for name in found.columns if _numbers(found, name)],
        "relations": relations(),
        "macros": MACROS,
        "examples": EXAMPLES,
        "limits": (ROWS, TIMEOUT_S, MOST_MB),
        "most": MOST_CHARACTERS,
    }
    asks = command(asked.atlas, "sql", statement) if statement else None
    return Page("SQL", "sql.html", context, found, asks, problem=failure)


def _line(error: AtlasError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message


def _shown(found: Result) -> Result:
    """What the page prints of an answer: the whole is there as data."""
    names = found.columns[:SHOWN_COLUMNS]
    return Result(names, [row[:SHOWN_COLUMNS] for row in found.rows[:SHOWN_ROWS]])


def _numbers(found: Result, name: str) -> bool:
    """Whether a column holds numbers, and at least one."""
    values = [value for value in found.column(name) if value is not None]
    return bool(values) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in values
    )


def _chart(asked: Asked, found: Result, across: str | None, up: str | None) -> Scatter | Bars:
    """Points where both columns are of numbers, bars where the first names things. UsageError for another column."""
    for name in (across, up):
        if name is None:
            raise UsageError("two columns make a picture", "Choose both.")
        if name not in found.columns:
            raise UnknownNameError("column", name, found.columns)
    assert across is not None and up is not None
    if not _numbers(found, up):
        raise UsageError(f"the column {up!r} is not one of numbers", "Choose one that is for the upward axis.")
    pairs = list(zip(found.dicts(), found.column(across), found.column(up), strict=True))
    if not _numbers(found, across):
        listed = [(str(name), float(value)) for _, name, value in pairs if value is not None and _finite(value)]
        if not listed:
            raise UsageError("no row has a finite number to draw")
        return bars_of(listed[:MOST_BARS], len(listed))
    points = [(float(x), float(y), row) for row, x, y in pairs if _finite(x) and _finite(y)]
    if not points:
        raise UsageError("no row has two finite numbers to draw")
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]

    def told(index: int) -> tuple[str, str | None]:
        x, y, row = points[index]
        return f"{_name(row)}{written(x)}, {written(y)}", _to(asked, row)

    return points_of([(x, y) for x, y, _ in points], told, (min(xs), max(xs)), (min(ys), max(ys)))


def _finite(value: Any) -> bool:
    """Whether it is a number that a picture has a place for: no whole number is too large for a DOUBLE here."""
    return value is not None and abs(value) < 1e300


def _neuron(row: dict[str, Any]) -> str | None:
    """The neuron that a row is about: its columns layer and neuron, or one called address."""
    layer, neuron = row.get("layer"), row.get("neuron")
    if isinstance(layer, int) and isinstance(neuron, int) and 0 <= layer < 10**6 and 0 <= neuron < 10**9:
        return format_neuron(layer, neuron)
    address = row.get("address")
    if isinstance(address, str):
        try:
            return format_neuron(*parse_neuron(address))
        except UsageError:
            return None
    return None


def _name(row: dict[str, Any]) -> str:
    address = _neuron(row)
    return f"{address}: " if address else ""


def _to(asked: Asked, row: dict[str, Any]) -> str | None:
    address = _neuron(row)
    return asked.links.page("neuron", address) if address else None
