"""What a person does: search, filter, walk on by the keyboard, copy a command, read without a script."""

from __future__ import annotations

import shlex

import pytest


@pytest.mark.parametrize(
    ("words", "kind", "what"),
    [("l1n7", "neuron", "L1N7"), ("Sports", "concept", "sports"), ("dog", "token", "dog")],
)
def test_the_box_says_what_it_took(page, home, words, kind, what) -> None:
    page.goto(home)
    page.get_by_role("searchbox").fill(words)
    page.get_by_role("searchbox").press("Enter")
    first = page.locator(".taken a").first
    assert first.inner_text() == what and "taken as" in page.locator(".taken li").first.inner_text()
    first.click()
    assert f"/{kind}/" in page.url
    assert page.locator("h1").inner_text() == what


def test_a_filter_keeps_fewer_neurons(page, home) -> None:
    page.goto(f"{home}concept/sports")
    before = page.locator(".ranked tbody tr").count()
    page.get_by_label("Leakage at most").fill("0.1")
    page.get_by_role("button", name="Show").click()
    leakages = page.locator(".ranked tbody td:nth-child(4)").all_inner_texts()
    assert 0 < len(leakages) < before
    assert all(int(text.split()[0]) <= 10 for text in leakages)
    page.get_by_label("Leakage at most").fill("0")
    page.get_by_label("Coverage at least").fill("1")
    page.get_by_label("Layer").fill("0")
    page.get_by_role("button", name="Show").click()
    assert "Loosen a filter" in page.locator(".empty").inner_text()


def test_the_keyboard_reaches_the_content_and_sees_where_it_is(page, home) -> None:
    page.goto(home)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_command_is_copied_and_runs(page, home) -> None:
    from queries.cli.concept import concept
    from tests.commands import invoke

    page.goto(f"{home}concept/sports")
    page.locator("details.asked summary").click()
    page.locator("details.asked button").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    words = shlex.split(copied)
    assert words[:3] == ["neuron-atlas", "concept", "sports"]
    done = invoke(concept, words[2:])
    assert done.exit_code == 0, done.output
    assert page.locator(".ranked .address").first.inner_text() in done.output


def test_pages_are_read_without_a_script(browser, home) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for path, said in (("", "sports"), ("neuron/L1N7", "Texts that fire it"), ("concept/sports", "L1N7")):
        page.goto(home + path)
        assert said in page.locator("main").inner_text()
    context.close()


def test_neighbours_are_a_click_away(page, home) -> None:
    page.goto(f"{home}neuron/L1N7")
    page.get_by_role("link", name="L1N8 →").click()
    assert page.locator("h1").inner_text() == "L1N8"
    page.get_by_role("link", name="← L1N7").click()
    assert page.locator("h1").inner_text() == "L1N7"


def test_the_spec_builder_ends_in_a_file_that_runs(page, home, tmp_path) -> None:
    from atlas.spec.text import loads

    page.goto(f"{home}neuron/L1N7")
    page.get_by_role("link", name="Make a spec").click()
    page.get_by_label("Number", exact=True).fill("2.5")
    page.get_by_label("Number", exact=True).press("Tab")
    page.locator("main").get_by_text('"value": 2.5').first.wait_for()
    with page.expect_download() as waited:
        page.get_by_role("link", name="Download").click()
    waited.value.save_as(tmp_path / "made.spec.json")
    (edit,) = loads((tmp_path / "made.spec.json").read_text(encoding="utf-8")).edits
    assert (edit.layer, edit.neuron, edit.op, edit.value) == (1, 7, "set", 2.5)
    page.get_by_label("Number", exact=True).fill("much")
    page.get_by_label("Number", exact=True).press("Tab")
    page.get_by_role("link", name="Download").wait_for(state="detached")  # what is wrong cannot be taken away


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY vocab TO '/tmp/out.csv'",
        "ATTACH '/tmp/x.duckdb'",
        "DROP TABLE vocab",
        "SELECT 1; SELECT 2",
        "PRAGMA database_list",
        "not SQL <script>alert(1)</script>",
    ],
)
def test_the_console_refuses_in_a_line(page, home, statement) -> None:
    page.goto(f"{home}sql")
    page.get_by_label("Statement").fill(statement)
    page.get_by_role("button", name="Run").click()
    page.wait_for_load_state()
    said = page.locator("main").inner_text()
    assert "root:" not in said and page.locator("main script").count() == 0
    assert page.locator("main table").count() == 0 and page.locator("[role=alert], .wrong, .problem").count() == 1
    page.wrong.clear()  # a browser notes every answer that is no 200


def test_the_console_answers(page, home) -> None:
    page.goto(f"{home}sql")
    page.get_by_label("Statement").fill("SELECT layer, count(*) AS n FROM neuron_fact GROUP BY layer ORDER BY layer")
    page.get_by_label("Statement").fill("SELECT concept, n FROM fit_concept JOIN concept USING (concept_id)")
    page.get_by_role("button", name="Run").click()
    assert page.locator("main table tbody tr").count() >= 3


def test_the_arrow_keys_go_from_token_to_token(page, home) -> None:
    page.goto(f"{home}neuron/L1N7")
    tokens = page.locator(".exemplars[open] li").first.locator(".t")
    names = ["peak" in (token.get_attribute("class") or "") for token in tokens.all()]
    peak = names.index(True)
    tokens.nth(peak).focus()
    here = "[...document.activeElement.parentNode.querySelectorAll('.t')].indexOf(document.activeElement)"
    for place in [*range(peak - 1, -1, -1), 0]:  # and it stops at the beginning
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(here) == place
    for place in [*range(1, len(names)), len(names) - 1]:
        page.keyboard.press("ArrowRight")
        assert page.evaluate(here) == place
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(("path", "chosen"), [("concept/sports", "concept"), ("token/dog", "token")])
def test_a_spec_begins_at_a_concept_and_at_a_word(page, home, path, chosen) -> None:
    page.goto(home + path)
    page.get_by_role("link", name="Make a spec").click()
    assert page.locator(f"#spec [name={chosen}]").input_value() == path.rpartition("/")[2]
    assert page.get_by_role("link", name="Download").is_visible()
