"""A table for people. The only place that loads rich."""

from __future__ import annotations

import io
import sys
from typing import BinaryIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from atlas.answers.cells import TOKEN_COLUMNS, cell, heading, is_number
from atlas.answers.result import Document, Result

# Without a terminal the width is fixed, so that a redirected table is the same everywhere.
PLAIN_WIDTH = 100
SHORT = 20
# A column whose text may be broken gets at least this much.
FOLDED = 8
# Columns stand this far apart.
GAP = 2
# Stands for a space inside a token until lines are broken; `cell` escapes a real one.
NO_BREAK = "\ue000"


def write(result: Result, stream: BinaryIO) -> None:
    """The rows as a table, as wide as the terminal or 100 columns without one; wider where numbers need it."""
    console = _console()
    _print(console, result.narrow())
    _flush(console, stream)


def write_document(document: Document, stream: BinaryIO) -> None:
    """The fields as lines, then each section as a titled table; empty sections are left out."""
    console, document = _console(), document.narrow()
    width = max(map(len, document.fields), default=0)
    for name, value in document.fields.items():
        console.print(Text(f"{name.replace('_', ' '):<{width}}  {cell(name, value)}"))
    for title, result in document.sections.items():
        if result.rows:
            gap = "\n" if console.file.getvalue() else ""
            console.print(Text(f"{gap}{title.replace('_', ' ')}", style="bold"))
            _print(console, result.narrow())
    _flush(console, stream)


def _print(console: Console, result: Result) -> None:
    """The table in the console's width, or in what it needs: rich would cut numbers and names without a sign."""
    table = _table(result)
    needed = GAP * (len(table.columns) - 1)
    for column in table.columns:
        widest = max(cell_len(str(text)) for text in (column.header, *column.cells))
        needed += widest if column.no_wrap else min(widest, FOLDED)
    own_width = console.width
    console.width = max(own_width, needed)
    console.print(table)
    console.width = own_width


def _table(result: Result) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False, collapse_padding=True)
    for position, name in enumerate(result.columns):
        values = [row[position] for row in result.rows]
        numeric = all(map(is_number, values))
        table.add_column(
            Text(heading(name)),
            justify="right" if numeric and values else "left",
            overflow="fold",
            no_wrap=numeric or all(map(_is_short, values)),
        )
    for row in result.rows:
        table.add_row(*(_text(name, value) for name, value in zip(result.columns, row, strict=True)))
    return table


def _is_short(value: object) -> bool:
    """Whether a cell is kept on one line; long texts and lists share what width is left."""
    return not isinstance(value, list | tuple | dict) and len(str(value)) <= SHORT


def _text(column: str, value: object) -> Text:
    """The cell; a space inside a quoted token does not break the line."""
    text = cell(column, value)
    if column in TOKEN_COLUMNS:
        items = value if isinstance(value, list | tuple) else [value]
        text = " ".join(cell(column, item).replace(" ", NO_BREAK) for item in items)
    return Text(text)


def _console() -> Console:
    terminal = sys.stdout.isatty()
    return Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=None if terminal else PLAIN_WIDTH,
        highlight=False,
        emoji=False,
        markup=False,
    )


def _flush(console: Console, stream: BinaryIO) -> None:
    text = console.file.getvalue().replace(NO_BREAK, " ")
    stream.write("".join(line.rstrip() + "\n" for line in text.splitlines()).encode("utf-8", "replace"))
