"""The pages that ask a model: what they show and send, who is kept out, and that a visitor who leaves ends the work."""

from __future__ import annotations

import html
import json
import re
import threading
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from starlette.testclient import TestClient

from atlas.errors import QuestionError
from atlas.spec.text import dumps
from queries.specs.make_spec import make_spec
from queries.web.app import make_app
from queries.web.live import LONGEST_TEXT
from queries.web.served import open_all
from queries.web.visits import MOST_AT_ONCE
from tests.atlas_factory import write_small_atlas
from tests.queries.web.stub_live import HOSTILE, StubLive

HANG_S = 20
LIVE_PAGES = ("live", "explain", "run", "evaluate")


@pytest.fixture(scope="module")
def served(small):
    opened = open_all([small.path], 2**26)
    yield opened
    for each in opened:
        each.close()


@pytest.fixture
def live():
    return StubLive()


@pytest.fixture
def app(served, live):
    return make_app(served, live=live)


@pytest.fixture
def visitor(app):
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def events_of(text):
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


def test_without_a_model_there_are_no_such_pages_and_no_link_to_one(client, home):
    for name in LIVE_PAGES:
        assert client.get(f"{home}{name}?text=a&prompt=b&concept=sports").status_code == 404
        assert client.get(f"{home}{name}.events?concept=sports").status_code == 404
    for page in ("", "neuron/L1N7", "spec?concept=sports", "concept/sports"):
        text = client.get(home + page).text
        assert not re.search(rf'{home}({"|".join(LIVE_PAGES)})[?"./]', text)


def test_a_model_of_another_atlas_has_no_pages_here(visitor, live):
    assert visitor.get("/small/live").status_code == 200
    live.fitting = False
    assert visitor.get("/small/live").status_code == 404
    assert "/small/live" not in visitor.get("/small/").text


def test_a_text_is_shaded_with_the_value_of_each_token(visitor, live):
    page = visitor.get("/small/live", params={"text": "my <b>dog</b> runs", "neuron": "l1n7", "top": 2})
    spans = re.findall(r'<span class="t([^"]*)" tabindex="0" data-value="([^"]*)">([^<]*)</span>', page.text)
    assert [(token, value) for _, value, token in spans] == [
        ("&lt;s&gt;", "not counted"),
        (" my", "−2.00"),
        (" &lt;b&gt;dog&lt;/b&gt;", "10.0"),
        (" runs", "−4.00"),
    ]
    assert [kind for kind, *_ in spans] == ["", " down2", " peak up8", " down3"]
    assert live.asked == [
        ("activations", "my <b>dog</b> runs", 1, 7, "mlp_post"),
        ("fires", "my <b>dog</b> runs", 2, None),
    ]
    assert page.text.count(">L1N0</a>") == 3 and HOSTILE not in page.text
    data = visitor.get("/small/live.json", params={"text": "my dog", "neuron": "L1N7"}).json()
    assert [row["value"] for row in data] == [None, -2.0, 3.0]
    fired = visitor.get("/small/live.csv", params={"text": "my dog", "top": 1}).text.splitlines()
    assert len(fired) == 3 and fired[0].startswith("position,token,address")


