"""The pages that ask a model with a real one behind them: the packaged model reads, explains, runs and is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atlas.packaged import model_file
from tests.browser.conftest import _need, running

MODEL = "smollm2-135m"
pytestmark = pytest.mark.skipif(model_file(MODEL) is None, reason=f"not fetched; run: neuron-atlas fetch {MODEL}")
PROMPT = "My favourite animal is the"
KNOWN = 0.02016
"""The probability of " dog" after it: tests/real_models/test_smollm2_live.py has it from plain transformers."""


@pytest.fixture(scope="module")
def home(browser, tmp_path_factory: pytest.TempPathFactory):
    """A server of a small atlas of the model, last layers only, with the model loaded."""
    _need("starlette")
    from atlas.live import loading
    from builders.config import ConceptSource
    from builders.serving.model import ServedModel
    from tests.end_to_end.workbench import PETS, SPORT, STATE, built

    room = tmp_path_factory.mktemp("packaged")
    named = (("dog", PETS), ("team", SPORT), ("vote", STATE))
    rows = [{"text": text, "concept": name} for name, texts in named for text in texts]
    corpus, texts = room / "words.jsonl", room / "texts.txt"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts.write_text("\n".join([*PETS, *SPORT, *STATE]))
    live = loading.load(MODEL, device="cpu")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loading, "load", lambda *_, **__: live)  # once: it takes longer than all else here
        path = built(
            Path(MODEL),
            room / "small.duckdb",
            None,
            concepts=(ConceptSource(str(corpus), template="{text} is about"),),
            texts=(str(texts),),
            layers=(28, 29),
            holdout=0.4,
            permutations=20,
            decode=False,
            batch_tokens=512,
        )
    model = ServedModel(live)
    with running([path], model) as address:
        yield f"{address}/small/"
    model.close()


def test_a_text_of_ones_own_is_read(page, home) -> None:
    page.goto(f"{home}neuron/L29N808")
    page.get_by_role("link", name="Try a text").click()
    page.get_by_label("Text").fill("The dog barked at the postman.")
    page.get_by_role("button", name="Read").click()
    page.locator(".read .t").first.wait_for()
    tokens = page.locator(".read .t").all()
    assert [token.inner_text().strip() for token in tokens] == "The dog bark ed at the post man .".split()
    values = {token.inner_text().strip(): token.get_attribute("data-value").replace("−", "-") for token in tokens}
    assert all(abs(float(value)) < 100 for value in values.values())
    assert len({*values.values()}) > 5
    assert page.locator("table.fired tbody").count() == len(tokens)
    assert page.locator("table.fired .address").first.inner_text()[:4] in ("L28N", "L29N")
    page.keyboard.press("Tab")
    page.locator(".read .t").nth(1).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.value") == tokens[2].get_attribute("data-value")


def test_a_prediction_is_explained_and_becomes_a_spec(page, home) -> None:
    page.goto(f"{home}explain")
    page.get_by_label("Prompt").fill(PROMPT)
    page.get_by_label("Neurons", exact=True).fill("3")
    page.get_by_role("button", name="Explain").click()
    page.locator("table.held").wait_for()
    assert page.locator("table.held tbody tr").count() == 3
    assert all(float(text.replace("−", "-")) == float(text.replace("−", "-")) for text in measured(page))
    page.get_by_role("link", name="Put them into a spec").click()
    assert "/spec?" in page.url
    for address in page.locator("table.held .address").all_inner_texts():
        assert address in page.locator("main").inner_text()


def measured(page) -> list[str]:
    return page.locator("table.held tbody td:nth-child(3) .figure").all_inner_texts()


def test_a_spec_is_run_before_and_after_as_it_is_written(page, home) -> None:
    page.goto(f"{home}spec?by=neurons&neuron=L29N808&op=set&value=-30&bounds=none&positions=all")
    page.get_by_role("textbox", name="Prompt").fill(PROMPT)
    page.get_by_label("New tokens").fill("4")
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("[data-part=after]").first.wait_for()
    page.get_by_role("button", name="Stop").wait_for(state="hidden")
    before, after = (page.locator(f"[data-part={name}]").first.inner_text() for name in ("before", "after"))
    assert before and after and before != after
    row = page.locator("[data-part=table] tr", has_text="dog").first.inner_text()
    assert f"{100 * KNOWN:.1f}" in row, row


def test_an_evaluation_shows_how_far_it_is_and_can_be_cancelled(page, home) -> None:
    page.goto(f"{home}spec?by=neurons&neuron=L29N808&op=set&value=-30&concept=dog&bounds=none")
    page.get_by_label("Texts a concept").fill("1")
    page.get_by_label("Other texts").fill("1")
    page.get_by_role("button", name="Evaluate").click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.get_by_role("progressbar").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("stopped").wait_for()
    page.get_by_role("button", name="Evaluate").click()
    page.locator("table.scores").wait_for()
    page.get_by_role("button", name="Cancel").wait_for(state="hidden")
    accuracy = page.locator("table.scores tr", has_text="accuracy").first.locator("td.figure").first.inner_text()
    assert 0 <= float(accuracy.split()[0]) <= 1
