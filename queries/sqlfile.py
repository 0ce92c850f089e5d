"""The SQL of a question: one file per question, read as package data."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"


@cache
def load_sql(name: str, **clauses: str) -> str:
    """The text of queries/sql/<name>.sql, whose values are named parameters (`$limit`).

    A few questions have a clause that cannot be a parameter, such as ORDER BY: the file then holds
    `{order_by}` and the caller passes a constant of ours for it, never text from a user.
    """
    text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    for clause, sql in clauses.items():
        text = text.replace("{" + clause + "}", sql)
    return text
