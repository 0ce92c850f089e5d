"""A page's twins: the same as data, at its own address with .json, .csv or .parquet."""

from __future__ import annotations

import io

from starlette.responses import Response

from atlas.answers.formats import writer
from atlas.answers.result import Document, Result
from atlas.errors import UsageError
from queries.web.page import Page
from queries.web.previews import SUFFIX as PICTURE

EVENTS = ".events"
TWINS = {"json": "application/json", "csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def twin_of(text: str) -> tuple[str, str | None]:
    """('concept name', format) of the last part of an address: 'sports.json' -> ('sports', 'json')."""
    stem, dot, suffix = text.rpartition(".")
    return (stem, suffix) if dot and stem and (suffix in TWINS or suffix == PICTURE) else (text, None)


def data(page: Page, twin: str) -> Response:
    """The page in that format. Raises its problem, where it has one, and UsageError for a format that it lacks."""
    answer = page.answer
    if page.problem is not None:
        raise page.problem
    if page.file is not None and twin == "json":
        name, text = page.file
        return Response(text, media_type=TWINS[twin], headers={"Content-Disposition": f'attachment; filename="{name}"'})
    if answer is None or (isinstance(answer, Document) and twin != "json"):
        raise UsageError(f"this page has no {twin}", "Documents of several tables are given as JSON.")
    stream = io.BytesIO()
    writer(twin if isinstance(answer, Result) else f"document_{twin}")(answer, stream)
    return Response(stream.getvalue(), media_type=TWINS[twin])
