"""The comparer of outputs sees planted differences and overlooks rounding."""

from __future__ import annotations

import pytest

from tests.docs.outputs import first_difference

TABLE = """\
address    lower  upper  leakage  n   tokens
───────────────────────────────────────────────
L27N34   -5.073  1.720   0.3333  47  " animal"
L29N808   0.0060  13.0   1.000   46  "dog" "2.5"
note: 2 edits (set=0) at mlp_post in 2 layers, 27 to 29
"""


def test_the_same_is_the_same() -> None:
    assert first_difference(TABLE, TABLE) is None
    assert first_difference("", "") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-5.073", "-5.072"),
        ("0.3333", "0.3331"),
        ("1.720", "1.72"),
        ("13.0", "13"),
        ("0.0060", "0.0061"),
        ("1.000", "0.9996"),
        ("L27N34   -5.073", "L27N34 -5.073"),
        ("───────────────────────────────────────────────", "──────────────────"),
    ],
)
def test_rounding_and_widths_are_overlooked(old: str, new: str) -> None:
    assert old in TABLE
    assert first_difference(TABLE, TABLE.replace(old, new)) is None


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        (3, "-5.073", "5.073"),
        (3, "-5.073", "-5.2"),
        (3, "0.3333", "0.35"),
        (3, "0.3333", "-"),
        (3, "0.3333", "nan"),
        (3, " 47 ", " 48 "),
        (3, "L27N34", "L27N35"),
        (3, "L27N34", "L28N34"),
        (3, '" animal"', '"animal"'),
        (3, '  " animal"', ""),
        (4, '"2.5"', '"2.51"'),
        (4, '"dog" ', '"dog" "cat" '),
        (1, "leakage", "coverage"),
        (5, "set=0", "set=1"),
        (5, "27 to 29", "27 to 28"),
        (5, "note: 2", "note: 3"),
    ],
)
def test_planted_differences_are_found_and_said(line: int, old: str, new: str) -> None:
    assert old in TABLE
    for page, now in ((TABLE, TABLE.replace(old, new)), (TABLE.replace(old, new), TABLE)):
        said = first_difference(page, now)
        assert said is not None and said.startswith(f"line {line}: ")
        assert page.splitlines()[line - 1] in said and now.splitlines()[line - 1] in said


def test_a_missing_line_is_found_on_either_side() -> None:
    shorter = "".join(TABLE.splitlines(keepends=True)[:-1])
    assert "only the page goes on\n  note: 2 edits" in (first_difference(TABLE, shorter) or "")
    assert "only the output of now goes on\n  note: 2 edits" in (first_difference(shorter, TABLE) or "")


def test_a_whole_number_is_a_count_even_when_it_is_large() -> None:
    assert first_difference("rows 8847360", "rows 8847361") == (
        "line 1: 8847360 on the page, 8847361 now\n  page: rows 8847360\n  now:  rows 8847361"
    )
