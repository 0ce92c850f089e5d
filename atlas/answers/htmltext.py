"""HTML of answers, for notebooks: the table that a terminal shows, with notes below. Every text in it is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from atlas.answers.cells import cell, is_number

if TYPE_CHECKING:
    from atlas.answers.result import Document, Result

MOST_ROWS = 50
"""Rows that a notebook shows; the rest is counted."""


def of_result(result: Result) -> str:
    """A table of the columns that a terminal shows, at most MOST_ROWS rows, and the notes."""
    shown = result.narrow()
    head = "".join(f"<th>{escape(name)}</th>" for name in shown.columns)
    body = "".join("<tr>" + "".join(map(_cell, shown.columns, row)) + "</tr>" for row in shown.rows[:MOST_ROWS])
    notes = list(result.notes)
    if len(shown.rows) > MOST_ROWS:
        notes.append(f"{len(shown.rows) - MOST_ROWS:,} more rows")
    if result.truncated_by is not None:
        notes.append(f"cut after {len(result.rows):,} rows; {result.truncated_by.lstrip('-')} lifts this")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{_notes(notes)}"


def of_document(document: Document) -> str:
    """The fields as a table of two columns, then each section under its name."""
    shown = document.narrow()
    fields = "".join(f"<tr><th>{escape(name)}</th>{_cell(name, value)}</tr>" for name, value in shown.fields.items())
    sections = "".join(
        f"<h4>{escape(name)}</h4>{of_result(section)}" for name, section in shown.sections.items() if section.rows
    )
    return f"<table><tbody>{fields}</tbody></table>{_notes(document.notes)}{sections}"


def _cell(column: str, value: object) -> str:
    side = ' style="text-align: right"' if is_number(value) else ' style="text-align: left"'
    return f"<td{side}>{escape(cell(column, value))}</td>"


def _notes(lines: list[str]) -> str:
    return "".join(f"<p><small>{escape(line)}</small></p>" for line in lines)
