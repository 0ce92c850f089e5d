"""Each page as a person meets it: nothing runs off the side, nothing goes wrong, and axe finds no barrier."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tests.amount import some
from tests.browser.conftest import SHOTS

PAGES = {
    "atlas": "",
    "concept": "concept/sports",
    "neuron": "neuron/L1N7",
    "token": "token/dog",
    "search": "search?q=sports",
    "layers": "layer",
    "layer": "layer/1",
    "compare": "compare?with=other&neuron=L1N7",
    "sql": "sql?q=SELECT+*+FROM+fit",
    "spec": "spec?concept=sports",
    "missing": "neuron/L99N0",
}
AXE = Path(__file__).parent / "vendored" / "axe-4.14.1.min.js"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
SAMPLE = 4
# Where axe looks in a narrow, dark window too: colours and style are the same on every page.
BARRIERS_NARROW = some(PAGES, ("concept", "neuron", "compare", "missing"))
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def test_axe_is_the_vendored_one() -> None:
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == AXE_SHA256
    assert AXE_SHA256 in (AXE.parent / "VENDORED.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_has_no_barrier(sized, home, size, name) -> None:
    answer = sized.goto(home + PAGES[name])
    assert answer.status == (422 if name == "missing" else 200)
    if name == "missing":
        sized.wrong.clear()  # a browser notes every answer that is no 200
    if SHOTS:
        sized.screenshot(path=Path(SHOTS) / f"{name}-{size}.png", full_page=True)
    assert sized.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cut = "[...document.querySelectorAll('td.figure, .share, .address')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert sized.evaluate(f"{cut}.map(e => e.textContent)") == []
    if size == "wide" or name in BARRIERS_NARROW:
        assert barriers(sized) == []


def barriers(page) -> list[tuple[str, list[str]]]:
    """What axe finds on a page: (rule, pieces of HTML)."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", RULES)
    return [(each["id"], [node["html"][:160] for node in each["nodes"]]) for each in found["violations"]]


def test_every_link_leads_somewhere(page, home) -> None:
    """Of the links of each page the first few to each kind of page: the points of a scatter are alike."""
    seen: set[str] = set()
    for name, path in PAGES.items():
        if name != "missing":
            page.goto(home + path)
            by_kind: dict[str, list[str]] = {}
            for link in page.evaluate("[...document.links].map(link => link.href.split('#')[0])"):
                by_kind.setdefault(re.sub(r"\d+", "", link.partition("?")[0]), []).append(link)
            seen |= {link for links in by_kind.values() for link in links[:SAMPLE]}
    assert len(seen) > 40
    wrong = {link: page.request.get(link).status for link in sorted(seen) if link.startswith(home.rsplit("/", 2)[0])}
    assert {link: status for link, status in wrong.items() if status != 200} == {}
    assert all(link.startswith("http://localhost") for link in seen)  # nothing leads elsewhere
