"""What the type checker is told to overlook: named errors, few, each with a reason; and libraries by their name."""

from __future__ import annotations

import re
import tokenize
import tomllib

import pytest

from tests.architecture.imports import OURS, ROOT, sources

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
# What transformers says wrongly of itself. One more wants a better type first.
MOST_IGNORES = 3
IGNORE = re.compile(r"#\s*type:\s*ignore")
WELL_FORMED = re.compile(r"# type: ignore\[[a-z-]+(, [a-z-]+)*\]  # \S.{9,}")


def comments(package: str) -> list[tuple[str, str]]:
    """(place, text) of every comment of a package that the type checker takes for an order."""
    found = []
    for path in sources(package):
        with tokenize.open(path) as stream:
            for token in tokenize.generate_tokens(stream.readline):
                if token.type == tokenize.COMMENT and IGNORE.search(token.string):
                    found.append((f"{path.relative_to(ROOT)}:{token.start[0]}", token.string))
    return found


ALL = [comment for package in OURS for comment in comments(package)]


def test_an_ignored_error_is_named_and_has_a_reason():
    assert [place for place, text in ALL if not WELL_FORMED.fullmatch(text)] == []


def test_few_errors_are_ignored():
    assert len(ALL) <= MOST_IGNORES, [place for place, _ in ALL]


@pytest.mark.parametrize(
    ("comment", "well"),
    [
        ("# type: ignore", False),
        ("# type: ignore  # the library says nothing", False),
        ("# type: ignore[override]", False),
        ("# type: ignore[override]  # the library hides it", True),
        ("# type: ignore[misc, str-unpack]  # it returns a pair", True),
    ],
)
def test_what_a_good_ignore_is(comment, well):
    assert IGNORE.search(comment) and bool(WELL_FORMED.fullmatch(comment)) == well


def test_the_checker_is_strict_and_overlooks_libraries_by_name_only():
    assert CONFIG["strict"] is True and CONFIG["warn_unused_ignores"] is True
    lenient = {"ignore_errors", "ignore_missing_imports", "disable_error_code", "follow_imports", "exclude"}
    assert CONFIG.keys() & lenient == set()
    for override in CONFIG["overrides"]:
        assert override.keys() == {"module", "ignore_missing_imports"}
        tops = {module.partition(".")[0] for module in override["module"]}
        assert tops and tops & {"*", *OURS} == set()


@pytest.mark.parametrize("package", OURS)
def test_the_packages_that_are_checked_say_so_to_others(package):
    assert (ROOT / package / "py.typed").exists() == (package in CONFIG["packages"])
