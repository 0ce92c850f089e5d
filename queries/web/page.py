"""What a page is, before it is drawn: its title, what its template is told, and the answer that its twins give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from atlas.answers.result import Document, Result
from atlas.errors import AtlasError


@dataclass(frozen=True)
class Page:
    """One page of the explorer.

    `context` is what the template is told. `answer` is the same as data: the page's address with .json gives it, and
    with .csv or .parquet its table. `command` asks the same on the command line, `sql` the same (or its main part) in
    SQL. `preview` is the address of a picture that stands for the page where somebody posts a link to it.
    `file`: (name, text) of a JSON file that the page makes, which its address with .json gives in place of an answer.
    `address` is the page's own where others ask the same; the browser shows it after parts of the page were changed.
    `problem` is why there is no answer, where the page itself says so beside a form: its twins are then this error.
    """

    title: str
    template: str
    context: dict[str, Any] = field(default_factory=dict)
    answer: Result | Document | None = None
    command: str | None = None
    sql: str | None = None
    preview: str | None = None
    file: tuple[str, str] | None = None
    address: str | None = None
    problem: AtlasError | None = None