def test_a_text_without_a_neuron_and_an_atlas_without_running_text(visitor):
    page = visitor.get("/small/live?text=nothing here").text
    assert "no running text" in page and "data-value" not in page
    assert visitor.get("/small/live.json?text=nothing here").status_code == 422
    shaded = visitor.get("/small/live?text=nothing here&neuron=L1N7").text
    assert "data-value" in shaded and "no running text" in shaded


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("live?text=a&neuron=dog", "not a neuron address"),
        ("live?text=a&site=attic", "mlp_post"),
        ("live?text=a&top=0", "outside 1 to 20"),
        (f"live?text={'a' * (LONGEST_TEXT + 1)}", "At most 1,500"),
        ("explain?prompt=a&token=none", "no token is"),
        ("run?concept=sports", "no prompt"),
        ("run?concept=absent&prompt=a", "absent"),
        ("run?concept=sports&prompt=a&tokens=100000", "outside 0 to 200"),
        ("evaluate?concept=sports&texts=0", "outside 1 to 500"),
        ("evaluate?neuron=L99N0", "99"),
        ("evaluate?", "nothing chooses the neurons"),
    ],
)
def test_what_is_wrong_is_said_on_the_page_and_by_its_twin(visitor, address, says):
    page = visitor.get(f"/small/{address}")
    assert page.status_code == 200 and says in html.unescape(page.text)
    path, _, query = address.partition("?")
    twin = visitor.get(f"/small/{path}.json?{query}")
    assert twin.status_code in (400, 422) and says in f"{twin.json()['error']} {twin.json()['hint']}"
    if path in ("run", "evaluate"):
        name, text = events_of(visitor.get(f"/small/{path}.events?{query}").text)[-1]
        assert name == "wrong" and says in text


def test_an_explanation_leads_to_a_spec_of_its_neurons(visitor, live, small):
    page = visitor.get("/small/explain", params={"prompt": "The capital is", "token": " Paris", "top": 5}).text
    assert live.asked[1] == ("explain", "The capital is", " Paris", None, 5)
    assert "75.0 %" in page and HOSTILE not in page
    chosen = next(link for link in re.findall(r'href="(/small/explain\?[^"]*)"', page) if "Paris" in link)
    assert parse_qs(urlsplit(html.unescape(chosen)).query)["token"] == [" Paris"]
    to_spec = html.unescape(re.search(r'href="(/small/spec\?[^"]*)">Put them', page)[1])
    file = visitor.get(to_spec.replace("/spec?", "/spec.json?")).text
    assert file == dumps(make_spec(small, neurons=["L1N7", "L0N2"], positions="last"))
    data = visitor.get("/small/explain.json?prompt=a").json()
    assert [row["address"] for row in data["neurons"]] == ["L1N7", "L0N2"]


def test_a_run_as_a_page_as_data_and_as_events(visitor, live):
    query = "concept=sports&top=3&prompt=my dog&tokens=2"
    page = visitor.get(f"/small/run?{query}").text
    assert live.asked == [("run", 3, "my dog", 2)]
    assert 'data-part="before"> before0\n before1\n</span>' in page and HOSTILE not in page
    assert visitor.get(f"/small/run.json?{query}").json()["generated"]["after"] == " after0\n after1\n"
    answer = visitor.get(f"/small/run.events?{query}")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    events = events_of(answer.text)
    assert [name for name, _ in events] == ["table", "before", "before", "after", "after", "texts", "done"]
    assert "50.00 %" in events[0][1] and "25.00 %" in events[0][1] and HOSTILE not in events[0][1]
    assert "".join(value for name, value in events if name == "before") == events[-2][1]["before"]


def test_the_spec_page_runs_the_spec_that_it_shows(visitor, live):
    """Its buttons send the form itself, to a page and, by the script, to the same page's events."""
    page = visitor.get("/small/spec?concept=sports&top=3&prompt=my dog").text
    buttons = re.findall(r'form="spec" formaction="([^"]*)" data-events="([^"]*)"', page)
    assert buttons == [("/small/run", "/small/run.events"), ("/small/evaluate", "/small/evaluate.events")]
    assert 'form="spec" name="prompt"' in page


