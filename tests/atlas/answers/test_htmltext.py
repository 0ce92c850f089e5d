"""Answers in a notebook: every value is there, hostile texts are words, and what is left out is counted."""

from __future__ import annotations

from html.parser import HTMLParser

from atlas.answers.htmltext import MOST_ROWS
from atlas.answers.result import Document, Result

HOSTILE = "<script>alert(1)</script>&\"'"


class Reader(HTMLParser):
    """Tags, and the text of each cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def test_a_result_is_a_table_of_its_shown_columns() -> None:
    result = Result(
        ["address", "share", "hidden"],
        [("L1N2", 0.25, 1), (HOSTILE, None, 2)],
        ["of <i>x</i>"],
        shown=["address", "share"],
    )
    read = Reader(result._repr_html_())
    assert read.cells[:4] == ["address", "share", "L1N2", "0.2500"]
    assert HOSTILE in read.cells and "script" not in read.tags and "i" not in read.tags
    assert "1" not in read.cells[2:]


def test_more_rows_are_counted() -> None:
    html = Result(["n"], [(n,) for n in range(MOST_ROWS + 3)])._repr_html_()
    assert html.count("<tr>") == MOST_ROWS + 1 and "3 more rows" in html


def test_a_document_has_its_fields_and_sections() -> None:
    document = Document({"model": HOSTILE}, {"fits": Result(["n"], [(3,)]), "none": Result(["n"], [])}, ["a note"])
    read = Reader(document._repr_html_())
    assert read.cells[:2] == ["model", HOSTILE]
    assert "h4" in read.tags and document._repr_html_().count("<h4>") == 1
