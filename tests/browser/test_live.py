"""The pages that ask a model, in a browser. The model says what it is asked (tests/queries/web/stub_live.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import SHOTS, running
from tests.browser.test_looks import barriers

PAGES = {
    "live": "live?text=my+dog+runs&neuron=L1N7",
    "explain": "explain?prompt=The+capital+is",
    "run": "run?concept=sports&prompt=The+match",
    "evaluate": "evaluate?concept=sports",
}


@pytest.fixture(scope="module")
def home(atlases):
    """The first page of an atlas whose model answers."""
    pytest.importorskip("starlette")
    from tests.queries.web.stub_live import StubLive

    with running(atlases[:1], StubLive()) as address:
        yield f"{address}/small/"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_has_no_barrier(sized, home, size, name) -> None:
    assert sized.goto(home + PAGES[name]).status == 200
    if SHOTS:
        sized.screenshot(path=Path(SHOTS) / f"{name}-{size}.png", full_page=True)
    assert sized.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert sized.locator("main img, main script").count() == 0
    assert barriers(sized) == []


def test_an_exemplar_is_tried_and_its_tokens_say_their_value(page, home) -> None:
    page.goto(f"{home}neuron/L1N7")
    page.get_by_role("link", name="try it").first.click()
    assert page.get_by_label("Text").input_value()
    first = page.locator(".read .t").nth(1)
    first.focus()
    assert first.get_attribute("data-value")


def test_a_run_comes_piece_by_piece(page, home) -> None:
    page.goto(f"{home}spec?concept=sports")
    page.get_by_role("textbox", name="Prompt").fill("The match")
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("main").get_by_text("after0").first.wait_for()
    assert "before0" in page.locator("main").inner_text()


def test_an_explanation_becomes_a_spec(page, home) -> None:
    page.goto(f"{home}explain?prompt=The+capital+is")
    page.locator("main a[href*='/spec?']").first.click()
    assert "/spec?" in page.url and "L1N7" in page.locator("main").inner_text()
