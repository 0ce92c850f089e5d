"""A table for people. The only place that loads rich."""

from __future__ import annotations

import io
import sys
from typing import BinaryIO

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from atlas.answers.cells import cell
from atlas.answers.columns import GAP, NO_BREAK, columns
from atlas.answers.result import Document, Result

# Without a terminal the width is fixed, so that a redirected table is the same everywhere.
PLAIN_WIDTH = 100
# A field of a document has lines of its own: a path and a list of versions are whole.
FIELD_WIDTH = 400
INDENT = "  "


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
        _print_field(console, f"{name.replace('_', ' '):<{width}}  {cell(name, value, FIELD_WIDTH)}")
    for title, result in document.sections.items():
        if result.rows:
            gap = "\n" if _printed(console) else ""
            console.print(Text(f"{gap}{title.replace('_', ' ')}", style="bold"))
            _print(console, result.narrow())
    _flush(console, stream)


def _print_field(console: Console, text: str) -> None:
    """The field in as many lines as it takes; none but the first begins where the names of fields do."""
    lines = Text(text).wrap(console, max(1, console.width - len(INDENT)), overflow="fold")
    filled = (line for line in lines if line.plain.strip())  # rich ends a line twice that wide characters fill
    console.print(Text("\n" + INDENT).join(filled), soft_wrap=True)


def _print(console: Console, result: Result) -> None:
    """The table in the console's width, or in what it needs: rich would cut numbers and names without a sign."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False, collapse_padding=True)
    own_width = console.width
    laid_out = columns(result, own_width)
    for column in laid_out:
        side: JustifyMethod = "right" if column.numeric else "left"
        table.add_column(
            Text(column.heading), justify=side, overflow="fold", no_wrap=not column.folds, width=column.width
        )
    for texts in zip(*(column.texts for column in laid_out), strict=True):
        table.add_row(*map(Text, texts))
    console.width = max(own_width, sum(column.width + GAP for column in laid_out) - GAP)
    console.print(table)
    console.width = own_width


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


def _printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)  # of _console
    return console.file.getvalue()


def _flush(console: Console, stream: BinaryIO) -> None:
    text = _printed(console).replace(NO_BREAK, " ")
    stream.write("".join(line.rstrip() + "\n" for line in text.splitlines()).encode("utf-8", "replace"))