def test_an_evaluation_says_how_far_it_is(visitor, live):
    events = events_of(visitor.get("/small/evaluate.events?concept=sports&top=3&texts=4&others=0").text)
    assert live.asked == [("evaluate", 3, 4, 0)]
    asks = "concept=sports&top=3&labels=sports%3D+football%0D%0A%0D%0Aworld%3D+news"
    page = visitor.get(f"/small/evaluate?{asks}").text
    assert live.asked[-1][-2:] == ("sports= football", "world= news")
    assert "--label &#39;sports= football&#39; --label &#39;world= news&#39;" in page
    assert [value for name, value in events if name == "progress"] == [
        ["classification", 0.0],
        ["classification", 0.5],
        ["classification", 1.0],
    ]
    assert events[-2][0] == "table" and events[-1][0] == "done"
    row = re.search(r"<tbody>\s*<tr><td>the concept</td>.*?</tr>", events[-2][1], re.DOTALL)[0]
    cells = [re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row)]
    assert cells == ["the concept", "accuracy", "0.812", "0.250 drop 0.56, 0.25 to 0.75", "16"]
    assert "0.250 <small>" in visitor.get("/small/evaluate?concept=sports&top=3").text
    data = visitor.get("/small/evaluate.csv?concept=sports&top=3").text.splitlines()
    assert len(data) == 3 and "0.8125" in data[1]


def test_an_exemplar_can_be_tried(tmp_path, live):
    opened = open_all([write_small_atlas(tmp_path / "texts.duckdb", texts=True)], 2**26)
    try:
        with TestClient(make_app(opened, live=live), base_url="http://localhost") as client:
            page = client.get("/texts/neuron/L0N0").text
            links = re.findall(r'<a class="try" href="([^"]*)"', page)
            asked = client.get(html.unescape(links[0]))
            assert asked.status_code == 200
            kind, text, layer, neuron, _ = live.asked[0]
            assert (kind, layer, neuron) == ("activations", 0, 0) and text
    finally:
        for each in opened:
            each.close()


class Until:
    """Waits in a question until its visitor has left, or somebody lets it go on."""

    def __init__(self):
        self.begun, self.left, self.free = threading.Semaphore(0), threading.Event(), threading.Event()

    def __call__(self, stopped):
        self.begun.release()
        for _ in range(HANG_S * 100):
            if stopped():
                self.left.set()
                raise QuestionError("this was stopped")
            if self.free.wait(0.01):
                return
        raise AssertionError("nobody came")


def scope_of(path, query):
    return {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(b"host", b"localhost")], "scheme": "http", "server": ("localhost", 80), "http_version": "1.1",
        "root_path": "", "client": ("127.0.0.1", 9),
    }  # fmt: skip


async def ask(app, path, query, gone):
    """The status of the answer; `gone`: set when the visitor leaves."""
    status, requested = [], []

    async def receive():
        if not requested:
            requested.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            status.append(message["status"])

    await app(scope_of(path, query), receive, send)
    return status[0]


@pytest.mark.parametrize("path", ["/small/run", "/small/run.events", "/small/live", "/small/evaluate.events"])
def test_a_visitor_who_leaves_stops_the_work(app, live, path):
    live.wait = Until()

    async def main():
        gone = anyio.Event()
        with anyio.fail_after(HANG_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, app, path, "concept=sports&prompt=a&text=b&neuron=L1N7", gone)
                await anyio.to_thread.run_sync(live.wait.begun.acquire)
                assert not live.wait.left.is_set()
                gone.set()

    anyio.run(main)
    assert live.wait.left.is_set()


def test_too_many_visitors_are_told_so_and_pages_without_the_model_go_on(app, live):
    live.wait = Until()

    async def main():
        gone = anyio.Event()
        with anyio.fail_after(HANG_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(MOST_AT_ONCE):
                    tasks.start_soon(ask, app, "/small/run.events", "concept=sports&prompt=a", gone)
                for _ in range(MOST_AT_ONCE):
                    await anyio.to_thread.run_sync(live.wait.begun.acquire)
                assert await ask(app, "/small/run", "concept=sports&prompt=a", gone) == 422
                assert await ask(app, "/small/evaluate.events", "concept=sports", gone) == 422
                assert await ask(app, "/small/concept/sports", "", gone) == 200
                live.wait.free.set()

    anyio.run(main)
