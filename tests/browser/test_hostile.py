"""Texts of an atlas that would like to be markup, and a file that changes under the server."""

from __future__ import annotations

import shutil

import duckdb
import pytest

from tests.atlas_factory import write_small_atlas
from tests.browser.conftest import running

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\"' onmouseover=alert(1) x='",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "../../etc/passwd",
    "\u202egnihtyna",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A server of an atlas whose tokens and concepts are hostile."""
    path = write_small_atlas(tmp_path_factory.mktemp("hostile") / "small.duckdb", gradients=True, texts=True)
    with duckdb.connect(str(path)) as file:
        file.execute("UPDATE vocab SET token = $hostile[1 + token_id % len($hostile)] || token", {"hostile": HOSTILE})
        file.execute(
            "UPDATE concept SET concept = $hostile[1 + concept_id % len($hostile)] || concept", {"hostile": HOSTILE}
        )
    with running([path]) as address:
        yield f"{address}/small/", path


def test_hostile_texts_are_words(page, hostile) -> None:
    home, _ = hostile
    page.on("dialog", lambda dialog: page.wrong.append(f"a script ran: {dialog.message}"))
    page.goto(home)
    concepts = page.evaluate("[...document.querySelectorAll('.heat th[scope=row] a')].map(link => link.href)")
    assert len(concepts) >= 3
    for address in [*concepts, f"{home}neuron/L1N7", f"{home}search?q=" + "%3Cscript%3Ealert(1)%3C%2Fscript%3E"]:
        answer = page.goto(address)
        assert answer.status == 200
        assert page.locator("main img, main script, main [onerror], main [onmouseover]").count() == 0
        assert page.locator("main").get_by_text("alert(1)").count() >= 1
        assert "49" not in page.locator("h1").inner_text()
    assert page.evaluate("[...document.links].every(link => link.protocol === 'http:')")


def test_a_newer_atlas_is_offered_and_junk_is_not_taken(page, hostile, tmp_path) -> None:
    home, path = hostile
    page.goto(home)
    assert page.locator(".banner").count() == 0

    def shown() -> str:
        return page.request.get(f"{home}atlas.json").json()["atlas_id"]

    old = shown()
    whole = write_small_atlas(tmp_path / "whole.duckdb", seed=5, gradients=True, texts=True)
    junk = tmp_path / "junk"
    junk.write_bytes(b"no atlas" * 1000)
    for file, taken in ((junk, False), (whole, True)):
        shutil.copy(file, path.with_suffix(".new"))
        path.with_suffix(".new").rename(path)
        page.goto(home)
        assert shown() == old  # what was open is served on
        page.get_by_role("button", name="Open the newer one").click()
        if not taken:
            assert "not" in page.locator("main .lead").inner_text()
            page.wrong.clear()
    assert shown() != old
    assert page.locator(".banner").count() == 0
